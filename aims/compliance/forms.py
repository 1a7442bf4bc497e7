"""Forms of this room: input into typed values, nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from aims.compliance.kinds import Reason
from aims.identifier.queries import agent_named
from aims.people.models import User
from aims.people.queries import person_by_email, person_by_ref
from aims.people.services import SeatTerms
from aims.people.services.seats import AGENTS_MAX, GUEST_MAX
from audit import keep

BASES = [
    ("request", gettext_lazy("The person objects, or asks for it")),
    ("withdrawn", gettext_lazy("Their consent was withdrawn")),
    ("purpose_over", gettext_lazy("The purpose is over")),
    ("unlawful", gettext_lazy("It was unlawful to keep it")),
    ("law", gettext_lazy("A law obliges us")),
]
KINDS = [
    ("person", gettext_lazy("What speaks of a person")),
    ("agent", gettext_lazy("What speaks of an agent")),
    ("period", gettext_lazy("What was recorded in a period")),
    ("all", gettext_lazy("Everything")),
]
DAYS_DEFAULT, DAYS_MAX = 30, GUEST_MAX.days
STAFF_DAYS_MAX = 3660
_DAY = {"type": "date"}


class LastsForm(forms.Form):
    """How much longer a seat lasts."""

    days = forms.IntegerField(
        label=gettext_lazy("Days from now"), min_value=1, max_value=STAFF_DAYS_MAX, initial=DAYS_DEFAULT
    )


class SeatForm(forms.Form):
    """Whom to seat, for how long, and before which part of the log."""

    email = forms.EmailField(label=gettext_lazy("E-mail address"), max_length=254)
    name = forms.CharField(label=gettext_lazy("Name"), max_length=120, required=False)
    is_guest = forms.BooleanField(
        label=gettext_lazy("A guest from outside"),
        help_text=gettext_lazy("A guest's seat ends by itself, after 90 days at the latest. You can prolong it."),
        initial=True,
        required=False,
    )
    days = forms.IntegerField(
        label=gettext_lazy("For how many days"),
        help_text=gettext_lazy("Empty only for one of the house: the seat then lasts until you end it."),
        min_value=1,
        max_value=STAFF_DAYS_MAX,
        initial=DAYS_DEFAULT,
        required=False,
    )
    agents = forms.CharField(
        label=gettext_lazy("Only these agents"),
        help_text=gettext_lazy("One identifier a line. Empty: the whole log, also what is about no agent."),
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        max_length=16_384,
        required=False,
    )
    since = forms.DateField(
        label=gettext_lazy("From this day of the log on (UTC)"), widget=forms.DateInput(attrs=_DAY), required=False
    )
    until = forms.DateField(
        label=gettext_lazy("To the end of this day (UTC)"), widget=forms.DateInput(attrs=_DAY), required=False
    )

    def clean_agents(self) -> tuple[str, ...] | None:
        """Return the identifiers, each of an agent that there is; None for none."""
        lines = [line.strip() for line in str(self.cleaned_data["agents"]).splitlines() if line.strip()]
        if len(lines) > AGENTS_MAX:
            raise forms.ValidationError(_("At most %(n)s agents.") % {"n": AGENTS_MAX})
        unknown = [line for line in lines if agent_named(line) is None]
        if unknown:
            raise forms.ValidationError(_("There is no agent %(name)s.") % {"name": unknown[0][:200]})
        return tuple(lines) or None

    def clean(self) -> dict[str, Any]:
        """Hold a guest to an end, and a period to its order."""
        data = super().clean() or self.cleaned_data
        days, since, until = data.get("days"), data.get("since"), data.get("until")
        if data.get("is_guest") and "days" in data and (days is None or days > DAYS_MAX):
            self.add_error("days", _("Say a number of days from 1 to %(n)s.") % {"n": DAYS_MAX})
        if since and until and since > until:
            self.add_error("until", _("This day is before the first one."))
        return data

    def terms(self, now: datetime) -> SeatTerms:
        """Return the terms of a valid form."""
        data = self.cleaned_data
        return SeatTerms(
            is_guest=data["is_guest"],
            until_at=now + timedelta(days=data["days"]) if data["days"] else None,
            agents=data["agents"],
            period_since_at=_midnight(data["since"]),
            period_until_at=_midnight(data["until"] and data["until"] + timedelta(days=1)),
        )


def _midnight(day: date | None) -> datetime | None:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) if day else None


class AskForm(forms.Form):
    """Why something is asked of a second person."""

    reason = forms.ChoiceField(label=gettext_lazy("Why"), choices=Reason.choices)
    note = forms.CharField(
        label=gettext_lazy("In your own words"),
        help_text=gettext_lazy(
            "The second person reads and signs it. It stays out of the log: name nobody who is to be erased."
        ),
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=1_000,
        required=False,
    )


class RetentionForm(AskForm):
    """How long the log is kept."""

    field_order = ("months", "reason", "note")
    months = forms.IntegerField(
        label=gettext_lazy("Months"),
        help_text=gettext_lazy("Longer takes effect at once. Shorter is asked of a second person first."),
        min_value=keep.MONTHS_MIN,
        max_value=keep.MONTHS_MAX,
    )


class EraseForm(AskForm):
    """Who is to be erased, and on what basis."""

    field_order = ("person", "basis", "reason", "note")
    person = forms.CharField(
        label=gettext_lazy("Person"), help_text=gettext_lazy("Reference or e-mail address."), max_length=254
    )
    basis = forms.ChoiceField(
        label=gettext_lazy("Legal basis"), help_text=gettext_lazy("GDPR Art. 17 (1)."), choices=BASES
    )

    def clean_person(self) -> User:
        """Return the person. Raises ValidationError for nobody, and for who was erased."""
        said = str(self.cleaned_data["person"]).strip()
        found = person_by_ref(said) or person_by_email(said)
        if found is None or found.erased_at is not None:
            raise forms.ValidationError(_("There is nobody with this reference or address."))
        return found


class HoldForm(forms.Form):
    """What is to be held, and why."""

    kind = forms.ChoiceField(label=gettext_lazy("What it holds"), choices=KINDS)
    person = forms.CharField(
        label=gettext_lazy("Person"), help_text=gettext_lazy("Reference, usr_…"), max_length=2048, required=False
    )
    agent = forms.CharField(
        label=gettext_lazy("Agent"), help_text=gettext_lazy("Identifier."), max_length=2048, required=False
    )
    since = forms.DateField(
        label=gettext_lazy("From this day on (UTC)"), widget=forms.DateInput(attrs=_DAY), required=False
    )
    until = forms.DateField(
        label=gettext_lazy("To the end of this day (UTC)"), widget=forms.DateInput(attrs=_DAY), required=False
    )
    reason = forms.CharField(
        label=gettext_lazy("Why"),
        help_text=gettext_lazy("A case number, a sentence. It stays beside the log."),
        widget=forms.Textarea(attrs={"rows": 2}),
        max_length=1_000,
    )

    def told(self) -> dict[str, Any]:
        """Return what a valid form asks for."""
        data = self.cleaned_data
        until = data["until"] and data["until"] + timedelta(days=1)
        told = {name: data[name].strip() for name in ("kind", "person", "agent", "reason")}
        return {**told, "since_at": _midnight(data["since"]), "until_at": _midnight(until)}
