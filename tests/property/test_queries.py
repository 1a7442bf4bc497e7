"""Queries: reading what was written gives the same, and the database finds what a plain look at each entry finds."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import partitions, rollups
from audit.canonical import encode
from audit.entries import EntryView
from audit.models import Entry, Head
from audit.read import EVERYTHING, each, newest, parse
from audit.search import indexes, periods, syntax, terms
from audit.search.counts import count
from audit.search.deadline import Deadline
from audit.search.errors import QueryError
from audit.search.fields import FIELDS, MEMBERS, REFERENCE_COLUMNS, WORD_COLUMNS, Kind, columns_of
from audit.search.finding import Search
from audit.search.moments import Moment, moment
from audit.search.syntax import All, AnyOf, Between, Compare, Has, Not, Present, Query, Tree, Word

NOW = datetime(2026, 11, 28, 10, tzinfo=UTC)
STEP = timedelta(minutes=7)
AGENTS = ["spiffe://acme.example/agent/courier", "spiffe://acme.example/agent/courier/2", "https://Magpie.example/x-1"]
RESOURCES = ["https://pay.example/", "https://payments.example/api", "urn:x:ledger"]
TYPES = ["authorization.token.issued", "authorization.token.refused", "audit.log.viewed", "token.x"]
REFS = ["grt_1", "grt_12", "req_Ab-3", 'a"b', "c\\d", "pay", "allow", "%_", "https://pay.example/"]
COLUMNS: dict[str, list[str | None]] = {
    "type": [*TYPES],
    "by": ["usr_ada", "usr_ben", "system", "cli:root", AGENTS[0]],
    "agent": [None, *AGENTS],
    "subject": [None, "usr_ada", "usr_ben"],
    "resource": [None, *RESOURCES],
    "action": [None, "pay", "accounts.read", "pay-back"],
    "decision": [None, "allow", "deny", "ask", "not_applicable"],
    "txn": [None, "txn_1", "txn_12", "Txn_1"],
    "posture": ["unknown", "verified"],
    "remediation": [None, "tokens:4"],
}
WORDS = sorted(
    {
        word
        for values in COLUMNS.values()
        for value in values
        if value
        for word in (value, *re.findall(r"[\w-]+", value))
    }
    | {*REFS, "issued", "token.", "courier", "PAY", "acme.example", "grant", "e", "data", "2026"}
)
SAFE = st.characters(exclude_categories=["C", "Zl", "Zp"])
MOMENTS = st.sampled_from(
    [
        "2026",
        "2026-11-28",
        "2026-11-28T09:00Z",
        "2026-11-28T08:30:05.250Z",
        "1h",
        "2026-10",
        "2026-09-25",
        "2026-10-05T12Z",
        "40d",
        "95m",
        "today",
        "now",
    ]
)
TEXTS = st.sampled_from(WORDS) | st.text(SAFE, min_size=1, max_size=6)


def _moment(text: str) -> Moment:
    found = moment(text, NOW)
    assert found
    return found


BOUNDS: dict[str, st.SearchStrategy[Any]] = {"time": MOMENTS.map(_moment), "index": st.integers(0, 45)}


@st.composite
def ordered(draw: st.DrawFn) -> Tree:
    field = draw(st.sampled_from(["time", "index"]))
    if draw(st.booleans()):
        return Compare(field, draw(st.sampled_from(["=", "<", "<=", ">", ">="])), draw(BOUNDS[field]))
    low, high = draw(BOUNDS[field] | st.none()), draw(BOUNDS[field])
    return Between(field, low, high) if draw(st.booleans()) else Between(field, high, low)


NAMED = [name for name, kind in FIELDS.items() if kind in (Kind.PATH, Kind.EXACT, Kind.REFERENCE)]
VALUES = st.sampled_from([*WORDS, *REFS, "grt_", "txn_", "spiffe://acme.example/agent/"]) | TEXTS
LEAVES: st.SearchStrategy[Tree] = st.one_of(
    st.builds(Word, TEXTS.filter(lambda text: any(map(str.isalnum, text))), st.booleans()),
    st.builds(Has, st.sampled_from(NAMED), VALUES, st.booleans()),
    st.builds(Has, st.just("decision"), st.sampled_from(["allow", "deny", "ask", "approve", "not_applicable"])),
    st.builds(Present, st.sampled_from([name for name in NAMED if name != "ref"])),
    ordered(),
)


def _trees(leaves: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    return st.recursive(
        leaves,
        lambda parts: st.one_of(
            parts.map(syntax.not_so),
            st.lists(parts, min_size=1, max_size=3).map(syntax.any_of),
            st.lists(parts, min_size=1, max_size=3).map(lambda found: syntax.all_of(found) or found[0]),
        ),
        max_leaves=5,
    )


TREES = _trees(LEAVES)
# Of kinds alone, which are counted from rollups; mostly so wide that weeks and whole months come into play.
KINDS = _trees(
    st.one_of(
        st.builds(Has, st.just("agent"), st.sampled_from(["courier", "x-1", "acme.example"])),
        st.builds(Has, st.just("type"), st.sampled_from(["issued", "token.", "audit.log.viewed"]), st.booleans()),
        st.builds(Has, st.just("resource"), st.sampled_from(["ledger", "pay", "https://"]), st.booleans()),
        st.builds(Has, st.just("decision"), st.sampled_from(["allow", "deny", "ask"])),
    )
)
SPANS = st.sampled_from(
    ["", "", "", "before:today", "after:2026-06", "after:40d", "before:2026-11-05", "after:2026-11-01T05Z"]
)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60) | st.text('ab:*"()[].-<> ORNT\\/7', max_size=40))
def test_reading_raises_nothing_but_what_points_at_the_place(text: str) -> None:
    try:
        query = parse(text, NOW)
    except QueryError as error:
        places = [0, error.start, error.end, len(text)]
        assert places == sorted(places)
    else:
        assert parse(str(query), NOW) == query


@settings(max_examples=60, deadline=None)
@given(TREES)
def test_what_is_written_is_read_as_it_was_meant(tree: Tree) -> None:
    assert parse(str(Query(tree)), NOW) == Query(tree)


@pytest.mark.django_db
def test_the_database_finds_what_a_look_at_each_entry_finds() -> None:
    fill()
    entries = list(each(Query(), below=10**6, scope=EVERYTHING))
    assert len(entries) == 40

    @settings(max_examples=80, deadline=None)
    @given(TREES)
    def finds(tree: Tree) -> None:
        wanted = [entry.index for entry in entries if fits(tree, entry)]
        assert [entry.index for entry in each(Query(tree), below=10**6, scope=EVERYTHING)] == wanted, str(Query(tree))
        assert [entry.index for entry in newest(Query(tree), scope=EVERYTHING)] == wanted[::-1], str(Query(tree))

        _counts_as(Query(tree), [entry for entry in entries if fits(tree, entry)])

    @settings(max_examples=60, deadline=None)
    @given(KINDS, SPANS)
    def counts(tree: Tree, span: str) -> None:
        query = parse(span, NOW).also(tree)
        _counts_as(query, [entry for entry in entries if all(fits(part, entry) for part in query.parts)])

    finds()
    counts()


def _counts_as(query: Query, wanted: list[EntryView]) -> None:
    """Compare counts, facets and every bar with a look at each entry that fits."""
    counted = count(Search(query, scope=EVERYTHING, is_bounded=False), Deadline(query))
    assert (counted.total, counted.is_exact) == (len(wanted), True), str(query)
    assert sum(bar.n for bar in counted.bars) == len(wanted), str(query)
    for bar in counted.bars:
        within = [each for each in wanted if bar.start <= each.recorded_at < bar.end]
        assert Counter(bar.by_decision) == Counter(each.decision or "" for each in within), (str(query), bar)
    for name, values in counted.facets.items():
        said = Counter(getattr(entry, name) for entry in wanted if getattr(entry, name))
        assert dict(values) == said, str(query)


def fill() -> None:
    """Put forty entries into the table, each of another kind."""
    rows = []
    for index in range(40):
        # Each column goes round at another pace, so that all of them meet.
        said = {name: values[index * step % len(values)] for step, (name, values) in enumerate(COLUMNS.items(), 1)}
        at = moment_of(index)
        data = {"grant": REFS[index % 9], "list": [REFS[index % 5], {"deep": REFS[index % 7]}], "n": 2026, "jti": None}
        if index % 3 == 0:
            data = {"request": REFS[index % 9], "jtis": [f"jti_{index}"], "decision": "maybe"}
        event_id = f"0196f3a0-0000-7000-8000-{index:012x}"
        entry = {**said, "data": data, "id": event_id, "occurred_at": "2026", "recorded_at": "2026", "v": 1}
        times = {"occurred_at": at, "recorded_at": at}
        rows.append(Entry(index=index, event_id=event_id, **said, **times, canon=encode(entry)))
    partitions.ensure(moment_of(0), NOW)
    Entry.objects.bulk_create(rows)
    size = {"generation": 1, "base": 0, "size": len(rows), "root": b"", "frontier": b""}
    Head.objects.create(pk=1, recorded_at=rows[-1].recorded_at, **size)
    terms.rebuild()
    rollups.rebuild()
    rollups.fold(rows[-1].recorded_at - rollups.HOURS_KEPT)
    periods.rebuild(rows[-1].recorded_at)
    partitions.close(NOW)
    indexes.catch_up()
    assert indexes.catch_up() == 0
    assert (len(indexes.indexed()) >= 2) == (connection.vendor == "postgresql")


def moment_of(index: int) -> datetime:
    """Spread the first fifteen entries over seven months, the rest over some hours of today."""
    if index < 15:
        return NOW - timedelta(days=204 - 14 * index, hours=index)
    return NOW - timedelta(hours=5) + index * STEP


def fits(tree: Tree, entry: EntryView) -> bool:
    """Return whether an entry is what the tree asks for, as plainly as it can be said."""
    if isinstance(tree, Not):
        return not fits(tree.part, entry)
    if isinstance(tree, All):
        return all(fits(part, entry) for part in tree.parts)
    if isinstance(tree, AnyOf):
        return any(fits(part, entry) for part in tree.parts)
    if isinstance(tree, Word):
        if not tree.is_prefix and tree.text in (entry.txn, entry.event_id):
            return True
        columns = [column for column in WORD_COLUMNS if column not in ("txn", "event_id")]
        said = [*strings(entry.data), *(getattr(entry, column) or "" for column in columns)]
        return any(holds(text, tree.text, tree.is_prefix) for text in said)
    if isinstance(tree, Present):
        return is_present(tree.field, entry)
    if isinstance(tree, Has):
        return has(tree, entry)
    return is_in_order(tree, entry)


def has(tree: Has, entry: EntryView) -> bool:
    kind = FIELDS[tree.field]
    if kind is Kind.REFERENCE:
        said = [*strings(entry.data), *(getattr(entry, column) or "" for column in REFERENCE_COLUMNS)]
    else:
        said = [getattr(entry, column) or "" for column in columns_of(tree.field)]
    if kind is Kind.PATH and "://" not in tree.value:
        return any(holds(text, tree.value, tree.is_prefix) for text in said)
    return any(text.startswith(tree.value) if tree.is_prefix else text == tree.value for text in said)


def holds(text: str, wanted: str, is_prefix: bool) -> bool:
    """Return whether the wanted stands in the text between the bounds of words, whatever the case."""
    text, wanted = text.lower(), wanted.lower()
    for at in range(len(text) - len(wanted) + 1):
        before, after = text[at - 1 : at] if at else "", text[at + len(wanted) :][:1]
        begins = not re.match(r"[a-z0-9_-]", before)
        if text[at:].startswith(wanted) and begins and (is_prefix or not re.match(r"[a-z0-9_-]", after)):
            return True
    return False


def is_present(field: str, entry: EntryView) -> bool:
    if FIELDS[field] is Kind.REFERENCE:
        return any(name in MEMBERS[field] and value for name, value in members(entry.data))
    return any(getattr(entry, column) is not None for column in columns_of(field))


def is_in_order(tree: Compare | Between, entry: EntryView) -> bool:
    at: Any = entry.index if tree.field == "index" else entry.recorded_at
    if isinstance(tree, Between):
        low, high = span(tree.low), span(tree.high)
        return (low is None or at >= low[0]) and (high is None or at < high[1])
    start, end = span(tree.bound) or (0, 0)
    if tree.sign == "=":
        return bool(at >= start and (at < end or start == end))
    return bool({"<": at < start, "<=": at < end, ">": at >= end, ">=": at >= start}[tree.sign])


def span(bound: int | Moment | None) -> tuple[Any, Any] | None:
    if isinstance(bound, Moment):
        return bound.start, bound.end
    return None if bound is None else (bound, bound + 1)


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def members(value: Any) -> list[tuple[str, Any]]:
    """Return every member with a string, or a list that begins with one, however deep."""
    if isinstance(value, list):
        return [found for item in value for found in members(item)]
    if not isinstance(value, dict):
        return []
    deep = [found for item in value.values() for found in members(item)]
    return deep + [
        (name, isinstance(item, str) or (isinstance(item, list) and isinstance(item[0], str)))
        for name, item in value.items()
    ]
