"""The language of searches: what is read, and how each mistake is pointed at."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest

from audit.search import errors
from audit.search.language import NESTING_MAX, QUERY_MAX, TERMS_MAX, parse
from audit.search.syntax import AnyOf, Between, Compare, Has, Not, Present, Query, Word

NOW = datetime(2026, 11, 28, 10, 30, tzinfo=UTC)
SECONDS_FOR_THE_WORST = 1.0


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ()),
        (" \t\r\n ", ()),
        ("agent:courier", (Has("agent", "courier"),)),
        ("AGENT:courier", (Has("agent", "courier"),)),
        ("agent: courier", (Has("agent", "courier"),)),
        ("agent:spiffe://acme.example/agent/courier", (Has("agent", "spiffe://acme.example/agent/courier"),)),
        ("https://pay.example/", (Word("https://pay.example/"),)),
        ('"free text"', (Word("free text"),)),
        (r'"a \"b\" \\ c"', (Word(r'a "b" \ c'),)),
        ("pay*", (Word("pay", is_prefix=True),)),
        ('"pay it"*', (Word("pay it", is_prefix=True),)),
        ("decision:denied", (Has("decision", "deny"),)),
        ("decision:deny", (Has("decision", "deny"),)),
        ("decision:None", (Has("decision", "not_applicable"),)),
        ("-type:token.*", (Not(Has("type", "token.", is_prefix=True)),)),
        ("NOT agent:*", (Not(Present("agent")),)),
        ("a b", (Word("a"), Word("b"))),
        ("a AND b", (Word("a"), Word("b"))),
        ("a OR b c", (AnyOf((Word("a"), parse("b c", NOW).tree)),)),  # type: ignore[arg-type]
        ("(a OR b) c", (AnyOf((Word("a"), Word("b"))), Word("c"))),
        ("agent:(a b)", (AnyOf((Has("agent", "a"), Has("agent", "b"))),)),
        ("agent:(a OR b)", (AnyOf((Has("agent", "a"), Has("agent", "b"))),)),
        ("by:cli:root", (Has("by", "cli:root"),)),
        ("by:(cli:root -x)", (AnyOf((Has("by", "cli:root"), Has("by", "-x"))),)),
        ("index:7", (Compare("index", "=", 7),)),
        ("index:>=7", (Compare("index", ">=", 7),)),
        ("index:[1..*]", (Between("index", 1, None),)),
        ("grant:grt_1", (Has("grant", "grt_1"),)),
        ("ORDER", (Word("ORDER"),)),
        ('"OR"', (Word("OR"),)),
        ("((((((((a))))))))", (Word("a"),)),
    ],
)
def test_what_people_write_is_understood(text: str, parts: tuple[object, ...]) -> None:
    query = parse(text, NOW)
    assert query.parts == parts
    assert parse(str(query), NOW) == query


@pytest.mark.parametrize(
    ("text", "error", "place"),
    [
        ("agnt:courier", errors.UnknownField, "agnt"),
        ("decision:denied qwertz:1", errors.UnknownField, "qwertz"),
        ("agent:", errors.NoValue, ""),
        ('agent:""', errors.NoValue, '""'),
        ("a OR", errors.Misplaced, "OR"),
        ("a OR OR b", errors.Misplaced, "OR"),
        ("NOT", errors.Misplaced, "NOT"),
        ("--a", errors.Misplaced, "-a"),
        ("- a", errors.Misplaced, "-"),
        ('"***"', errors.NoValue, '"***"'),
        ("()", errors.NoValue, ")"),
        ("agent:()", errors.NoValue, ")"),
        ("ref:*", errors.NoValue, "*"),
        ("time:*", errors.NoValue, "*"),
        ("index:[*..*]", errors.NoValue, "*..*"),
        ("*", errors.MisplacedStar, "*"),
        ("pay*ment", errors.MisplacedStar, "*"),
        ("agent:*x", errors.MisplacedStar, "*"),
        ("agent:(a b)*", errors.MisplacedStar, "*"),
        ("index:5*", errors.MisplacedStar, "5*"),
        ('decision:denied "free text', errors.UnclosedQuote, '"'),
        ('"a\\"', errors.UnclosedQuote, '"'),
        ("(a", errors.UnbalancedParenthesis, "("),
        ("a)", errors.UnbalancedParenthesis, ")"),
        ("agent:(a", errors.UnbalancedParenthesis, "("),
        ("[x]", errors.Misplaced, "["),
        ("index:[1 9]", errors.Misplaced, "9"),
        ("type:>token", errors.NotComparable, ">"),
        ("agent:[a..b]", errors.NotComparable, "a..b"),
        ("after:>7d", errors.NotComparable, ">"),
        ("decision:maybe", errors.BadValue, "maybe"),
        ("decision:den*", errors.BadValue, "den*"),
        ("index:seven", errors.BadNumber, "seven"),
        ("index:>-1", errors.BadNumber, "-1"),
        ("index:" + "9" * 19, errors.BadNumber, "9" * 19),
        ("after:sometime", errors.BadTime, "sometime"),
        ("after:2026-13", errors.BadTime, "2026-13"),
        ("after:2026-02-30", errors.BadTime, "2026-02-30"),
        ("after:99999y", errors.BadTime, "99999y"),
        ("time:9999", errors.BadTime, "9999"),
        ("time:0001-01-01T00:00+14:00", errors.BadTime, "0001-01-01T00:00+14:00"),
        ("a\0b", errors.BadCharacter, "\0"),
        ("a\x1bb", errors.BadCharacter, "\x1b"),
        ("pay\u202egnp", errors.BadCharacter, "\u202e"),
        ("pay\u200bments", errors.BadCharacter, "\u200b"),
        ("a\u2028b", errors.BadCharacter, "\u2028"),
        ("a\ud800", errors.BadCharacter, "\ud800"),
        ("(" * (NESTING_MAX + 1) + "a" + ")" * (NESTING_MAX + 1), errors.TooDeep, "("),
        ("a " * (TERMS_MAX + 1), errors.TooManyTerms, "a"),
        ("agent:(" + "a " * (TERMS_MAX + 1) + ")", errors.TooManyTerms, "a"),
        ("a" * (QUERY_MAX + 1), errors.TooLong, "a"),
    ],
)
def test_each_mistake_is_named_and_pointed_at(text: str, error: type[errors.QueryError], place: str) -> None:
    with pytest.raises(error) as caught:
        parse(text, NOW)
    found = caught.value
    assert type(found) is error
    assert text[found.start : found.end] == place
    line, carets = found.shown()
    assert line.isprintable() and carets.lstrip() == "^" * max(1, len(place))


def test_the_nearest_field_is_offered_and_the_carets_stand_under_the_wrong_one() -> None:
    with pytest.raises(errors.UnknownField, match="Did you mean “agent”") as caught:
        parse("decision:denied agnt:courier", NOW)
    assert caught.value.shown() == ("decision:denied agnt:courier", "                ^^^^")
    assert caught.value.as_json() == {
        "code": "query_unknown_field",
        "detail": "There is no field “agnt”. Did you mean “agent”?",
        "start": 16,
        "end": 20,
        "nearest": "agent",
    }
    for meant, written in (("by", "actor"), ("after", "since"), ("type", "kind"), ("resource", "resourc")):
        with pytest.raises(errors.UnknownField) as caught:
            parse(f"{written}:x", NOW)
        assert caught.value.nearest == meant


def test_of_a_long_query_only_what_is_around_the_place_is_shown() -> None:
    with pytest.raises(errors.UnknownField) as caught:
        parse("word " * 40 + "agnt:x " + "word " * 4, NOW)
    line, carets = caught.value.shown()
    assert len(line) < 140 and line[carets.index("^") :].startswith("agnt")


@pytest.mark.parametrize(
    "text",
    [
        "a" * QUERY_MAX,
        '"' + "\\\\" * 900 + '"',
        "(" * 1_000 + ")" * 1_000,
        "-" * QUERY_MAX,
        "a OR " * 399 + "a",
        "*" * QUERY_MAX,
        '"' * QUERY_MAX,
        "a:" * 1_000,
        "index:[" + "." * 1_900 + "]",
        "index:[" + "1.." * 600 + "]",
        "decision:" * 200,
        parse_qs("q=%ED%A0%80%00%F0%9F", errors="surrogateescape")["q"][0],
        "x'; DROP TABLE audit_entry; --",
        "agent:' OR '1'='1",
        "%s %(x)s {0} ${x} \\x00 \\",
    ],
)
def test_no_text_takes_long_or_breaks_anything(text: str) -> None:
    began = time.process_time()
    with contextlib.suppress(errors.QueryError):
        query = parse(text, NOW)
        assert parse(str(query), NOW) == query
    assert time.process_time() - began < SECONDS_FOR_THE_WORST


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026", "2026-01-01T00:00", "2027-01-01T00:00"),
        ("2026-12", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("2026-11-28", "2026-11-28T00:00", "2026-11-29T00:00"),
        ("2026-11-28T10:00Z", "2026-11-28T10:00", "2026-11-28T10:01"),
        ("2026-11-28T10", "2026-11-28T10:00", "2026-11-28T11:00"),
        ("2026-11-28T10:00:05+02:00", "2026-11-28T08:00:05", "2026-11-28T08:00:06"),
        ("2026-11-28T10:00:05.250Z", "2026-11-28T10:00:05.250", "2026-11-28T10:00:05.251"),
        ("15m", "2026-11-28T10:15", "2026-11-28T10:15"),
        ("-15m", "2026-11-28T10:15", "2026-11-28T10:15"),
        ("7d", "2026-11-21T10:30", "2026-11-21T10:30"),
        ("now", "2026-11-28T10:30", "2026-11-28T10:30"),
        ("today", "2026-11-28T00:00", "2026-11-29T00:00"),
        ("yesterday", "2026-11-27T00:00", "2026-11-28T00:00"),
    ],
)
def test_moments_are_spans_as_long_as_they_are_written(text: str, start: str, end: str) -> None:
    (found,) = parse(f"time:{text}", NOW).parts
    assert isinstance(found, Compare) and not isinstance(found.bound, int)
    assert (found.bound.start, found.bound.end) == tuple(
        datetime.fromisoformat(at).replace(tzinfo=UTC) for at in (start, end)
    )


def test_days_are_those_of_the_readers_zone() -> None:
    berlin = datetime(2026, 10, 25, 12, tzinfo=ZoneInfo("Europe/Berlin"))  # a day of 25 hours
    (found,) = parse("time:today", berlin).parts
    assert isinstance(found, Compare) and not isinstance(found.bound, int)
    assert found.bound.start == datetime(2026, 10, 24, 22, tzinfo=UTC)
    assert found.bound.end == datetime(2026, 10, 25, 23, tzinfo=UTC)


def test_a_part_is_taken_away_or_added_and_the_text_follows() -> None:
    query = parse("agent:courier (a OR b) after:7d", NOW)
    first, second, third = query.parts
    assert str(query.without(second)) == "agent:courier after:7d"
    assert str(Query().also(first).also(third).also(first)) == "agent:courier after:7d"
    assert str(query.without(first).without(third)) == "a OR b"


def test_what_is_recorded_of_a_query_are_the_names_of_its_fields() -> None:
    assert parse('agent:a -agent:b "secret" after:7d grant:g index:7', NOW).fields() == [
        "agent", "text", "time", "grant", "index",
    ]  # fmt: skip
