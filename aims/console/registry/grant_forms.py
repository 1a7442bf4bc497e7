"""Forms of the two steps in which a grant is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from aims.authorization.services.grants import MISSION_MAX, UNTIL_MAX
from aims.console.management import audience
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit import clock
from aims.people.models import User

UNTIL_DEFAULT = timedelta(days=30)
MOMENT = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True)
class Box:
    """One action that can be ticked."""

    name: str
    title: str
    reversibility: str
    detail_type: str
    is_ticked: bool


def agents_for(person: User) -> QuerySet[Agent]:
    """Return the agents that this person may give something to: all for admins, their own for owners."""
    agents = Agent.objects.exclude(state=AgentState.RETIRED).order_by("name", "pk")
    return agents if person.has_role("admin") else agents.filter(owner=person)


def resources_for(person: User) -> QuerySet[Resource]:
    """Return the resources at which this person may give something.

    What is granted at our own API lets an agent manage others, so only who may manage may give it.
    """
    resources = Resource.objects.filter(retired_at=None).order_by("name", "pk")
    return resources if person.has_role("admin") else resources.exclude(identifier=audience())


class PlaceForm(forms.Form):
    """The first step: to whom, and where."""

    agent = forms.ModelChoiceField(
        label=_("Agent"), queryset=Agent.objects.none(), to_field_name="ref", empty_label=_("Choose an agent")
    )
    resource = forms.ModelChoiceField(
        label=_("Resource"), queryset=Resource.objects.none(), to_field_name="ref", empty_label=_("Choose a resource")
    )

    def __init__(self, data: Any, *, person: User, initial: Any = None) -> None:
        super().__init__(data, initial=initial)
        for name, rows in (("agent", agents_for(person)), ("resource", resources_for(person))):
            choice = self.fields[name]
            assert isinstance(choice, forms.ModelChoiceField)
            choice.queryset = rows


class TermsForm(forms.Form):
    """The second step: from whom, what, and until when."""

    giver = forms.ChoiceField(label=_("From whom"), widget=forms.RadioSelect, initial="me")
    actions = forms.MultipleChoiceField(
        label=_("What it may do"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Tick at least one action.")},
    )
    types = forms.MultipleChoiceField(
        label=_("With these details"),
        help_text=_(
            "The kinds of request it may make. Without its kind an action can only be asked for as a bare scope."
        ),
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    until = forms.DateTimeField(
        label=_("Until"),
        input_formats=[MOMENT, f"{MOMENT}:%S"],
        widget=forms.DateTimeInput(format=MOMENT, attrs={"type": "datetime-local"}),
    )
    mission = forms.CharField(
        label=_("Mission"), help_text=_("The task in plain words."), max_length=MISSION_MAX, required=False
    )

    def __init__(self, data: Any, *, person: User, resource: Resource) -> None:
        super().__init__(data)
        self.person = person
        self.known = list(resource.actions.order_by("name"))
        types = sorted({row.detail_type for row in self.known if row.detail_type})
        self._choose("actions", [(row.name, row.title) for row in self.known])
        self._choose("types", [(name, name) for name in types])
        self._choose("giver", [("me", _("Me: it acts for me")), *self._house()])
        self.fields["types"].initial = types
        self.fields["until"].initial = timezone.localtime(clock.now() + UNTIL_DEFAULT)
        self.fields["until"].help_text = _("At most a year. Time zone: %(zone)s") % {
            "zone": timezone.get_current_timezone_name()
        }
        if not types:
            del self.fields["types"]

    def boxes(self) -> Iterator[Box]:
        """Yield the actions as the page lists them."""
        ticked = set(self["actions"].value() or ())
        for row in self.known:
            yield Box(row.name, row.title, row.reversibility, row.detail_type, row.name in ticked)

    def clean_until(self) -> datetime:
        """Return when it ends. Raises ValidationError."""
        until: datetime = self.cleaned_data["until"]
        now = clock.now()
        if not now < until:
            raise forms.ValidationError(_("This is past."))
        if until > now + UNTIL_MAX:
            raise forms.ValidationError(_("A grant ends within a year."))
        return until

    def terms(self) -> dict[str, Any]:
        """Return the terms as ``GiveGrant`` names them; types that no ticked action asks for say nothing."""
        data = self.cleaned_data
        asked = {row.detail_type for row in self.known if row.name in data["actions"]}
        return {
            "from_person": self.person if data["giver"] == "me" else None,
            "actions": tuple(data["actions"]),
            "detail_types": tuple(name for name in data.get("types", ()) if name in asked),
            "until_at": data["until"],
            "mission": data["mission"].strip(),
        }

    def _house(self) -> list[tuple[str, Any]]:
        is_admin = self.person.has_role("admin")
        return [("organisation", _("The organisation: whoever it acts for"))] if is_admin else []

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices
