"""Lists, a page at a time by key: a row that comes or goes meanwhile moves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django import forms
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

PAGE_DEFAULT, PAGE_MAX = 50, 200
TEXT_MAX = 200

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, kw_only=True)
class Listing(Generic[Row]):
    """One page of a list. first, next: addresses, empty where there is nowhere to go."""

    rows: list[Row]
    first: str
    next: str


class SearchForm(forms.Form):
    """What to look for in a list: a text, and a state."""

    q = forms.CharField(label=_("Search"), required=False, max_length=TEXT_MAX)
    state = forms.ChoiceField(label=_("State"), required=False)

    def __init__(self, data: Any, *, states: list[tuple[str, Any]]) -> None:
        super().__init__(data)
        choices = self.fields["state"]
        assert isinstance(choices, forms.ChoiceField)
        choices.choices = [("", _("Any state")), *states]

    @property
    def is_used(self) -> bool:
        """Whether anything is looked for."""
        return any(self.data.get(name) for name in self.fields)

    def wanted(self) -> dict[str, str]:
        """Return what to look for, as the rooms' queries name it."""
        return {"text": str(self.cleaned_data["q"]), "state": str(self.cleaned_data["state"])}


def listed(request: HttpRequest, rows: QuerySet[Row], *, by: tuple[str, ...], key: str = "ref") -> Listing[Row]:
    """Return the page that the query asks for: ``after`` is the key of the last row seen, ``limit`` how many.

    by: the fields that order the list, the last of them unique; with a minus where they fall.
    """
    after, limit = request.GET.get("after", ""), _limit(request.GET.get("limit", ""))
    found = list(_behind(rows, after, by=by, key=key).order_by(*by)[: limit + 1])
    following = str(getattr(found[limit - 1], key)) if len(found) > limit else ""
    return Listing(
        rows=found[:limit],
        first=_address(request, after="") if after else "",
        next=_address(request, after=following) if following else "",
    )


def _behind(rows: QuerySet[Row], after: str, *, by: tuple[str, ...], key: str) -> QuerySet[Row]:
    """Return the rows that come after the one with this key; all of them where there is no such row."""
    names = [name.removeprefix("-") for name in by]
    try:
        last = (
            rows.model._default_manager.filter(**{key: after}).values(*names).first()
            if after.isprintable() and after
            else None
        )
    except ValueError:
        last = None
    if last is None:
        return rows
    behind, same = Q(), Q()
    for field, name in zip(by, names, strict=True):
        behind |= same & Q(**{f"{name}__{'lt' if field.startswith('-') else 'gt'}": last[name]})
        same &= Q(**{name: last[name]})
    return rows.filter(behind)


def _limit(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) < 6
    return max(1, min(PAGE_MAX, int(text))) if is_number else PAGE_DEFAULT


def _address(request: HttpRequest, *, after: str) -> str:
    query = request.GET.copy()
    query.pop("after", None)
    if after:
        query["after"] = after
    return f"?{query.urlencode()}"
