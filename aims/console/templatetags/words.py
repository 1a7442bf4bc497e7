"""Filters that turn values into the words of the pages. Built in: templates need no ``{% load %}``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from django import template
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from aims.kit import clock
from aims.kit.visible import visible as parts_of

register = template.Library()

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86400
SHORT_LETTERS = 28

# state -> (word, tone). One table for all nouns that have a state: the words don't collide.
_STATES: dict[str, tuple[str, str]] = {
    "active": (gettext_noop("Active"), "yes"),
    "paused": (gettext_noop("Paused"), "waiting"),
    "queued": (gettext_noop("Waits for a worker"), "waiting"),
    "running": (gettext_noop("Being made"), "waiting"),
    "ready": (gettext_noop("Ready"), "yes"),
    "failed": (gettext_noop("Failed"), "no"),
    "making": (gettext_noop("Being made"), "waiting"),
    "nothing": (gettext_noop("Nothing happened"), "plain"),
    "stopped": (gettext_noop("Stopped"), "no"),
    "suspended": (gettext_noop("Suspended"), "waiting"),
    "retired": (gettext_noop("Retired"), "plain"),
    "quarantined": (gettext_noop("Waits to be admitted"), "waiting"),
    "admitted": (gettext_noop("Admitted"), "yes"),
    "refused": (gettext_noop("Refused"), "no"),
    "withdrawn": (gettext_noop("Withdrawn by itself"), "plain"),
    "pending": (gettext_noop("Waiting"), "waiting"),
    "partly_approved": (gettext_noop("Partly approved"), "waiting"),
    "approved": (gettext_noop("Approved"), "yes"),
    "redeemed": (gettext_noop("Spent"), "yes"),
    "denied": (gettext_noop("Denied"), "no"),
    "expired": (gettext_noop("Expired"), "plain"),
    "cancelled": (gettext_noop("Withdrawn"), "plain"),
    "superseded": (gettext_noop("Superseded"), "plain"),
    "revoked": (gettext_noop("Revoked"), "no"),
    "in_force": (gettext_noop("In force"), "yes"),
    "scheduled": (gettext_noop("Not begun"), "info"),
    "in_use": (gettext_noop("In use"), "yes"),
    "ended": (gettext_noop("Ended"), "plain"),
    "published": (gettext_noop("Published"), "info"),
    "unknown": (gettext_noop("Unknown"), "plain"),
    # decisions of the log
    "allow": (gettext_noop("Allowed"), "yes"),
    "approve": (gettext_noop("Approved"), "yes"),
    "ask": (gettext_noop("Asked a person"), "waiting"),
    "deny": (gettext_noop("Denied"), "no"),
    "not_applicable": (gettext_noop("Not a decision"), "plain"),
}

_REVERSIBILITY: dict[str, tuple[str, str]] = {
    "read-only": (gettext_noop("Read only"), "plain"),
    "reversible": (gettext_noop("Reversible"), "plain"),
    "externally-reversible": (gettext_noop("Reversible outside"), "waiting"),
    "irreversible": (gettext_noop("Irreversible"), "no"),
}


@register.filter
def ago(moment: datetime | None) -> str:
    """Return how far a moment is from now, up to a day; then its date in the reader's zone."""
    if moment is None:
        return _("never")
    seconds = int((clock.now() - moment).total_seconds())
    if abs(seconds) >= DAY_S:
        return date_format(timezone.localtime(moment), "j M Y")
    return _("in %(span)s") % {"span": span(-seconds)} if seconds < 0 else _("%(span)s ago") % {"span": span(seconds)}


