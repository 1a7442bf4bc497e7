"""What can go wrong with people, one class for each rule. Texts are safe to show; pages translate them."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from aims.kit.errors import AimsError


class FieldRefused(AimsError):
    """A text is missing, too long, or not what its field means."""

    code = "field_refused"
    public = _("Something in this form cannot be right. Check it and send it again.")


class EmailTaken(AimsError):
    """An address belongs to one person."""

    code = "email_taken"
    public = _("There is a person with this address already. Open their page, or use another address.")
    status = 409


class GroupTaken(AimsError):
    """A group's short name is used by policies, so it names one group for ever."""

    code = "group_taken"
    public = _("There is a group with this short name already. Choose another.")
    status = 409


class NotHeld(AimsError):
    """The role or membership that should end is not held."""

    code = "not_held"
    public = _("This ended already. Reload the page to see where it stands.")
    status = 409


class SeatOpen(AimsError):
    """A role without an end would lift what a seat binds; two seats would leave open which one binds."""

    code = "seat_open"
    public = _("This person has an auditor's seat. Prolong it, or end it first.")
    status = 409


class SeatClosed(AimsError):
    """A seat that is over can't be prolonged or ended: its time is in the log."""

    code = "seat_closed"
    public = _("This seat is over already. Open a new one.")
    status = 409


class SeatUseless(AimsError):
    """Who reads everything anyway would not be bound by a seat."""

    code = "seat_useless"
    public = _("This person reads the whole log already, as an admin or an auditor. End that role first.")
    status = 409


class SeatNeedsEnd(AimsError):
    """A guest's seat ends, within GUEST_MAX; every seat ends in the future."""

    code = "seat_needs_end"
    public = _("Say until when: a guest's seat lasts 90 days at most, and can be prolonged.")
    status = 422


class PersonInactive(AimsError):
    """A deactivated person gets neither links nor sessions."""

    code = "person_inactive"
    public = _("This person is deactivated. Reactivate them first.")
    status = 409


class LinkUnusable(AimsError):
    """Unknown, used, replaced or expired: a link that no longer works does not say which it was."""

    code = "link_unusable"
    public = _("This link no longer works: each is good for 24 hours and one passkey. Ask an admin for a new one.")
    status = 410


class CeremonyGone(AimsError):
    """The challenge expired, was used, or was made for another session or another purpose."""

    code = "ceremony_gone"
    public = _("That took too long, or was sent twice. Nothing has changed: try again.")
    status = 409


class SignInRefused(AimsError):
    """One answer for an unknown key, an ended key and a deactivated person: no list of people can be drawn from it."""

    code = "sign_in_refused"
    public = _("This passkey does not sign in here. Try another, or ask an admin for a new link.")
    status = 403


class KeyRefused(AimsError):
    """The strict layer refused a registration or an assertion; ``detail`` names the rule."""

    code = "key_refused"
    public = _("The browser's answer was refused. Try again with user verification on, from this site itself.")
    status = 403


class KeyKnown(AimsError):
    """A credential is registered once."""

    code = "key_known"
    public = _("This passkey is registered already. Use another device or security key.")
    status = 409


class LastKey(AimsError):
    """An owner who ends the last key could not come back."""

    code = "last_key"
    public = _("This is the only passkey left, and without one there is no way back in. Add another first.")
    status = 409


class LastAdmin(AimsError):
    """Without an admin who can sign in, nobody could invite, recover or appoint anybody."""

    code = "last_admin"
    public = _(
        "This is the last admin who can sign in, and without one nobody could invite or recover anybody. Make somebody "
        "else an admin first, and let them add a passkey. An operator can also make one on the server: "
        "manage.py invite EMAIL --role admin."
    )
    status = 409


class TooManyAttempts(AimsError):
    """A counter for one address or one key is full."""

    code = "too_many_attempts"
    public = _("Too many attempts from here. Wait a minute, then try again.")
    status = 429


class ValuesUnavailable(AimsError):
    """The log can't keep the person's values now: the store of their keys does not answer, or they were erased."""

    code = "values_unavailable"
    public = _(
        "This can't be recorded now, so it was not done. Try again in a minute; if it stays so, tell an operator."
    )
    status = 503


class PersonWasErased(AimsError):
    """Who was erased stays so: nothing brings the reference back to life."""

    code = "person_erased"
    public = _("This person was erased. Invite them as a new one.")
    status = 409
