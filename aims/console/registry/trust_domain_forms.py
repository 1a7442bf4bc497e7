"""Forms of the pages about trust domains."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from aims.console.registry.forms import UriField, strict_json
from aims.credentials.models import TrustBundle
from aims.credentials.services.bundles import BUNDLE_MAX_BYTES


class TrustDomainForm(forms.Form):
    """A trust domain."""

    name = forms.CharField(
        label=_("Name"),
        help_text=_("The part of identifiers after spiffe://, such as acme.example."),
        max_length=255,
        widget=forms.TextInput(attrs={"class": "mono", "autocomplete": "off", "spellcheck": "false"}),
    )

    def clean_name(self) -> str:
        """Return the name in lower case."""
        return str(self.cleaned_data["name"]).lower()


class BundleForm(forms.Form):
    """The keys of a trust domain: given here, or fetched from an address."""

    bundle = forms.CharField(
        label=_("Trust bundle"),
        help_text=_(
            "A JWK set whose keys say their use: x509-svid, jwt-svid or wit-svid. What is taken out vouches no more."
        ),
        required=False,
        max_length=BUNDLE_MAX_BYTES,
        widget=forms.Textarea(attrs={"rows": 8, "class": "code", "spellcheck": "false"}),
    )
    endpoint_url = UriField(
        label=_("Or where it is fetched"),
        help_text=_("An https address that you know from the domain itself. We ask it as often as the bundle says."),
    )

    def clean_bundle(self) -> object:
        """Return the bundle, or None. Raises ValidationError."""
        return strict_json(self.cleaned_data["bundle"])


def of_bundle(row: TrustBundle | None) -> dict[str, Any]:
    """Return what a bundle's form shows at first."""
    held = row.document if row else None
    return {
        "bundle": json.dumps(held, indent=2) if held else "",
        "endpoint_url": row.endpoint_url if row else "",
    }
