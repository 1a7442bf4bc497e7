"""What can go wrong in this room, one class for each rule. Texts are safe to show; pages translate them."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from aims.kit.errors import AimsError


class MayNotAsk(AimsError):
    """Only admins ask for what needs a second person."""

    code = "may_not_ask"
    public = _("Only an admin can ask for this.")
    status = 403


class ActionUnknown(AimsError):
    """Not a kind of ours, or not exactly its parameters, each of its type."""

    code = "action_unknown"
    public = _("This action can't be asked for like that. Go back to where it is offered.")


class NoteRefused(AimsError):
    """A note is a sentence or two of printable text; some reasons need one."""

    code = "note_refused"
    public = _("Say why in a sentence or two, without control characters: at most 1,000 characters.")


class TooManyOpen(AimsError):
    """One person keeps so many questions open at a time."""

    code = "too_many_open"
    public = _("You have asked for 50 consents that are still open. Withdraw one, or wait.")
    status = 429


class NotAnother(AimsError):
    """Who asks never consents: that is what the second person is for."""

    code = "not_another"
    public = _("You asked for this yourself. Somebody else must consent.")
    status = 403


class NotEntitled(AimsError):
    """The role that may consent must be held now, and have been held before it was asked."""

    code = "not_entitled"
    public = _("You may not consent to this: it needs a role that you held before it was asked, and hold now.")
    status = 403


class NoKeyForConsent(AimsError):
    """The key must have been registered before it was asked, and be past its cool-down."""

    code = "no_key_for_consent"
    public = _("None of your passkeys may sign this: they are newer than the question, or still cooling down.")
    status = 403


class SignatureRefused(AimsError):
    """The strict layer refused the assertion; ``detail`` names the rule."""

    code = "signature_refused"
    public = _("The browser's answer was refused. Nothing has changed: try again from this page.")
    status = 403


class ContextGone(AimsError):
    """The prepared bytes expired, were used, or were made for another session, person or consent."""

    code = "context_gone"
    public = _("That took too long, or was sent twice. Nothing has changed: try again.")
    status = 409


class ConsentOver(AimsError):
    """Decided, withdrawn, used or expired meanwhile."""

    code = "consent_over"
    public = _("This has been decided already, or its time is over. Reload the page to see.")
    status = 409


class ConsentMissing(AimsError):
    """No confirmed, unused, unexpired consent to exactly this action. The action has not happened."""

    code = "consent_missing"
    public = _("This needs the consent of a second person, for exactly this. Ask for it first.")
    status = 409


class HoldRefused(AimsError):
    """Not what a hold can be told by, or too many are in force."""

    code = "hold_refused"
    public = _(
        "A hold needs a reason, and what it holds: everything, a person, an agent, or a period that begins before it ends."
    )


class HoldGone(AimsError):
    """There is no such hold, or it was released already."""

    code = "hold_gone"
    public = _("This hold is not in force any more. Reload the page to see.")
    status = 409


class RetentionRefused(AimsError):
    """The log is kept for 6 to 240 months; a shorter time than now needs a consent."""

    code = "retention_refused"
    public = _("The log is kept for 6 to 240 months. For a shorter time than now, ask a second person first.")


class PersonUnknown(AimsError):
    """Nobody has this reference."""

    code = "person_unknown"
    public = _("There is nobody with this reference.")
    status = 404


class ErasureHeld(AimsError):
    """A legal hold covers the person. ``detail`` names the holds."""

    code = "erasure_held"
    public = _("A legal hold covers this person, or entries that speak of them. Release it first, if it may be.")
    status = 409


class KeysNotThere(AimsError):
    """The store of people's keys does not answer, so no key can be destroyed."""

    code = "keys_not_there"
    public = _("The store of people's keys does not answer. Nothing has changed: try again when it does.")
    status = 503
