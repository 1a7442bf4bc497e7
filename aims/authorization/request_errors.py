"""What can go wrong with an approval request: one class a rule, for the page and the wire alike."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_noop as _

from aims.kit.errors import AimsError


class AlreadyDecided(AimsError):
    """No row moved: somebody else was first, or the request has ended. Nothing was changed."""

    code = "already_decided"
    public = _("This request has already been decided or withdrawn. Nothing was changed.")
    status = 409


class RequestOver(AimsError):
    """The request expired before the decision."""

    code = "request_expired"
    public = _("This request has expired. Ask the agent to send it again.")
    status = 409


class NotYours(AimsError):
    """This person may not decide this request: never named, excluded, or no longer an approver."""

    code = "not_eligible"
    public = _("You may not decide this request. Someone whom the policy names has to.")
    status = 403


class AgentNotActive(AimsError):
    """The agent was suspended or retired while the request waited."""

    code = "agent_not_active"
    public = _("The agent is not active any more. Resume it first, then let it ask again.")
    status = 409


class PolicyChanged(AimsError):
    """The policy of now would deny, or ask more than was asked. ``services.requests.reconsider`` then ends the request."""

    code = "policy_changed"
    public = _("The policy has changed since this was asked. The agent has to ask again.")
    status = 409


class GrantRefused(AimsError):
    """A grant that may not be given as asked."""

    code = "invalid_grant_terms"
    public = _("This grant can't be given. Check resource, actions, types and end.")


class GrantChanged(AimsError):
    """RFC 9110 §13.1.1: the grant is not what the caller read and decided on."""

    code = "precondition_failed"
    public = _("Somebody changed this grant since you looked at it. Nothing was changed: look again, then decide.")
    status = 412


class AskDenied(AimsError):
    """The policy does not let this agent ask for this, or nobody may decide it. Spec: CIBA Core 1.0 §13."""

    code = "access_denied"
    public = _("The policy does not allow this request.")
    status = 403

    def __init__(self, *, detail: str, policies: Iterable[str] = ()) -> None:
        self.policies = tuple(policies)
        super().__init__(detail=detail)


class TooManyOpen(AimsError):
    """A limit on waiting requests is reached. retry_after_s: when to look again."""

    code = "temporarily_unavailable"
    public = _("Too many requests wait for a decision. Try again later.")
    status = 429
    retry_after_s = 60


class InvalidBindingMessage(AimsError):
    """Spec: CIBA Core 1.0 §13."""

    code = "invalid_binding_message"
    public = _("The binding_message is not acceptable.")


class UnknownUserId(AimsError):
    """No person, or none this agent may name: the same answer. Spec: CIBA Core 1.0 §13."""

    code = "unknown_user_id"
    public = _("The hint leads to nobody whom this agent may ask.")


class AuthorizationPending(AimsError):
    """Spec: CIBA Core 1.0 §11. retry_after_s: the interval."""

    code = "authorization_pending"
    public = _("Nobody has decided yet.")

    def __init__(self, *, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__()


class SlowDown(AuthorizationPending):
    """Polled too early: the interval has grown by 5 seconds, for good. Spec: CIBA Core 1.0 §11."""

    code = "slow_down"
    public = _("Too early. Wait 5 seconds longer between polls from now on.")


class ExpiredToken(AimsError):
    """Spec: CIBA Core 1.0 §11."""

    code = "expired_token"
    public = _("The request has expired. Start again.")
