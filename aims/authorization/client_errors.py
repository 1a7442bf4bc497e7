"""What can go wrong with clients that register themselves: one class a rule, for pages and wire alike."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from aims.authorization.errors import OAuthError
from aims.kit.errors import AimsError


class RegistrationsFull(OAuthError):
    """Too many registrations wait, from one place or in all. Spec: RFC 7591 §5."""

    code = "temporarily_unavailable"
    public = _("Too many clients wait to be admitted. Try again later.")
    status = 429
    retry_after_s = 3600


class RegistrationTokenRefused(OAuthError):
    """RFC 7592 §2: the registration access token is missing, unknown, over, or belongs to another client."""

    code = "invalid_token"
    public = _("Send the registration access token of this client.")
    status = 401


class ClientAddressRefused(AimsError):
    """draft-ietf-oauth-client-id-metadata-document §3: an address that can be nobody's ``client_id`` here."""

    code = "invalid_client_address"


class DocumentRefused(AimsError):
    """draft-ietf-oauth-client-id-metadata-document §4: a metadata document that was not there or can't be used."""

    code = "invalid_client_document"


class NotWaiting(AimsError):
    """The registration is not in a state that allows this: somebody else was first, or its client withdrew it."""

    code = "registration_not_waiting"
    public = _("This client does not wait any more. Reload the page to see where it stands.")
    status = 409


class AwaitsAdmission(AimsError):
    """The registration of an agent changed since it was admitted: nobody resumes it, an admin admits it again."""

    code = "registration_waits"
    public = _("What this agent registered has changed. An admin admits the change first.")
    status = 409


class TrustRuleRefused(AimsError):
    """A trust rule that compares with nothing, or stands already."""

    code = "trust_rule_refused"
