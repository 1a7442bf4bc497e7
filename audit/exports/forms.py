"""What an export is asked for with, on the page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.exports.bundle import REPORT
from audit.exports.renderings import FORMATS
from audit.search.language import QUERY_MAX

INDEX_MAX = 10**18
WORDS = {
    "csv": _("CSV, for a spreadsheet"),
    "parquet": _("Parquet, for analysis"),
    "ocsf": _("OCSF 1.6, for a SIEM"),
    "cadf": _("CADF"),
    "pdf": _("PDF report"),
}


class ExportForm(forms.Form):
    """A search, a range, or both; and what to write beside the evidence."""

    query = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=QUERY_MAX,
        help_text=_(
            "As on the audit page. Empty takes every entry, and only then it can be proven that none is left out."
        ),
    )
    first = forms.IntegerField(label=_("From entry"), required=False, min_value=0, max_value=INDEX_MAX)
    last = forms.IntegerField(label=_("To entry"), required=False, min_value=0, max_value=INDEX_MAX)
    formats = forms.MultipleChoiceField(
        label=_("Beside the evidence"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("The exact bytes of each entry (JSON Lines), proofs and a verifier are always in it."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        there = [REPORT, *(each.name for each in FORMATS.values() if each.is_there())]
        self.fields["formats"].choices = [(name, WORDS.get(name, name)) for name in there]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Refuse a range that runs backwards."""
        cleaned = super().clean() or {}
        first, last = cleaned.get("first"), cleaned.get("last")
        if first is not None and last is not None and last < first:
            self.add_error("last", _("The last entry comes before the first."))
        return cleaned
