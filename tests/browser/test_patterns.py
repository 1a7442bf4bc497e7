"""Every component, looked at: on a desk, on a phone, in the dark; nothing overflows, axe finds nothing."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.browser.looking import DARK, DESK, LOOKS, NARROW, Look, accessibility_faults, open_page, overflow_px, shoot

FIRST_VISIT_MAX_BYTES = 150 * 1024
LATER_VISIT_MAX_BYTES = 20 * 1024

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def patterns(live_server: LiveServer, settings: Settings) -> str:
    settings.DEBUG = True
    return f"{live_server.url}/patterns/"


@pytest.mark.parametrize("look", [*LOOKS, NARROW], ids=lambda look: look.name)
def test_every_component_is_accessible_and_fits(browser: Browser, patterns: str, look: Look) -> None:
    page, said = open_page(browser, look)
    page.goto(patterns)
    shoot(page, "patterns", look)
    assert overflow_px(page) == 0
    assert said == []
    assert accessibility_faults(page) == []


def test_a_dialog_asks_once_more_and_escape_leaves_it(browser: Browser, patterns: str) -> None:
    page, _said = open_page(browser, DESK)
    page.goto(patterns)
    page.get_by_role("button", name="Suspend…").click()
    dialog = page.get_by_role("dialog", name="Suspend Courier?")
    dialog.wait_for()
    shoot(page, "dialog", DESK)
    assert accessibility_faults(page) == []
    page.keyboard.press("Escape")
    dialog.wait_for(state="hidden")


def test_j_and_k_walk_through_a_list_and_the_question_mark_helps(browser: Browser, patterns: str) -> None:
    page, _said = open_page(browser, DARK)
    page.goto(patterns)
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.textContent")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.textContent") != first
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.textContent") == first
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()


def test_a_missing_page_says_so_within_the_weight_of_a_page(
    browser: Browser, live_server: LiveServer, settings: Settings
) -> None:
    page, _said = open_page(browser, DESK)
    weight = [0]
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda done: weight.append(int(done["encodedDataLength"])))
    page.goto(f"{live_server.url}/nowhere/")
    page.get_by_role("heading", name="There is nothing here").wait_for()
    page.wait_for_load_state("networkidle")
    assert accessibility_faults(page) == []
    assert sum(weight) < FIRST_VISIT_MAX_BYTES
    weight.clear()
    page.goto(f"{live_server.url}/nowhere/")
    page.wait_for_load_state("networkidle")
    assert sum(weight) < LATER_VISIT_MAX_BYTES
