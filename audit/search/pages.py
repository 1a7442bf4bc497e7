"""The list of the log: a query, what it finds, how much of it there is, and the searches that readers keep."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import read, views
from audit.access import Scope, scope_of
from audit.entries import views_of
from audit.errors import LogError, NoSuchSearch
from audit.events import LogViewed
from audit.forms import NAME_MAX, Asked, FilterForm, SearchForm, asked, has_filters
from audit.keeping import showing
from audit.search import saved
from audit.search.counts import Counts, count
from audit.search.deadline import Deadline
from audit.search.errors import QueryError, TooBroad
from audit.search.finding import COUNT_MAX, PAGE_DEFAULT, WORD_SCAN_MAX, Search
from audit.search.language import QUERY_MAX
from audit.search.moments import Moment
from audit.search.sql import span_of
from audit.search.suggestions import suggest
from audit.search.syntax import Between, Compare, Has, Query, Tree
from audit.write import vocabulary

Labels = Callable[[Collection[str]], Mapping[str, str]]
DECISION_ORDER = ("allow", "approve", "ask", "deny", "not_applicable", "")


@dataclass(frozen=True)
class Found:
    """What a query found. words_since: the index from which on words were looked for; 0 where everywhere."""

    entries: list[read.EntryView]
    counts: Counts | None
    words_since: int
    error: QueryError | None = None


def list_view(request: HttpRequest, *, labels: Labels) -> HttpResponse:
    """Show the newest entries that fit the query, how many there are, of what kind and when."""
    now = timezone.localtime()
    if has_filters(request.GET) and "q" not in request.GET:
        return _from_filters(request, now)
    said = asked(request.GET.get("q", ""), now)
    before = views.index_of(request.GET.get("before"))
    found = _found(said, before, scope_of(request.user))
    views.note_reading(request, LogViewed(page="list", at=None, query=said.query.fields() if said.query else []))
    return render(request, "audit/list.html", _shown(request, said, found, before, labels))


def suggest_view(request: HttpRequest, *, labels: Labels) -> HttpResponse:
    """Answer what may come next in the query bar. Values of the log are not read by it but known to it."""
    text = request.GET.get("q", "")[:QUERY_MAX]
    found = suggest(text, scope=scope_of(request.user), labels=labels)
    return JsonResponse({"suggestions": [each.as_json() for each in found]})


def kept_view(request: HttpRequest, slug: str) -> HttpResponse:
    """Lead from a search's permanent address to what it finds now."""
    try:
        kept = saved.find(slug, _ref(request))
    except NoSuchSearch as error:
        raise Http404 from error
    return _to(kept.query)


def save_view(request: HttpRequest) -> HttpResponse:
    """Keep the search under a name."""
    form = SearchForm(request.POST)
    now = timezone.localtime()
    said = asked(request.POST.get("q", ""), now)
    if not form.is_valid() or said.query is None:
        return _to(said.text)
    try:
        slug = saved.save(
            said.query,
            name=form.cleaned_data["name"],
            is_shared=form.cleaned_data["is_shared"],
            owner=_ref(request),
            now=now,
        )
    except LogError as error:
        return HttpResponse(str(error), status=409, content_type="text/plain")
    return redirect(reverse("audit:kept", kwargs={"slug": slug}))


def delete_view(request: HttpRequest, slug: str) -> HttpResponse:
    """Delete a search of one's own."""
    try:
        saved.delete(slug, by=_ref(request))
    except NoSuchSearch as error:
        raise Http404 from error
    return redirect(reverse("audit:list"))


def _found(said: Asked, before: int | None, scope: Scope) -> Found:
    if said.query is None:
        return Found([], None, 0, said.error)
    search, deadline = Search(said.query, scope=scope, is_bounded=True), Deadline(said.query)
    try:
        page = (
            search.newest(before, PAGE_DEFAULT, deadline)
            if before is not None
            else search.first_page(PAGE_DEFAULT, deadline)
        )
        entries = views_of(page)
    except TooBroad as error:
        return Found([], None, 0, error)
    try:
        return Found(entries, count(search, deadline), search.words_since)
    except TooBroad:
        return Found(entries, None, search.words_since)


def _shown(request: HttpRequest, said: Asked, found: Found, before: int | None, labels: Labels) -> dict[str, Any]:
    query = said.query or Query()
    reader, address = _ref(request), reverse("audit:list")
    return {
        "q": said.text,
        "error": _error(found.error) if found.error else None,
        "chips": [{"text": str(part), "href": _address(query.without(part))} for part in query.parts],
        "rows": views.rows_of(found.entries, labels),
        "may_reveal": showing.may_reveal(request.user),
        "older": _older(query, found.entries),
        "newest": _address(query) if before is not None else "",
        "counts": _counted(found.counts, query, labels)
        if found.counts and (found.counts.total or query.parts)
        else None,
        "is_uncounted": found.counts is None and found.error is None,
        "words_since": found.words_since,
        "words_max": WORD_SCAN_MAX,
        "kept": [
            {"kept": kept, "href": reverse("audit:kept", kwargs={"slug": kept.slug})} for kept in saved.kept_for(reader)
        ],
        "presets": [
            {"kept": kept, "href": reverse("audit:kept", kwargs={"slug": kept.slug})} for kept in saved.PRESETS
        ],
        "canonical": str(query),
        "name_max": NAME_MAX,
        "query_max": QUERY_MAX,
        "size": read.size(),
        "address": address,
        **views.standing(),
    }


