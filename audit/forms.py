"""What readers ask the list of the log for: a query, or the single filters that older addresses hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django import forms
from django.utils.translation import gettext_lazy as _

from audit.search.errors import QueryError
from audit.search.language import QUERY_MAX, parse
from audit.search.moments import Moment, moment
from audit.search.syntax import Compare, Has, Query, Tree, Word, of_parts

NAME_MAX = 80
FILTERS = ("text", "agent", "person", "type", "decision", "resource", "since", "until")


class FilterForm(forms.Form):
    """The single filters of older addresses; each is a part of a query."""

    text = forms.CharField(required=False, max_length=QUERY_MAX)
    agent = forms.CharField(required=False, max_length=QUERY_MAX)
    person = forms.CharField(required=False, max_length=QUERY_MAX)
    type = forms.CharField(required=False, max_length=120)
    decision = forms.ChoiceField(
        required=False, choices=[(code, code) for code in ("", "allow", "ask", "approve", "deny", "not_applicable")]
    )
    resource = forms.CharField(required=False, max_length=QUERY_MAX)
    since = forms.DateTimeField(required=False)
    until = forms.DateTimeField(required=False)

    def query(self, now: datetime) -> Query:
        """Return what a valid form asks for. Raises: QueryError where a value has no place in a query."""
        parts = [_part(name, value) for name, value in self.cleaned_data.items() if value]
        return parse(str(of_parts(parts)), now)


class SearchForm(forms.Form):
    """A search to be kept under a name. The name is for people, and never enters the log."""

    name = forms.CharField(label=_("Name"), max_length=NAME_MAX, strip=True)
    q = forms.CharField(widget=forms.HiddenInput, max_length=QUERY_MAX)
    is_shared = forms.BooleanField(label=_("Share it with auditors and admins"), required=False)


@dataclass(frozen=True)
class Asked:
    """What a reader typed, and what it means: a query, or an error that points at the place."""

    text: str
    query: Query | None
    error: QueryError | None = None


def asked(text: str, now: datetime) -> Asked:
    """Return what a reader typed, read."""
    try:
        return Asked(text, parse(text, now))
    except QueryError as error:
        return Asked(text, None, error)


def has_filters(params: Mapping[str, object]) -> bool:
    """Return whether an address holds filters as they were before there were queries."""
    return any(name in params for name in FILTERS)


def _part(name: str, value: str | datetime) -> Tree:
    if isinstance(value, datetime):
        at = moment(value.isoformat(timespec="milliseconds").replace("+00:00", "Z"), value)
        assert isinstance(at, Moment)
        return Compare("time", ">=" if name == "since" else "<", at)
    if name == "text":
        return Word(value)
    return Has(name, value.rstrip("*"), is_prefix=value.endswith("*"))
