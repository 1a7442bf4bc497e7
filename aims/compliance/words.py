"""What the states of evidence and of consents are called on pages, with their tone."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from aims.compliance.evidence import State
from aims.compliance.models import Consent

WORDS = {
    State.GOOD: (gettext_noop("Good"), "yes"),
    State.STALE: (gettext_noop("Needs a look"), "waiting"),
    State.GAP: (gettext_noop("Gap"), "no"),
    State.UNKNOWN: (gettext_noop("Not known"), "plain"),
}
_CONSENTS = {
    "asked": (gettext_noop("Waits for a second person"), "waiting"),
    "confirmed": (gettext_noop("Confirmed, not used yet"), "info"),
    "used": (gettext_noop("Done"), "yes"),
    "denied": (gettext_noop("Refused"), "no"),
    "withdrawn": (gettext_noop("Withdrawn"), "plain"),
    "expired": (gettext_noop("Ran out"), "plain"),
}


def state_word(consent: Consent, *, is_over: bool = False) -> str:
    """Return what the state of a consent is called. is_over: its time is over, swept or not."""
    return _(_CONSENTS[_state(consent, is_over)][0])


def state_tone(consent: Consent, *, is_over: bool = False) -> str:
    """Return the tone of the state of a consent."""
    return _CONSENTS[_state(consent, is_over)][1]


def _state(consent: Consent, is_over: bool) -> str:
    return "expired" if is_over and consent.state in ("asked", "confirmed") else consent.state
