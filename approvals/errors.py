"""Why a decision is refused. Each text says what happened, why, and what to do now."""

from __future__ import annotations

from datetime import datetime

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from aims.kit.errors import AimsError


class DecisionRefused(AimsError):
    """The base of every refusal: nothing was decided."""

    code = "decision_refused"
    public = _("This decision was refused.")  # type: ignore[assignment]  # translated when it is read


class ResponseUnreadable(DecisionRefused):
    code = "response_unreadable"
    public = _("The passkey's answer could not be read, so nothing was approved. Reload the page and try again.")


class ContextUnknown(DecisionRefused):
    """No context of this person, session and request has this challenge: never made, spent, or somebody else's."""

    code = "context_unknown"
    public = _(
        "What was signed is not what this page asked for now, so nothing was approved. "
        "Reload the page, read the card again, then decide."
    )
    status = 409


class ContextExpired(DecisionRefused):
    code = "context_expired"
    public = _(
        "The card stood open for too long and can't be signed any more. Reload the page, read it again, then decide."
    )
    status = 409


class WrongDecision(DecisionRefused):
    """The context that was signed says something else than the button that sent it."""

    code = "wrong_decision"
    public = _("The passkey signed the other decision, so nothing happened. Reload the page and decide again.")
    status = 409


class AlreadyYours(DecisionRefused):
    code = "already_decided"
    public = _("You have decided this request already. One person decides once.")
    status = 409


class PasskeyUnknown(DecisionRefused):
    code = "passkey_unknown"
    public = _("This passkey is not one of yours here. Use a passkey that is listed under Passkeys and sessions.")
    status = 403


class PasskeyEnded(DecisionRefused):
    code = "passkey_ended"
    public = _("This passkey was removed and can't approve any more. Use another one of yours.")
    status = 403


class PasskeyTooNew(DecisionRefused):
    """Keys count for a decision only if they were held before the request was opened."""

    code = "passkey_too_new"
    public = _(
        "This passkey was added after the request arrived, so it can't decide it. "
        "Use an older passkey, or ask for the request to be sent again."
    )
    status = 403


class EnrolmentNotLogged(DecisionRefused):
    """The sequencer has not numbered the key's enrolment: a receipt could not say where the log has it."""

    code = "enrolment_not_logged"
    public = _("Your passkey's enrolment is not in the log yet; try again in a moment. Nothing was decided.")
    status = 409


class PasskeyCoolingDown(DecisionRefused):
    """A key from a recovery may not approve for a day, so that a thief of the recovery link gains nothing."""

    code = "passkey_cooling_down"
    status = 403

    def __init__(self, usable_from_at: datetime) -> None:
        when = date_format(localtime(usable_from_at), "DATETIME_FORMAT")
        super().__init__(
            _(
                "This passkey came from a recovery and may approve from %(when)s. "
                "Until then use another passkey, deny, or let somebody else decide."
            )
            % {"when": when}
        )


class AssertionRefused(DecisionRefused):
    """The strict WebAuthn layer refused; its code goes to the log, the person reads this."""

    code = "assertion_refused"
    public = _("The passkey's signature did not pass every check, so nothing was approved. Reload and try again.")

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(detail=f"{reason}: {detail}")
