"""What has to be read before a yes can be said: every part on screen, by wheel, by keyboard, or read aloud."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings
from django.test import Client
from playwright.sync_api import Browser, Locator, Page, expect
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from tests.browser.looking import DESK, PHONE, Look, accessibility_faults, open_page, overflow_px, shoot
from tests.browser.stage import read_through
from tests.support.log import written_once as written_once
from tests.unit.approvals import stage as stages

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LOOKS = pytest.mark.parametrize("look", [DESK, PHONE], ids=lambda look: look.name)
LOW = Look("low", 1360, 600, "light")
TOWER = Look("tower", 1360, 2000, "light")
LONG_WORDS = "The supplier wrote again this morning. " * 60
LONGER_THAN_A_SCREEN = "The supplier wrote again this morning. " * 400

Open = Callable[..., Page]


@pytest.fixture
def card(browser: Browser, live_server: LiveServer, settings: Settings, written_once: None) -> Open:
    """Open a card of Ada's in her browser. says: the agent's own words, which make it long."""
    settings.DEBUG = True
    stage = stages.build()

    def open_card(look: Look, *, says: str) -> Page:
        request = stage.open(agent_says=says)
        page, _said = open_page(browser, look)
        page.context.add_cookies(
            [{"name": settings.SESSION_COOKIE_NAME, "value": session_of(stage), "url": live_server.url}]
        )
        page.goto(f"{live_server.url}/inbox/{request.ref}/")
        page.locator(".end-mark").wait_for(state="attached")
        return page

    return open_card


def session_of(stage: stages.Stage) -> str:
    client = Client()
    client.force_login(stage.ada, backend="aims.people.backend.PasskeyBackend")
    return client.cookies[settings.SESSION_COOKIE_NAME].value


def approve(page: Page) -> Locator:
    return page.get_by_role("button", name="Approve with passkey")


def settled(page: Page) -> None:
    """Let two frames pass: what is on screen has been counted."""
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))"
    )


@LOOKS
def test_a_jump_to_the_end_is_not_reading(card: Open, look: Look) -> None:
    page = card(look, says=LONG_WORDS)
    page.locator(".end-mark").evaluate("(mark) => mark.scrollIntoView()")
    expect(page.get_by_text("Some of this was not on screen yet.")).to_be_visible()
    settled(page)
    expect(approve(page)).to_be_hidden()
    expect(page.get_by_role("button", name="Read to the end")).to_be_disabled()
    assert overflow_px(page) == 0
    shoot(page, "card-skipped", look)


@LOOKS
def test_who_scrolls_through_it_may_approve(card: Open, look: Look) -> None:
    page = card(look, says=LONG_WORDS)
    expect(approve(page)).to_be_hidden()
    read_through(page)
    expect(approve(page)).to_be_visible()
    expect(page.get_by_text("All of it was on screen.")).to_be_attached()


@LOOKS
def test_words_that_are_longer_than_a_screen_have_to_pass_through_it(card: Open, look: Look) -> None:
    page = card(look, says=LONGER_THAN_A_SCREEN)
    # Its beginning and its end, and everything else; but not its middle.
    for part in page.locator(".sheet > header, .sheet > .facts > div, .sheet > .said, .sheet > .why").all():
        part.evaluate("(part) => part.scrollIntoView({ block: 'start' })")
        settled(page)
    for part in page.locator(".sheet > .said, .sheet > .why, .seal, .end-mark").all():
        part.evaluate("(part) => part.scrollIntoView({ block: 'end' })")
        settled(page)
    expect(page.get_by_text("Some of this was not on screen yet.")).to_be_visible()
    expect(approve(page)).to_be_hidden()
    page.evaluate("scrollTo(0, 0)")
    read_through(page)
    expect(approve(page)).to_be_visible()


def test_a_card_that_fits_is_read_at_once(card: Open) -> None:
    page = card(TOWER, says="")
    expect(approve(page)).to_be_visible()


def test_what_lies_under_the_bar_is_not_on_screen(card: Open) -> None:
    page = card(LOW, says="")
    rows = page.locator(".sheet > .facts > div")
    hidden = "(row, bar) => row.getBoundingClientRect().bottom > bar.getBoundingClientRect().top"
    bar = page.locator(".bar").element_handle()
    assert any(row.evaluate(hidden, bar) for row in rows.all())
    expect(approve(page)).to_be_hidden()


@pytest.mark.parametrize("key", ["PageDown", "Space"])
def test_the_keyboard_reads_too(card: Open, key: str) -> None:
    page = card(DESK, says=LONG_WORDS)
    for _ in range(200):
        if approve(page).is_visible():
            break
        page.keyboard.press(key)
        settled(page)
    expect(approve(page)).to_be_visible()


def test_after_a_jump_the_page_leads_to_what_was_passed_by(card: Open) -> None:
    page = card(LOW, says=LONG_WORDS)
    page.locator(".end-mark").evaluate("(mark) => mark.scrollIntoView()")
    show = page.get_by_role("button", name="Show it")
    show.wait_for()
    assert accessibility_faults(page) == []
    for _ in range(50):
        if approve(page).is_visible():
            break
        show.focus()
        page.keyboard.press("Enter")
        settled(page)
        assert approve(page).is_visible() or page.evaluate("document.activeElement.closest('.bar')") is None
    expect(approve(page)).to_be_visible()


@LOOKS
def test_a_reader_that_goes_from_part_to_part_gets_there(card: Open, look: Look) -> None:
    page = card(look, says="The due date is today.")
    parts = ".sheet > header, .sheet > .facts > div, .said, .why, .seal, .sheet > .raw > summary, .live, .end-mark"
    for part in page.locator(parts).all():
        # What a screen reader does with the part that it reads: it brings it into view, and no more.
        part.evaluate("(part) => part.scrollIntoView({ block: 'nearest' })")
        settled(page)
    expect(approve(page)).to_be_visible()


def test_a_window_that_shrinks_takes_nothing_back(card: Open) -> None:
    page = card(TOWER, says="")
    expect(approve(page)).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 640})
    expect(approve(page)).to_be_visible()


def test_without_script_nothing_offers_a_yes(card: Open, browser: Browser) -> None:
    page = card(DESK, says="")
    context = browser.new_context(java_script_enabled=False, storage_state=page.context.storage_state())
    plain = context.new_page()
    plain.goto(page.url)
    expect(plain.get_by_role("button", name="Deny", exact=True)).to_be_visible()
    expect(approve(plain)).to_be_hidden()
    context.close()
