"""Why a client's proof was not accepted: the code of RFC 6749 §5.2, and the reason for the log."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from aims.kit.errors import AimsError


class InvalidClient(AimsError):
    """The client is not authenticated.

    reason: stable word for the log. agent: the identifier, only where the signature proved it.
    """

    code = "invalid_client"
    public = _("The client could not be authenticated.")
    status = 401

    def __init__(self, public: str | None = None, *, reason: str, agent: str | None = None) -> None:
        self.reason = reason
        self.agent = agent
        super().__init__(public, detail=reason)


class ProofReplayed(InvalidClient):
    """The jti was used before, or the client changed while it was being checked. Spec: RFC 7523 §3 (7)."""

    public = _("This client assertion has been used before. Make a new one for every request.")
    why = "replayed"

    def __init__(self, *, agent: str | None) -> None:
        super().__init__(reason=self.why, agent=agent)


class ProofForgotten(ProofReplayed):
    """Made before our memory of used proofs began: nobody can say whether it was used."""

    public = _("This client assertion is older than our memory of used ones. Make a new one for every request.")
    why = "forgotten"


class ManyMethods(AimsError):
    """More than one way of client authentication in one request. Spec: RFC 6749 §2.3, §5.2."""

    code = "invalid_request"
    public = _("Use one client authentication method, not several.")
