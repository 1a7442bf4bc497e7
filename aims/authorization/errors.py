"""What OAuth can answer: one class a code, in the words of the specifications."""

from __future__ import annotations

import re

from django.utils.translation import gettext_noop as _

from aims.kit.errors import AimsError

_NOT_IN_DESCRIPTION = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


def described(text: str) -> str:
    """Return a text in the characters that error_description may have. Spec: RFC 6749 §5.2."""
    return _NOT_IN_DESCRIPTION.sub(lambda found: "'" if found[0] == '"' else "?", text)


class OAuthError(AimsError):
    """An error response of a machine endpoint. Spec: RFC 6749 §5.2.

    policies: those that determined a refusal by policy.
    """

    code = "invalid_request"
    retry_after_s: int | None = None

    def __init__(self, public: str | None = None, *, detail: str = "", policies: tuple[str, ...] = ()) -> None:
        self.policies = policies
        super().__init__(public, detail=detail)


class InvalidRequest(OAuthError):
    """RFC 6749 §5.2."""

    public = _("The request is not complete or not well-formed.")


class MethodNotAllowed(OAuthError):
    """RFC 6749 §3.2: clients use POST at the token endpoint; so at all our endpoints."""

    public = _("Use POST.")
    status = 405


class UnauthorizedClient(OAuthError):
    """RFC 6749 §5.2."""

    code = "unauthorized_client"
    public = _("This client may not use this endpoint or grant type.")


class UnsupportedGrantType(OAuthError):
    """RFC 6749 §5.2."""

    code = "unsupported_grant_type"
    public = _("This grant type is not supported.")


class InvalidGrant(OAuthError):
    """RFC 6749 §5.2."""

    code = "invalid_grant"
    public = _("The grant is unknown, used, or belongs to another client.")


class InvalidScope(OAuthError):
    """RFC 6749 §5.2."""

    code = "invalid_scope"
    public = _("The scope is not known at this resource, or can't be had by scope alone.")


class InvalidTarget(OAuthError):
    """RFC 8707 §2."""

    code = "invalid_target"
    public = _("Name exactly one registered resource.")


class InvalidAuthorizationDetails(OAuthError):
    """RFC 9396 §5."""

    code = "invalid_authorization_details"
    public = _("authorization_details is not acceptable.")


class AccessDenied(OAuthError):
    """The policy says no."""

    code = "access_denied"
    public = _("The policy does not allow this.")


class BudgetSpent(AccessDenied):
    """A grant's budget has no room for this. Nothing was issued, and nothing was taken from it."""

    public = _("The budget of the grant is used up for now, or does not cover this amount.")


class Outdated(AccessDenied):
    """What the decision was made on changed before the write, which therefore wrote nothing."""

    public = _("The registration changed meanwhile. Try again.")

    def __init__(self) -> None:
        super().__init__(detail="changed")


class InteractionRequired(OAuthError):
    """The policy asks a person: go to the backchannel endpoint. Spec: OpenID Connect Core 1.0 §3.1.2.6 (the code)."""

    code = "interaction_required"


class InvalidToken(OAuthError):
    """RFC 6750 §3.1: the same answer whatever is wrong with an access token."""

    code = "invalid_token"
    public = _("The access token is unknown, has ended, is for something else, or came without its key.")
    status = 401


class InsufficientScope(OAuthError):
    """RFC 6750 §3.1."""

    code = "insufficient_scope"
    public = _("The access token lacks the scope for this.")
    status = 403


class ServerError(OAuthError):
    """Something broke on our side; the log says what. Spec: RFC 6749 §4.1.2.1."""

    code = "server_error"
    public = _("Something broke on our side. Try again later.")
    status = 500


class TrustRefused(AimsError):
    """What is said about another authorization server can't be. field: which part of it."""

    code = "trust_refused"

    def __init__(self, public: str, *, field: str = "issuer") -> None:
        self.field = field
        super().__init__(public)


class ClientSettingsRefused(AimsError):
    """CIBA Core 1.0 §4: a delivery mode without what it needs, or an algorithm that we don't accept."""

    code = "client_settings_refused"
