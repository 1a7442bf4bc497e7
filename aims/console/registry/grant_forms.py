"""Forms in which a grant is given, passed on and narrowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from aims.authorization import budget
from aims.authorization.models import DEPTH_MAX, DelegationGrant
from aims.authorization.services.grants import MISSION_MAX, UNTIL_MAX, NarrowGrant
from aims.console.management import audience
from aims.console.registry.grant_words import depth_words
from aims.identifier.models import Agent, AgentState, Resource, ResourceAction
from aims.kit import clock
from aims.people.models import User

UNTIL_DEFAULT = timedelta(days=30)
MOMENT = "%Y-%m-%dT%H:%M"
AMOUNTS_MAX = 600  # characters: 16 lines


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


class RecipientForm(forms.Form):
    """To which agent a grant is passed on."""

    agent = forms.ModelChoiceField(
        label=_("To the agent"), queryset=Agent.objects.none(), to_field_name="ref", empty_label=_("Choose an agent")
    )

    def __init__(self, data: Any, *, agents: QuerySet[Agent]) -> None:
        super().__init__(data)
        choice = self.fields["agent"]
        assert isinstance(choice, forms.ModelChoiceField)
        choice.queryset = agents


def _moment(label: Any, **more: Any) -> forms.DateTimeField:
    widget = forms.DateTimeInput(format=MOMENT, attrs={"type": "datetime-local"})
    return forms.DateTimeField(label=label, input_formats=[MOMENT, f"{MOMENT}:%S"], widget=widget, **more)


def _count(label: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, min_value=1, max_value=budget.COUNT_MAX)


class BudgetForm(forms.Form):
    """How much: what is left empty is not limited."""

    count = _count(_("How often in all"))
    per_hour = _count(_("How often an hour"))
    per_day = _count(_("How often a day"))
    amounts = forms.CharField(
        label=_("How much money in all"),
        help_text=_("One currency a line, such as 25000.00 EUR. Money in another one is then not allowed at all."),
        widget=forms.Textarea(attrs={"rows": 2, "class": "code", "spellcheck": "false"}),
        max_length=AMOUNTS_MAX,
        required=False,
    )

    def clean_amounts(self) -> dict[str, str]:
        """Return the amounts by currency. Raises ValidationError."""
        found: dict[str, str] = {}
        for line in self.cleaned_data["amounts"].splitlines():
            if not (words := line.split()):
                continue
            if len(words) != 2 or words[1].upper() in found:
                raise forms.ValidationError(_("Write an amount and a currency on each line, each currency once."))
            found[words[1].upper()] = words[0]
        try:
            budget.checked({"amounts": found})
        except budget.BudgetRefused as error:
            raise forms.ValidationError(str(error)) from error
        return found

    def budget(self) -> dict[str, Any]:
        """Return the budget as ``budget.checked`` gives it."""
        names = ("count", "per_hour", "per_day", "amounts")
        return budget.checked({name: self.cleaned_data.get(name) for name in names})

    def limits(self) -> list[forms.BoundField]:
        """Return the fields of the budget, as the page lists them."""
        return [self[name] for name in ("count", "per_hour", "per_day", "amounts")]


class ActionsForm(BudgetForm):
    """What a grant is about: actions, their details, an end, how far it goes. known: the actions that can be ticked."""

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
    until = _moment(_("Until"))
    depth = forms.TypedChoiceField(label=_("Passing on"), coerce=int, required=False)

    def __init__(self, data: Any, *, known: list[ResourceAction], types: list[str], depth_max: int) -> None:
        super().__init__(data)
        self.known = known
        self._choose("actions", [(row.name, row.title) for row in self.known])
        self._choose("types", [(name, name) for name in types])
        self._choose("depth", [(str(hops), depth_words(hops)) for hops in range(depth_max + 1)])
        self.fields["types"].initial = types
        self.fields["until"].help_text = _("Time zone: %(zone)s") % {"zone": timezone.get_current_timezone_name()}
        for name, is_needed in (("types", bool(types)), ("depth", depth_max > 0)):
            if not is_needed:
                del self.fields[name]

    def boxes(self) -> Iterator[Box]:
        """Yield the actions as the page lists them."""
        ticked = set(self["actions"].value() or ())
        for row in self.known:
            yield Box(row.name, row.title, row.reversibility, row.detail_type, row.name in ticked)

    def asked_types(self) -> tuple[str, ...]:
        """Return the ticked types that a ticked action asks for; the others say nothing."""
        asked = {row.detail_type for row in self.known if row.name in self.cleaned_data["actions"]}
        return tuple(name for name in self.cleaned_data.get("types", ()) if name in asked)

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices


class TermsForm(ActionsForm):
    """The second step: from whom, what, how much, from when, until when. parent: what it is a part of, if it is."""

    giver = forms.ChoiceField(label=_("From whom"), widget=forms.RadioSelect, initial="me")
    starts = _moment(_("Begins"), required=False, help_text=_("Left empty, it counts at once."))
    mission = forms.CharField(
        label=_("Mission"), help_text=_("The task in plain words."), max_length=MISSION_MAX, required=False
    )

    def __init__(self, data: Any, *, person: User, resource: Resource, parent: DelegationGrant | None = None) -> None:
        known = list(resource.actions.order_by("name"))
        if parent is not None:
            known = [row for row in known if row.name in parent.actions]
        types = sorted({row.detail_type for row in known if row.detail_type})
        if parent is not None:
            types = [name for name in types if name in parent.detail_types]
        super().__init__(data, known=known, types=types, depth_max=parent.depth - 1 if parent else DEPTH_MAX)
        self.person, self.parent = person, parent
        self._choose("giver", [("me", _("Me: it acts for me")), *self._house()])
        until = clock.now() + UNTIL_DEFAULT
        self.fields["until"].initial = timezone.localtime(min(until, parent.until_at) if parent else until)
        if parent is not None:
            del self.fields["giver"]
            put_budget(self, parent.budget)

    def clean_until(self) -> datetime:
        """Return when it ends. Raises ValidationError."""
        until: datetime = self.cleaned_data["until"]
        now = clock.now()
        if not now < until:
            raise forms.ValidationError(_("This is past."))
        if until > now + UNTIL_MAX:
            raise forms.ValidationError(_("A grant ends within a year."))
        return until

    def clean(self) -> None:
        """Raises ValidationError where it would begin after its end."""
        starts, until = self.cleaned_data.get("starts"), self.cleaned_data.get("until")
        if starts and until and starts >= until:
            self.add_error("starts", _("A grant begins before it ends."))

    def terms(self) -> dict[str, Any]:
        """Return the terms as ``GiveGrant`` names them."""
        data = self.cleaned_data
        own = self.person if data.get("giver") == "me" else None
        return {
            "from_person": self.parent.from_person if self.parent else own,
            "actions": tuple(data["actions"]),
            "detail_types": self.asked_types(),
            "until_at": data["until"],
            "starts_at": data.get("starts"),
            "mission": data["mission"].strip(),
            "budget": self.budget(),
            "depth": data.get("depth") or 0,
            "parent": self.parent,
        }

    def _house(self) -> list[tuple[str, Any]]:
        is_admin = self.person.has_role("admin")
        return [("organisation", _("The organisation: whoever it acts for"))] if is_admin else []


class NarrowForm(ActionsForm):
    """What a grant allows from now on. seen: its version when the form was opened."""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    def __init__(self, data: Any, *, grant: DelegationGrant) -> None:
        known = list(grant.resource.actions.filter(name__in=grant.actions).order_by("name"))
        super().__init__(data, known=known, types=list(grant.detail_types), depth_max=grant.depth)
        self.grant = grant
        self.fields["actions"].initial = grant.actions
        self.fields["until"].initial = timezone.localtime(grant.until_at)
        self.fields["seen"].initial = grant.version
        if "depth" in self.fields:
            self.fields["depth"].initial = str(grant.depth)
        put_budget(self, grant.budget)

    def clean_until(self) -> datetime:
        """Return when it ends; the same minute as before is the same moment, since the field shows no seconds."""
        until: datetime = self.cleaned_data["until"]
        is_same = until == self.grant.until_at.replace(second=0, microsecond=0)
        return self.grant.until_at if is_same else until

    def command(self) -> NarrowGrant:
        """Return what the verb takes."""
        data = self.cleaned_data
        return NarrowGrant(
            actions=tuple(data["actions"]),
            detail_types=self.asked_types(),
            until_at=data["until"],
            budget=self.budget(),
            depth=data.get("depth") or 0,
        )


def put_budget(form: BudgetForm, held: dict[str, Any]) -> None:
    """Let a form begin with a budget that is there."""
    for name in ("count", "per_hour", "per_day"):
        form.fields[name].initial = held.get(name)
    form.fields["amounts"].initial = "\n".join(f"{sum} {code}" for code, sum in held.get("amounts", {}).items())