def _error(error: QueryError) -> dict[str, Any]:
    line, carets = error.shown()
    fixed = error.text[: error.start] + error.nearest + error.text[error.end :] if error.nearest else ""
    return {
        "message": error.message,
        "line": "" if isinstance(error, TooBroad) else line,
        "carets": carets,
        "nearest": error.nearest,
        "href": _link(fixed) if fixed else "",
        "start": error.start,
        "end": error.end,
    }


def _counted(counts: Counts, query: Query, labels: Labels) -> dict[str, Any]:
    refs = {value for name in ("agent", "resource") for value, _n in counts.facets[name]}
    names, kinds = labels(refs), vocabulary()
    titles = {
        "agent": names,
        "resource": names,
        "type": {name: str(event.title) for name, event in kinds.items()},
        "decision": {code: views.decision_word(code) or str(_("no decision")) for code in DECISION_ORDER if code},
    }
    length = counts.bars[0].end - counts.bars[0].start if counts.bars else timedelta(days=1)
    heads = {"decision": _("Decision"), "type": _("Kind"), "agent": _("Agent"), "resource": _("Resource")}
    facets = [
        {"label": heads[name], "values": [_value(name, value, n, query, titles[name]) for value, n in values]}
        for name, values in counts.facets.items()
        if values
    ]
    return {
        "total": counts.total,
        "is_exact": counts.is_exact,
        "max": COUNT_MAX,
        "facets": facets,
        "bars": _bars(counts, query),
        "rest": str(_timeless(query)),
        "is_hourly": length < timedelta(days=1),
        "is_weekly": length > timedelta(days=1),
    }


def _value(name: str, value: str, n: int, query: Query, titles: Mapping[str, str]) -> dict[str, Any]:
    part = Has(name, value)
    is_on = part in query.parts
    text = titles.get(value) or value
    return {
        "text": text,
        "is_double": name == "type" and list(titles.values()).count(text) > 1,
        "sub": value if titles.get(value) and name != "decision" else "",
        "n": n,
        "href": _address(query.without(part) if is_on else query.also(part)),
        "is_on": is_on,
    }


def _bars(counts: Counts, query: Query) -> list[dict[str, Any]]:
    rest = _timeless(query)
    return [
        {
            "start": bar.start,
            "end": bar.end,
            "n": bar.n,
            "no": bar.by_decision.get("deny", 0),
            "yes": bar.by_decision.get("allow", 0) + bar.by_decision.get("approve", 0),
            "waiting": bar.by_decision.get("ask", 0),
            "href": _address(rest.also(_since(bar.start)).also(_until(bar.end))),
        }
        for bar in counts.bars
    ]


def _timeless(query: Query) -> Query:
    for part in query.parts:
        if isinstance(part, Compare | Between) and span_of(part):
            query = query.without(part)
    return query


def _since(at: datetime) -> Tree:
    return Compare("time", ">=", _moment(at))


def _until(at: datetime) -> Tree:
    return Compare("time", "<", _moment(at))


def _moment(at: datetime) -> Moment:
    return Moment(f"{at:%Y-%m-%dT%H:%MZ}", at, at + timedelta(minutes=1))


def _from_filters(request: HttpRequest, now: datetime) -> HttpResponse:
    """Lead from an address with single filters, as there were before, to the same as a query."""
    form = FilterForm(request.GET)
    try:
        query = form.query(now) if form.is_valid() else Query()
    except QueryError as error:
        return _to(error.text)
    before = views.index_of(request.GET.get("before"))
    return HttpResponseRedirect(_address(query, before) if before is not None else _address(query))


def _older(query: Query, entries: list[read.EntryView]) -> str:
    return _address(query, entries[-1].index) if len(entries) == PAGE_DEFAULT else ""


def _address(query: Query, before: int | None = None) -> str:
    return _link(str(query), before)


def _link(text: str, before: int | None = None) -> str:
    wanted = ({"q": text} if text else {}) | ({"before": str(before)} if before is not None else {})
    return reverse("audit:list") + (f"?{urlencode(wanted)}" if wanted else "")


def _to(text: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(_link(text))


def _ref(request: HttpRequest) -> str:
    return str(getattr(request.user, "ref", "unknown"))
