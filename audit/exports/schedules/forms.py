"""What a report is scheduled with, on the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.dates import WEEKDAYS
from django.utils.translation import gettext_lazy as _

from audit.exports.bundle import REPORT
from audit.exports.forms import WORDS
from audit.exports.renderings import FORMATS
from audit.exports.schedules.due import Rhythm, zones
from audit.exports.schedules.models import Schedule
from audit.exports.schedules.services import NAME_MAX, TELLS_MAX, Asked
from audit.search.language import QUERY_MAX
from audit.search.saved import PRESETS, kept_for

WORDS_EVERY = {"day": _("Every day"), "week": _("Every week"), "month": _("On the 1st of every month")}


class ScheduleForm(forms.Form):
    """A search, how often, what for, and who is told. Of a search that is kept, the text is taken as it is now."""

    name = forms.CharField(label=_("Name"), max_length=NAME_MAX)
    kept = forms.ChoiceField(label=_("A saved search"), required=False)
    query = forms.CharField(
        label=_("Or another search"),
        required=False,
        max_length=QUERY_MAX,
        help_text=_("As on the audit page. Without a search every entry is taken, and it is proven that none is left out."),
    )  # fmt: skip
    every = forms.ChoiceField(label=_("How often"), choices=list(WORDS_EVERY.items()))
    weekday = forms.TypedChoiceField(
        label=_("A week begins on"),
        choices=list(WEEKDAYS.items()),
        coerce=int,
        required=False,
        help_text=_("Only where it comes every week."),
    )
    zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=lambda: [(name, name.replace("_", " ")) for name in sorted(zones())],
        help_text=_("A report is about the whole day, week or month before, as the calendar there has it."),
    )
    formats = forms.MultipleChoiceField(
        label=_("Beside the evidence"), required=False, widget=forms.CheckboxSelectMultiple
    )
    tells = forms.MultipleChoiceField(
        label=_("Who is told by mail"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("The mail holds a link and nothing of the log. Who may not open the link is not told."),
    )

    def __init__(self, *args: Any, people: Sequence[tuple[str, str]], reader: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        there = [REPORT, *(each.name for each in FORMATS.values() if each.is_there())]
        self._kept = {each.slug: each for each in (*kept_for(reader), *PRESETS)}
        self._choose("formats", [(name, WORDS.get(name, name)) for name in there])
        self._choose("tells", people)
        self._choose("kept", [("", _("None")), *((slug, each.name) for slug, each in self._kept.items())])

    def clean(self) -> dict[str, Any]:
        """Refuse two searches at once, and more to be told than there may be."""
        said = super().clean() or {}
        if said.get("kept") and said.get("query", "").strip():
            self.add_error("query", _("Choose a search that is kept or write another, not both."))
        if len(said.get("tells", ())) > TELLS_MAX:
            self.add_error("tells", _("At most %(n)s people.") % {"n": TELLS_MAX})
        return said

    def asked(self) -> Asked:
        """Return what a valid form asks for."""
        said = self.cleaned_data
        kept = self._kept.get(said["kept"])
        weekday = (said["weekday"] or 0) if said["every"] == "week" else None
        return Asked(
            name=said["name"],
            query=kept.query if kept else said["query"].strip(),
            formats=tuple(said["formats"]),
            rhythm=Rhythm(every=said["every"], weekday=weekday, zone=said["zone"]),
            tells=tuple(said["tells"]),
        )

    def _choose(self, name: str, choices: Sequence[tuple[str, Any]]) -> None:
        self.fields[name].choices = choices  # type: ignore[attr-defined]


def shown(row: Schedule) -> dict[str, Any]:
    """Return a schedule as the form's first values."""
    names = ("name", "query", "every", "weekday", "zone", "formats", "tells")
    return {name: getattr(row, name) for name in names}
