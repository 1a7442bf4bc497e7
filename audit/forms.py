"""The filter of the log's list."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.read import Filter
from audit.write import vocabulary

WORD_MAX = 2048


class Moment(forms.DateTimeInput):
    """A native field for day and time, in the reader's zone."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%dT%H:%M")


class FilterForm(forms.Form):
    """What to look for; the address of the page is its state."""

    text = forms.CharField(label=_("Reference or word"), required=False, max_length=WORD_MAX)
    agent = forms.CharField(label=_("Agent"), required=False, max_length=WORD_MAX)
    person = forms.CharField(label=_("Person"), required=False, max_length=WORD_MAX)
    type = forms.CharField(
        label=_("Kind"), required=False, max_length=120, widget=forms.TextInput(attrs={"list": "kinds"})
    )
    decision = forms.ChoiceField(
        label=_("Decision"),
        required=False,
        choices=[
            ("", _("Any")),
            ("allow", _("Allow")),
            ("ask", _("Ask")),
            ("approve", _("Approve")),
            ("deny", _("Deny")),
        ],
    )
    resource = forms.CharField(label=_("Resource"), required=False, max_length=WORD_MAX)
    since = forms.DateTimeField(label=_("From"), required=False, widget=Moment())
    until = forms.DateTimeField(label=_("To"), required=False, widget=Moment())

    def filter(self) -> Filter:
        """Return what a valid form asks for."""
        asked: dict[str, Any] = dict(self.cleaned_data)
        return Filter(since_at=asked.pop("since"), until_at=asked.pop("until"), **asked)

    def used(self) -> list[str]:
        """Return the names of the filters in use."""
        return [name for name, value in self.cleaned_data.items() if value]


def kinds() -> list[tuple[str, str]]:
    """Return every kind of entry with its title, for the list of suggestions."""
    return sorted((name, str(event.title)) for name, event in vocabulary().items())
