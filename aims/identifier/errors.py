"""What can go wrong with agents, trust domains and resources, one class for each rule."""

from __future__ import annotations

from aims.identifier.uri import IdentifierRefused
from aims.kit.errors import AimsError

__all__ = [
    "ActionRefused",
    "FieldRefused",
    "IdentifierRefused",
    "IdentifierTaken",
    "OwnerRefused",
    "ResourceRefused",
    "UnknownTrustDomain",
    "UnlawfulMove",
]


class UnknownTrustDomain(AimsError):
    """draft-ietf-wimse-identifier §7: only expected trust domains are accepted."""

    code = "unknown_trust_domain"
    public = "This trust domain is not registered here. Register it first, or correct the identifier."


class IdentifierTaken(AimsError):
    """An identifier names one agent for ever, also after that one has retired."""

    code = "identifier_taken"
    public = "This identifier is or was in use. Identifiers are never reused: choose another."
    status = 409


class UnlawfulMove(AimsError):
    """The agent is not in a state from which it may move there."""

    code = "unlawful_move"
    public = "The agent is no longer in a state that allows this. Reload the page to see where it stands."
    status = 409


class OwnerRefused(AimsError):
    """Whoever answers for an agent must be an active person here."""

    code = "owner_refused"
    public = "The owner must be an active person. Choose another, or let them join first."


class FieldRefused(AimsError):
    """A text is missing or too long. ``field`` names it."""

    code = "field_refused"

    def __init__(self, public: str, *, field: str) -> None:
        self.field = field
        super().__init__(public, detail=field)


class ResourceRefused(AimsError):
    """RFC 8707 §2: a resource indicator is an absolute URI without a fragment."""

    code = "resource_refused"
    public = "A resource identifier is an absolute URI without a fragment, such as https://pay.example/."


class ActionRefused(AimsError):
    """An action of a resource is misspelt, given twice, or has no known reversibility."""

    code = "action_refused"
