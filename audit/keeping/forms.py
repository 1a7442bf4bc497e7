"""Forms over personal values. What is asked for goes by POST only: an address in an URL would be in every log."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.keeping.commitment import VALUE_MAX_BYTES
from audit.keeping.showing import searchable

REASONS = [
    ("audit", _("An audit asks for it")),
    ("incident", _("An incident is looked into")),
    ("person", _("The person concerned asks for it")),
    ("law", _("A law or a court asks for it")),
]
FIELDS = {"email": _("E-mail address"), "name": _("Name"), "address": _("Network address")}


class RevealForm(forms.Form):
    """Which value is to be shown, and why."""

    field = forms.CharField(max_length=40, widget=forms.HiddenInput)
    reason = forms.ChoiceField(label=_("Why you need it"), choices=REASONS)
    form = forms.ChoiceField(choices=[("page", "page"), ("json", "json")], required=False)


class FindForm(forms.Form):
    """A personal value to be found, exactly."""

    field = forms.ChoiceField(label=_("What it is"))
    value = forms.CharField(
        label=_("The value"),
        help_text=_(
            "The whole value; capitals don't matter. It is sent once and kept nowhere: the log says that you searched, not for what."
        ),
        max_length=VALUE_MAX_BYTES,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["field"].choices = [(name, FIELDS.get(name, name)) for name in searchable()]  # type: ignore[attr-defined]
