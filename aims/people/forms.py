"""Forms of this room's pages: input into typed values, nothing else."""

from __future__ import annotations

from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from aims.people.models import Role


def _zones() -> list[tuple[str, str]]:
    return [(zone, zone.replace("_", " ")) for zone in sorted(available_timezones())]


class ProfileForm(forms.Form):
    """What people may change about themselves."""

    name = forms.CharField(label=_("Name"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    locale = forms.ChoiceField(label=_("Language"), choices=lambda: list(settings.LANGUAGES))
    time_zone = forms.ChoiceField(label=_("Time zone"), choices=_zones)


class JoinForm(forms.Form):
    """What people say of themselves when they enrol."""

    name = forms.CharField(label=_("Your name"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    time_zone = forms.ChoiceField(
        label=_("Time zone"), choices=_zones, widget=forms.Select(attrs={"data-guess": "time-zone"})
    )
    key_name = forms.CharField(
        label=_("Name of this passkey"),
        help_text=_("So that you can tell it from others, such as “Laptop” or “Blue security key”."),
        max_length=80,
        required=False,
    )


class KeyNameForm(forms.Form):
    """The name of a passkey."""

    key_name = forms.CharField(label=_("Name of the passkey"), max_length=80)


class InviteForm(forms.Form):
    """Whom to invite, and to what."""

    email = forms.EmailField(label=_("E-mail address"), max_length=254)
    name = forms.CharField(label=_("Name"), max_length=120)
    roles = forms.MultipleChoiceField(
        label=_("Roles"), choices=Role.choices, widget=forms.CheckboxSelectMultiple, required=False
    )


class GroupForm(forms.Form):
    """A group that policies can name."""

    slug = forms.SlugField(
        label=_("Short name"), help_text=_("As policies write it, such as “finance”."), max_length=64
    )
    name = forms.CharField(label=_("Name"), max_length=120)
