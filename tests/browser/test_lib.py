"""The logic without DOM, run where it runs: in a browser."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from aims.console.templatetags import words
from aims.kit import clock
from tests.browser.looking import DESK, open_page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, settings: Settings) -> Page:
    settings.DEBUG = True
    opened, _said = open_page(browser, DESK)
    opened.goto(f"{live_server.url}/patterns/")
    return opened


def call(page: Page, module: str, function: str, *arguments: Any) -> Any:
    """Import a module of js/lib/ in the page and call one of its functions."""
    source = "([module, name, given]) => import(`aims/lib/${module}.js`).then((found) => found[name](...given))"
    return page.evaluate(source, [module, function, list(arguments)])


@pytest.mark.parametrize("seconds", [5, 59.5, 60.5, 3599.5, 3600.5, 86_000.5, -10.5, -3700.5])
def test_browser_and_server_say_the_same_of_a_moment(page: Page, seconds: float) -> None:
    now_ms = 1_800_000_000_000
    moment = clock.now() - timedelta(seconds=seconds)
    assert call(page, "spans", "relative", now_ms - seconds * 1000, now_ms, "en") == words.ago(moment)


def test_beyond_a_day_the_server_s_date_stands(page: Page) -> None:
    assert call(page, "spans", "relative", 0, 86_400_000, "en") is None


@pytest.mark.parametrize(
    ("left_ms", "said"), [(252_000, "4:12"), (9_000, "0:09"), (0, "0:00"), (-5, "0:00"), (7_500_000, "2 h 5 min")]
)
def test_a_countdown_ends_at_nothing(page: Page, left_ms: int, said: str) -> None:
    assert call(page, "spans", "countdown", left_ms, 0) == said


def test_tries_wait_longer_and_longer_but_never_above_half_a_minute(page: Page) -> None:
    waits = [call(page, "backoff", "waitMs", attempt, 1) for attempt in range(9)]
    assert waits[:4] == [500, 1000, 2000, 4000]
    assert max(waits) == 30_000
    assert call(page, "backoff", "waitMs", 0, 0) == 250


@pytest.mark.parametrize(
    ("at", "current", "count", "step", "leads"),
    [(-1, -1, 3, 1, 0), (-1, -1, 3, -1, 2), (0, -1, 3, -1, 0), (2, -1, 3, 1, 2), (-1, 1, 3, 1, 2), (-1, -1, 0, 1, -1)],
)
def test_a_step_in_a_list_holds_at_the_ends(
    page: Page, at: int, current: int, count: int, step: int, leads: int
) -> None:
    given = {"at": at, "current": current, "count": count, "step": step}
    assert call(page, "moves", "nextIndex", given) == leads


@pytest.mark.parametrize(
    ("seen", "begins"),
    [
        ([], 0),
        ([[0, 1]], 1),
        ([[0, 0.5], [0.5, 1]], 1),
        ([[0.5, 1], [0, 0.6]], 1),
        ([[0, 0.4], [0.6, 1]], 0.4),
        ([[0.2, 1]], 0),
        ([[0, 0.99]], 1),
        ([[0, 0.3], [0.32, 0.9]], 0.9),
    ],
)
def test_what_was_seen_in_stretches_was_seen_whole_only_without_a_gap(
    page: Page, seen: list[list[float]], begins: float
) -> None:
    stretches: list[list[float]] = []
    for stretch in seen:
        stretches = call(page, "seen", "withStretch", stretches, stretch, 0.02)
    assert call(page, "seen", "firstUnseen", stretches, 0.02) == begins


def test_a_suggestion_replaces_what_was_begun_and_the_cursor_stands_behind_it(page: Page) -> None:
    text = "agent:cour decision:denied"
    taken = {"text": text, "cursor": 10, "start": 6, "insert": "spiffe://acme.example/agent/courier"}
    done = call(page, "suggesting", "replaced", taken)
    assert done["text"] == "agent:spiffe://acme.example/agent/courier decision:denied"
    assert done["text"][done["cursor"] :] == " decision:denied"
    assert call(page, "suggesting", "replaced", {"text": "ag", "cursor": 2, "start": 0, "insert": "agent:"}) == {
        "text": "agent:", "cursor": 6,
    }  # fmt: skip
    steps = [(-1, 2, 1), (1, 2, 1), (-1, 2, -1), (0, 2, -1), (-1, 0, 1)]
    found = [call(page, "suggesting", "stepped", {"at": at, "count": count, "step": step}) for at, count, step in steps]
    assert found == [0, -1, 1, -1, -1]


def test_bars_are_stacked_and_a_drag_covers_whole_ones_either_way(page: Page) -> None:
    rows = [
        {"start": 1_764_324_000 + at * 3600, "end": 1_764_327_600 + at * 3600, "n": 9, "yes": 4, "waiting": 2, "no": at}
        for at in range(3)
    ]
    assert call(page, "bars", "stacked", rows)[1:] == [[9, 9, 9], [6, 7, 8], [2, 3, 4], [0, 1, 2]]
    span = {"start": rows[0]["start"], "end": rows[1]["end"]}
    low, high = rows[0]["start"] + 5, rows[1]["start"] + 5
    assert call(page, "bars", "covered", rows, low, high) == call(page, "bars", "covered", rows, high, low) == span
    assert call(page, "bars", "covered", rows, rows[2]["end"], rows[2]["end"] + 9) is None
    assert call(page, "bars", "spelled", 1_764_324_000) == "2025-11-28T10:00Z"
    hours = [1_764_367_200, 1_764_370_800, 1_764_374_400]
    said = {"lang": "en", "zone": "Europe/Berlin", "isHourly": True}
    assert call(page, "bars", "named", hours, said) == ["23:00\nNov 28", "00:00\nNov 29", "01:00"]
    assert call(page, "bars", "named", hours[:1], said | {"isHourly": False}) == ["Nov 28"]
