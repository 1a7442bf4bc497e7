"""What a person may narrow before they agree, read into terms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from aims.authorization import budget, cards
from aims.authorization.authorize import Requested
from aims.authorization.cards import money
from aims.authorization.identity import EMAIL, OFFLINE, OPENID, PROFILE, grounded
from aims.authorization.services.seeking import Sought, Terms
from aims.authorization.wanted import Wanted

HOUR_S, DAY_S = 3600, 86_400
SPANS = {
    HOUR_S: _("an hour"),
    DAY_S: _("a day"),
    7 * DAY_S: _("a week"),
    30 * DAY_S: _("30 days"),
}
STAYING_S, PASSING_S = DAY_S, HOUR_S  # what is chosen at first: with offline_access, and without
LIMITS = ("count", "per_hour", "per_day")


@dataclass(frozen=True)
class Box:
    """Something asked for that can be left out. kind: scope or detail; rows: of a typed card."""

    kind: str
    value: str
    title: str
    sub: str
    reversibility: str
    is_ticked: bool
    is_bare: bool = False
    rows: tuple[cards.Row, ...] = ()


def _times(label: Any) -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=1, max_value=budget.COUNT_MAX, required=False)


class ConsentForm(forms.Form):
    """Untick, shorten, limit. Nothing here can widen what was asked for."""

    scope = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    detail = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    span = forms.TypedChoiceField(
        label=_("For how long"), coerce=int, choices=list(SPANS.items()), widget=forms.RadioSelect, required=False
    )
    count = _times(_("Times in all"))
    per_hour = _times(_("Times an hour"))
    per_day = _times(_("Times a day"))

    def __init__(self, data: Any, *, requested: Requested, sought: Sought) -> None:
        super().__init__(data)
        self.requested, self.sought = requested, sought
        self._choose("scope", [(word, word) for word in requested.scope])
        self._choose("detail", [(str(at), str(at)) for at in range(len(requested.details))])
        self.fields["span"].initial = STAYING_S if OFFLINE in requested.scope else PASSING_S
        self.currencies = tuple(sorted(budget.money_of(requested.details)))
        for code in self.currencies:
            label = _("%(currency)s in all") % {"currency": code}
            self.fields[f"amount_{code}"] = forms.CharField(label=label, max_length=20, required=False)
        if sought.resource is None:
            for name in ("span", *self.limit_names):
                del self.fields[name]

    @property
    def limit_names(self) -> tuple[str, ...]:
        """The fields of the budget."""
        return (*LIMITS, *(f"amount_{code}" for code in self.currencies))

    def limits(self) -> list[forms.BoundField]:
        """Return the bound fields of the budget."""
        return [self[name] for name in self.limit_names if name in self.fields]

    def details(self) -> Iterator[Box]:
        """Yield the objects asked for, each as its typed card says it."""
        assert self.sought.resource is not None
        resource = self.sought.resource
        for at, detail in enumerate(self.requested.details):
            ours = [item for item in self.sought.wanted if item.detail is detail]
            yield Box(
                kind="detail",
                value=str(at),
                title=cards.sentence_of(detail, resource=resource.name),
                sub=", ".join(item.action.title for item in ours),
                reversibility=max((item.reversibility for item in ours), key=cards.HARDNESS.index),
                is_ticked=self._is_ticked("detail", str(at)),
                rows=cards.rows_of(detail, resource=resource.identifier),
            )

    def actions(self) -> Iterator[Box]:
        """Yield the actions that the scope names."""
        for item in self.sought.wanted:
            if item.detail is None:
                yield self._action(item)

    def words(self) -> Iterator[Box]:
        """Yield what the scope asks for besides actions: staying, and who the person is."""
        said = {
            OFFLINE: (_("Go on while you are away"), _("It gets new tokens without you, until the end that you set.")),
            OPENID: (_("Know who you are"), _("A name for you that only this agent gets, and how you signed in.")),
            PROFILE: (_("Know your name"), _("As it stands here.")),
            EMAIL: (_("Know your email address"), _("The one that you sign in with here.")),
        }
        for word, (title, sub) in said.items():
            if word in self.requested.scope:
                yield Box("scope", word, str(title), str(sub), "", self._is_ticked("scope", word))

    def clean(self) -> dict[str, Any]:
        """Raises ValidationError where nothing is left, or a limit is none."""
        data = super().clean() or {}
        data["scope"] = list(grounded(data.get("scope", [])))  # who takes openid away takes along what it would tell
        left = [word for word in data["scope"] if word in self.requested.actions]
        if self.sought.resource is not None and not left and not data.get("detail"):
            raise forms.ValidationError(_("Nothing is left. Keep at least one thing, or deny."))
        if self.sought.resource is None and OPENID not in data["scope"]:
            raise forms.ValidationError(_("Nothing is left. Keep at least one thing, or deny."))
        for code in self.currencies:
            name = f"amount_{code}"
            amount = str(data.get(name, "")).strip().replace(",", "")
            if amount and not money.is_amount(amount, code):
                self.add_error(name, _("Write a plain amount, such as 250.00."))
            data[name] = amount
        return data

    def terms(self, *, now: datetime) -> Terms:
        """Return what the person agrees to."""
        data = self.cleaned_data
        amounts = {code: data[f"amount_{code}"] for code in self.currencies if data.get(f"amount_{code}")}
        limits: dict[str, Any] = {name: data.get(name) for name in LIMITS}
        span = timedelta(seconds=data.get("span") or PASSING_S)
        return Terms(
            scope=tuple(data["scope"]),
            details=tuple(int(at) for at in data["detail"]),
            until_at=now + span,
            budget=budget.checked(limits | ({"amounts": amounts} if amounts else {})),
        )

    def _action(self, item: Wanted) -> Box:
        name, is_bare = item.action.name, item.reversibility != cards.HARDNESS[0]
        ticked = self._is_ticked("scope", name)
        return Box("scope", name, item.action.title, name, item.reversibility, ticked, is_bare=is_bare)

    def _is_ticked(self, name: str, value: str) -> bool:
        return not self.is_bound or value in (self[name].value() or ())

    def _choose(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices
