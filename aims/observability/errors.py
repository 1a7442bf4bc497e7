"""What can be wrong with a report, one class for each rule."""

from __future__ import annotations

from aims.kit.errors import AimsError


class BatchRefused(AimsError):
    """The body is neither one JWS nor a list of some."""

    code = "invalid_batch"
    public = "Send one event as application/jwt, or a JSON array of 1 to 100 of them, each a compact JWS."


class BatchTooLarge(AimsError):
    """The body is over the limit of machine endpoints."""

    code = "too_large"
    public = "The body is larger than 256 KiB. Send fewer events at once."
    status = 413


class TokenNeeded(AimsError):
    """Who reports as an agent calls with its own access token; a resource server has none of ours."""

    code = "token_needed"
    public = "An agent reports with an access token for this API that has the scope report.events."
    status = 401


class SignatureRefused(AimsError):
    """Not a JWS of our type that a registered key of the reporter signed. Spec: RFC 8935 §5.1, RFC 8725 §3."""

    code = "invalid_signature"
    public = "The event is not signed as it must be: typ aims-event+jwt, by a registered key of its issuer."


class OtherReporter(AimsError):
    """The event names another issuer than whose access token it came with."""

    code = "other_reporter"
    public = "The event was not issued by the one who sends it. Everybody reports for themselves."
    status = 403


class EventRefused(AimsError):
    """A member is missing, unknown or not what it should be. ``member`` names it."""

    code = "invalid_event"

    def __init__(self, member: str, why: str) -> None:
        self.member = member
        super().__init__(f"{member}: {why}.", detail=member)


class ContentRefused(AimsError):
    """The event would carry what was said to or by a tool or a model. Only hashes of that are taken."""

    code = "content_refused"

    def __init__(self, member: str) -> None:
        self.member = member
        super().__init__(
            f"{member}: no content is taken. Send its hash, as arguments_hash or result_hash.", detail=member
        )


class NotNow(AimsError):
    """``iat`` or ``toe`` lies outside of the window in which an event is taken."""

    code = "not_now"
    public = "iat must be within the last 10 minutes, and toe at most 24 hours before it. Sign the event again."


class NotAParty(AimsError):
    """The reporter took no part in the transaction: no token of it was issued to them, through them or for them."""

    code = "not_a_party"
    public = "You took no part in this transaction, or there is none of this name. Report only what is yours."
    status = 403


class JtiReused(AimsError):
    """Another event of this reporter has this ``jti``."""

    code = "jti_reused"
    public = "Another event has this jti. Give each its own; only the same event may be sent again."
    status = 409


class TooManyEvents(AimsError):
    """More was reported about one transaction than anybody could read."""

    code = "too_many_events"
    public = "Enough was reported about this transaction. Report what decides, not every step."
    status = 429


class SpansRefused(AimsError):
    """The body is no OTLP request in JSON, or has too many spans."""

    code = "invalid_spans"
    public = "Send an ExportTraceServiceRequest as application/json, of at most 500 spans."


class FindingMoved(AimsError):
    """The finding is not in a state from which it can move there."""

    code = "finding_moved"
    public = "Somebody else dealt with this finding meanwhile. Reload the page to see where it stands."
    status = 409
