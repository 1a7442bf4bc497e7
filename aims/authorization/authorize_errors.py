"""What the authorization endpoint can answer besides what every endpoint can: one class a code.

Spec: RFC 6749 §4.1.2.1, OpenID Connect Core 1.0 §3.1.2.6.
"""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from aims.authorization.errors import OAuthError
from aims.kit.errors import AimsError


class UnsupportedResponseType(OAuthError):
    """RFC 6749 §4.1.2.1."""

    code = "unsupported_response_type"
    public = _("response_type must be code.")


class RequestNotSupported(OAuthError):
    """OpenID Connect Core 1.0 §3.1.2.6: request objects; push the request instead (RFC 9126)."""

    code = "request_not_supported"
    public = _("Signed request objects are not supported. Push the request.")


class LoginRequired(OAuthError):
    """OpenID Connect Core 1.0 §3.1.2.6: somebody has to sign in, and ``prompt=none`` forbids to ask."""

    code = "login_required"
    public = _("Somebody has to sign in.")


class ConsentRequired(OAuthError):
    """OpenID Connect Core 1.0 §3.1.2.6: the person has not agreed to this before."""

    code = "consent_required"
    public = _("The person has to agree.")


class SignatureRequired(OAuthError):
    """OpenID Connect Core 1.0 §3.1.2.6: the policy wants a decision signed with a passkey."""

    code = "interaction_required"
    public = _("A person has to sign a decision.")


class UnmetAuthentication(OAuthError):
    """OpenID Connect Core Unmet Authentication Requirements 1.0 §2, RFC 9470 §5."""

    code = "unmet_authentication_requirements"
    public = _("The person can not sign in as acr_values asks.")


class ServerBusy(OAuthError):
    """RFC 6749 §4.1.2.1, RFC 9126 §2.3: too many requests of this client stand open."""

    code = "temporarily_unavailable"
    public = _("Too many requests of this client stand open. Try again later.")
    status = 429
    retry_after_s = 60


class NotHere(AimsError):
    """The browser stays here: who asks, or where the answer would go, is not certain. Spec: RFC 6749 §4.1.2.1."""

    code = "not_redirected"
    why = ""


class ClientUnknown(NotHere):
    """No client of this name."""

    public = _("No agent of this name is known here. Nothing was allowed. Go back to where you came from.")


class ClientUnreachable(NotHere):
    """Its name is the address of a document that can't be had or used. Spec: draft-ietf-oauth-client-id-metadata-document §4.

    cause: why. The page says it in its words: whoever runs the agent reads them there.
    """

    public = _("The agent can't be known by the address that it gives as its name. Nothing was allowed.")

    def __init__(self, cause: AimsError) -> None:
        super().__init__(detail=cause.code)
        self.status, self.why = cause.status, cause.public


class ClientWaits(NotHere):
    """It registered itself, and no admin has admitted it yet."""

    public = _("This agent registered itself and waits for an admin to admit it. Until then it may ask for nothing.")
    status = 403


class ClientStopped(NotHere):
    """It was refused, or its agent is suspended or retired."""

    public = _("This agent has been stopped, so it may ask for nothing. Whoever answers for it can say why.")
    status = 403


class RedirectUnknown(NotHere):
    """Not one of its registered redirect URIs."""

    public = _("The agent wants the answer sent to an address that is not registered for it. Nothing was allowed.")


class ReferenceUnknown(NotHere):
    """No request under this ``request_uri`` for this client: never pushed, answered, or over."""

    public = _("This question was answered already, or has run out of time. Start again from the agent.")


class RequestUnreadable(NotHere):
    """The address is not one that an authorization request can have."""

    public = _("This address is not complete or not well-formed. Start again from the agent.")
