"""What a feed is made from, on the page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.feeds import wire

FORMATS = (
    ("canonical", _("The exact entries, with index and leaf hash: the copy can be verified")),
    ("ocsf", _("OCSF 1.6")),
    ("cef", _("CEF")),
)


class FeedForm(forms.Form):
    """A receiver, and how it wants to be told."""

    name = forms.CharField(label=_("Name"), max_length=100)
    kind = forms.ChoiceField(
        label=_("By"),
        choices=[("http", _("HTTP POST, JSON lines, signed")), ("syslog", _("Syslog (RFC 5424) over TLS or TCP"))],
    )
    address = forms.CharField(
        label=_("Address"),
        max_length=2048,
        help_text=_(
            "https://siem.example/in or tls://siem.example:6514. Without TLS only where AIMS_FETCH_ALLOW names it."
        ),
    )
    format = forms.ChoiceField(
        label=_("Format"),
        choices=FORMATS,
    )
    is_from_start = forms.BooleanField(label=_("Send everything from the first entry on"), required=False)

    def clean(self) -> dict[str, Any]:
        """Refuse an address that is none of its kind."""
        cleaned = super().clean() or {}
        if cleaned.get("kind") and cleaned.get("address"):
            try:
                wire.parse_address(cleaned["kind"], cleaned["address"])
            except ValueError:
                self.add_error("address", _("HTTP needs https://…, syslog tls://host:port, both without a user."))
        return cleaned
