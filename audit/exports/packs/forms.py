"""What an evidence pack is asked for with, on the page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.exports.forms import WORDS
from audit.exports.renderings import FORMATS


class PackForm(forms.Form):
    """What to put beside the story and its entries. surroundings: how many entries lie between; None: not offered."""

    surroundings = forms.BooleanField(label=gettext_lazy("Everything in between"), required=False)
    formats = forms.MultipleChoiceField(
        label=gettext_lazy("Beside the evidence"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy(
            "The exact bytes of each entry, proofs, the story as a PDF and a verifier are always in it."
        ),
    )

    def __init__(self, *args: Any, surroundings: int | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        there = [each.name for each in FORMATS.values() if each.is_there()]
        self.fields["formats"].choices = [(name, WORDS.get(name, name)) for name in there]  # type: ignore[attr-defined]
        if surroundings is None:
            del self.fields["surroundings"]
            return
        self.fields["surroundings"].help_text = _(
            "All %(n)s entries from the first to the last, whatever they are about. Only this proves that nothing was left out."
        ) % {"n": f"{surroundings:,}"}
