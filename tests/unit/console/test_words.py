"""The filters that turn values into words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.template import Context, Template
from django.template.loader import render_to_string
from django.utils import timezone

from aims.authorization.states import RequestState
from aims.console.templatetags import words
from aims.identifier.models import AgentState, Reversibility
from aims.kit import clock


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s ago"),
        (12, "12 s ago"),
        (240, "4 min ago"),
        (10_800, "3 h ago"),
        (-125, "in 2 min"),
        (-86_399, "in 23 h"),
    ],
)
def test_a_moment_is_relative_up_to_a_day(seconds: int, said: str) -> None:
    margin = timedelta(milliseconds=500)
    assert words.ago(clock.now() - timedelta(seconds=seconds) - (margin if seconds >= 0 else -margin)) in {
        said,
        _next(said),
    }


def _next(said: str) -> str:
    """The margin may round one second further for moments to come."""
    return {"in 2 min": "in 2 min", "in 23 h": "in 24 h"}.get(said, said)


def test_beyond_a_day_a_moment_is_a_date_and_none_is_never() -> None:
    with timezone.override(ZoneInfo("Europe/Berlin")):
        assert words.ago(datetime(2026, 3, 3, 23, 30, tzinfo=UTC)) == "4 Mar 2026"
    assert words.ago(None) == "never"


def test_a_stamp_has_seconds_and_the_zone_of_the_reader() -> None:
    with timezone.override(ZoneInfo("Europe/Berlin")):
        assert words.stamp(datetime(2026, 11, 23, 12, 46, 5, tzinfo=UTC)) == "23 Nov 2026, 13:46:05 CET"


def test_machines_read_utc_with_milliseconds() -> None:
    assert words.iso(datetime(2026, 11, 23, 12, 46, 5, 218_000, tzinfo=UTC)) == "2026-11-23T12:46:05.218Z"


@pytest.mark.parametrize(
    ("name", "letters"), [("Courier", "CO"), ("Ada Lindqvist", "AL"), ("nightly-report", "NR"), ("", "?"), ("⟨ ⟩", "?")]
)
def test_initials_are_two_letters_at_most(name: str, letters: str) -> None:
    assert words.initials(name) == letters


def test_hidden_characters_become_visible_and_markup_stays_text() -> None:
    shown = words.visible("a\u202eb<script>")
    assert "\u202e" not in shown
    assert "U+202E" in shown
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


def test_a_short_form_keeps_both_ends() -> None:
    whole = "sha-256:41ab9Xk0r7cYw3mZ1n8eQvT5uLh2fJdGsPoKiRbNxAw"
    assert words.short(whole).startswith("sha-256:41ab")
    assert words.short(whole).endswith(whole[-4:])
    assert len(words.short(whole)) == words.SHORT_LETTERS
    assert words.short("short") == "short"


@pytest.mark.parametrize(
    ("value", "said"),
    [("4200.00", "4,200.00 EUR"), ("89.9", "89.9 EUR"), ("1000000", "1,000,000 EUR"), ("many", "many EUR")],
)
def test_an_amount_keeps_its_digits_and_its_currency(value: str, said: str) -> None:
    assert words.amount(value, "EUR") == said


@pytest.mark.parametrize("state", [*RequestState, *AgentState.values])
def test_every_state_has_a_word_and_a_tone(state: str) -> None:
    assert words.state_word(state) != state
    assert words.state_tone(state) in {"yes", "no", "waiting", "info", "plain"}


@pytest.mark.parametrize("reversibility", Reversibility.values)
def test_every_reversibility_has_a_word(reversibility: str) -> None:
    assert words.reversibility_word(reversibility) != reversibility


def test_an_unknown_reversibility_looks_as_hard_as_the_hardest() -> None:
    assert words.reversibility_tone("unheard-of") == words.reversibility_tone("irreversible") == "no"


def test_a_share_stays_between_nothing_and_all() -> None:
    assert [words.percent_of(*pair) for pair in ((1, 4), (5, 4), (-1, 4), (1, 0), ("x", 4))] == [25, 100, 0, 0, 0]


def test_words_are_joined_as_in_a_sentence() -> None:
    assert [words.joined(list(text)) for text in ("", "a", "ab", "abc")] == ["", "a", "a and b", "a, b and c"]


def test_a_sentence_of_a_template_is_escaped_once_and_what_hides_in_it_is_shown() -> None:
    source = (
        "{% load i18n %}{% blocktranslate asvar said with who=name %}for {{ who }}{% endblocktranslate %}"
        "{{ said|visible }}|{{ name|visible }}"
    )
    shown = Template(source).render(Context({"name": "O'Neill <b>\u202e"}))
    assert shown.count("O&#x27;Neill &lt;b&gt;") == 2
    assert shown.count("⟨U+202E⟩") == 2 and "\u202e" not in shown


@pytest.mark.parametrize("component", ["notice", "toast", "tag", "item", "dialog", "state"])
def test_no_component_lets_a_hidden_character_through(component: str) -> None:
    hostile = dict.fromkeys(("title", "text", "sub", "word"), "pay\u202e<i>")
    shown = render_to_string(f"components/{component}.html", hostile | {"points": ["pay\u202e<i>"], "id": "x"})
    assert "\u202e" not in shown and "<i>" not in shown
