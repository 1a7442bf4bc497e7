"""What /patterns/ shows: every component with every input that changes how it looks."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django import forms
from django.conf import settings
from django.utils.translation import gettext_lazy as _

from aims.kit import clock
from aims.policy import engine

COMPONENTS = Path(settings.BASE_DIR) / "templates" / "components"
EXAMPLES = Path(settings.BASE_DIR) / "templates" / "patterns"
_RULES = """
@id("within-a-grant") @says("An active agent may read inside a grant.")
permit (principal, action, resource) when { context.has_grant };
@id("ask-two") @ask("owner, group:finance") @exclude("subject") @lifetime("3600") @use_within("300")
permit (principal, action, resource);
@id("never") @says("Nothing at night.") forbid (principal, action, resource);
"""


class ExampleForm(forms.Form):
    """A field of each kind, some of them wrong."""

    name = forms.CharField(label=_("Name"), help_text=_("What people call it. Shown on every card."), max_length=80)
    identifier = forms.CharField(label=_("Identifier"), initial="spiffe://acme.example/agent/courier")
    purpose = forms.CharField(label=_("Purpose"), widget=forms.Textarea(attrs={"rows": 3}), required=False)
    owner = forms.ChoiceField(label=_("Owner"), choices=[("a", "Ada Lindqvist"), ("b", "Ben Osei")])
    roles = forms.MultipleChoiceField(
        label=_("Roles"), choices=[("approver", "Approver"), ("owner", "Owner")], widget=forms.CheckboxSelectMultiple
    )
    is_known = forms.BooleanField(label=_("I know this agent"), required=False)

    def clean(self) -> dict[str, Any]:
        """Always find fault with the form as a whole, so that the page shows how that looks."""
        raise forms.ValidationError(_("This identifier was used before, by an agent that is retired now."))


def component_names() -> list[str]:
    """Return every component there is, by the name of its file."""
    return sorted(path.stem for path in COMPONENTS.glob("*.html"))


def example_context() -> dict[str, Any]:
    """Return the values that the examples use."""
    now = clock.now()
    return {
        "components": [{"name": name, "example": f"patterns/{name}.html"} for name in component_names()],
        "now": now,
        "moments": [now - timedelta(seconds=s) for s in (12, 240, 10_800, 300_000)] + [now + timedelta(seconds=250)],
        "form": ExampleForm({"name": "", "identifier": "spiffe://acme.example/agent/courier", "owner": "a"}),
        "tabs": [
            {"label": _("Open"), "href": "#tabs", "is_current": True, "count": 3},
            {"label": _("Decided"), "href": "#tabs", "is_current": False, "count": 128},
            {"label": _("All"), "href": "#tabs", "is_current": False},
        ],
        "rows": _rows(),
        "entries": _entries(),
        "items": [
            {"label": "Inbox", "href": "#nav-item", "icon": "inbox", "count": 3, "is_current": True},
            {"label": "Agents", "href": "#nav-item", "icon": "plug", "count": 0, "is_current": False},
        ],
        "meter": {"percent": 73, "label": "Budget used", "tone": "plain"},
        "points": ["2 tokens end now", "1 waiting request is withdrawn"],
        "diff": [
            ("place", "@@ -6,3 +6,3 @@"),
            ("", "permit (principal, action, resource)"),
            ("no", '-when { context.amount.lessThan(decimal("1000.0")) };'),
            ("yes", '+when { context.amount.lessThan(decimal("500.0")) };'),
        ],
        "rules": list(engine.compile(_RULES).rules.values()),
        "hostile": "Invoice matches\u202e gnp.exe\u200b the purchase order.",
        "query_error": {
            "message": "There is no field “agnt”. Did you mean “agent”?",
            "line": "decision:denied agnt:courier",
            "carets": "                ^^^^",
            "nearest": "agent",
            "href": "#query-error",
        },
        "query_chips": [{"text": text, "href": "#query-bar"} for text in ("agent:courier", "after:7d")],
        "facets": _facets(),
        "bars": _bars(),
        "digest": "sha-256:41ab9Xk0r7cYw3mZ1n8eQvT5uLh2fJdGsPoKiRbNxAw",
    }


def _rows() -> list[dict[str, str]]:
    return [
        {"label": "Amount", "value": "4,200.00 EUR", "kind": "number"},
        {"label": "To", "value": "Nordwind GmbH", "sub": "DE02 1203 0000 0000 2020 51"},
        {"label": "Agent", "value": "Courier", "href": "#facts"},
        {"label": "Identifier", "value": "spiffe://acme.example/agent/courier", "kind": "mono"},
        {"label": "Reference", "value": "Invoice 2026-1187\u202ecod.exe"},
    ]


def _facets() -> list[dict[str, Any]]:
    values = [
        {"text": "Courier", "sub": "spiffe://acme.example/agent/courier", "n": 1204, "href": "#facets", "is_on": True},
        {"text": "https://payments.acme.example/", "sub": "", "n": 80, "href": "#facets", "is_on": False},
    ]
    return [{"label": _("Agent"), "values": values}, {"label": _("Decision"), "values": values[1:]}]


def _bars() -> list[dict[str, Any]]:
    start, hour = clock.now().replace(minute=0, second=0, microsecond=0), timedelta(hours=1)
    counts = [(40, 30, 2, 1), (64, 50, 4, 2), (0, 0, 0, 0), (22, 4, 2, 14), (31, 20, 9, 0)]
    return [
        {
            "start": start + at * hour,
            "end": start + (at + 1) * hour,
            "n": n,
            "yes": yes,
            "waiting": waiting,
            "no": no,
            "href": "#histogram",
        }
        for at, (n, yes, waiting, no) in enumerate(counts)
    ]


def _entries() -> list[dict[str, Any]]:
    now = clock.now()
    asked = {
        "at": now,
        "title": "Asked a person",
        "tone": "waiting",
        "sub": "irreversible · policy 14",
        "who": "Courier",
    }
    where = {"whom": "for Ada Lindqvist", "resource": "Payments API", "resource_sub": "pay 4,200.00 EUR"}
    return [
        asked | where | {"href": "#entry-row", "index": None},
        asked
        | where
        | {"title": "Approved with passkey", "tone": "yes", "sub": "", "href": "#entry-row", "index": 10_482_101},
        asked | {"title": "Denied", "tone": "no", "who": "Ada Lindqvist", "href": "#entry-row", "index": 10_480_392},
        asked | {"title": "Key published", "tone": "info", "who": "system", "href": "#entry-row", "index": 10_480_001},
        asked | {"title": "Policy loaded", "tone": "plain", "who": "cli:root", "href": "#entry-row", "index": 9},
    ]