@register.filter
def span(seconds: int | timedelta) -> str:
    """Return a length of time in its largest whole unit: 12 s, 4 min, 3 h, 2 d."""
    whole = int(seconds.total_seconds()) if isinstance(seconds, timedelta) else int(seconds)
    if whole < MINUTE_S:
        return _("%d s") % whole
    if whole < HOUR_S:
        return _("%d min") % (whole // MINUTE_S)
    if whole < DAY_S:
        return _("%d h") % (whole // HOUR_S)
    return _("%d d") % (whole // DAY_S)


@register.filter
def stamp(moment: datetime | None) -> str:
    """Return a moment to the second in the reader's zone, with the zone's name."""
    if moment is None:
        return _("never")
    local = timezone.localtime(moment)
    return f"{date_format(local, 'j M Y, H:i:s')} {local.tzname()}"


@register.filter
def day(moment: datetime | None) -> str:
    """Return the date of a moment in the reader's zone."""
    return _("never") if moment is None else date_format(timezone.localtime(moment), "j F Y")


@register.filter
def clock_time(moment: datetime) -> str:
    """Return hours, minutes, seconds and milliseconds of a moment in the reader's zone."""
    return timezone.localtime(moment).strftime("%H:%M:%S.%f")[:-3]


@register.filter
def iso(moment: datetime | None) -> str:
    """Return a moment as machines read it: RFC 3339, UTC, with milliseconds."""
    return "" if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


@register.filter
def initials(name: object) -> str:
    """Return at most two letters that stand for a name: the first of two words, or the first two of one."""
    parts = [part for part in str(name).replace("-", " ").replace("_", " ").split() if part[0].isalnum()]
    if not parts:
        return "?"
    letters = parts[0][:2] if len(parts) == 1 else parts[0][0] + parts[-1][0]
    return letters.upper()


@register.filter(name="visible")
def visible(text: object) -> SafeString:
    """Return untrusted text with control, bidi and invisible characters marked up as escapes, never raw.

    A sentence that a template made has its HTML escaped already, and is not escaped again.
    """
    plain = SafeString if isinstance(text, SafeString) else str
    parts = ((_mark(part.text) if part.is_escaped else plain(part.text),) for part in parts_of(str(text)))
    return format_html_join("", "{}", parts)


def _mark(text: str) -> SafeString:
    return format_html('<span class="hidden-character" title="{}">{}</span>', _("an invisible character"), text)


@register.filter
def short(text: object, letters: int = SHORT_LETTERS) -> str:
    """Return a long identifier with its middle left out. Always beside a way to see it whole."""
    whole = str(text)
    if len(whole) <= letters:
        return whole
    tail = max(4, letters // 3)
    return f"{whole[: letters - tail - 1]}…{whole[-tail:]}"


@register.filter
def amount(value: object, currency: str = "") -> str:
    """Return a decimal string with grouped digits and its currency; what is no number is returned as it came."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return f"{value} {currency}".strip()
    places = max(0, -int(number.as_tuple().exponent)) if number.is_finite() else 0
    return f"{number_format(number, decimal_pos=places, force_grouping=True)} {currency}".strip()


@register.filter
def grouped(number: int) -> str:
    """Return a whole number with its digits in groups: 10,482,101."""
    return f"{number:,}"


@register.filter
def state_word(state: object) -> str:
    """Return what a state is called on pages."""
    return _(_STATES.get(str(state), (str(state), ""))[0])


@register.filter
def state_tone(state: object) -> str:
    """Return the tone of a state: yes, no, waiting, info or plain."""
    return _STATES.get(str(state), ("", "plain"))[1]


@register.filter
def reversibility_word(reversibility: object) -> str:
    """Return what a class of reversibility is called on pages."""
    return _(_REVERSIBILITY.get(str(reversibility), (str(reversibility), ""))[0])


@register.filter
def reversibility_tone(reversibility: object) -> str:
    """Return the tone of a class of reversibility; an unknown one looks as hard as the hardest."""
    return _REVERSIBILITY.get(str(reversibility), ("", "no"))[1]


@register.filter
def percent_of(part: object, whole: object) -> int:
    """Return how much of the whole a part is, 0 to 100, for meters."""
    try:
        total = Decimal(str(whole))
        return 0 if total <= 0 else max(0, min(100, int(Decimal(str(part)) * 100 / total)))
    except InvalidOperation:
        return 0


@register.filter
def joined(words: Sequence[object]) -> str:
    """Return words as a list in a sentence: a, b and c."""
    texts = [str(word) for word in words]
    if len(texts) < 2:
        return "".join(texts)
    return _("%(head)s and %(last)s") % {"head": ", ".join(texts[:-1]), "last": texts[-1]}
