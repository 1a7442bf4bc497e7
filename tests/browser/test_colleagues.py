"""What happens to a card while it lies open: a colleague takes it, or its time runs out. Desk and phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from aims.demo import world
from aims.policy.services import DEFAULT_POLICY
from tests.browser.looking import DESK, PHONE, Console, Look, accessibility_faults, open_page, overflow_px, shoot
from tests.browser.stage import World, enrol, furnished_world, read_through

DEE = "dee@acme.example"
OUTCOME = ".sheet > .notice"
TO_DECIDE = "[data-decide]:visible"
SWEPT_WITHIN_MS = 60_000
WITHIN_MS = 20_000

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Desks:
    """Ada and Dee, both of the treasury, each signed in at a browser of their own."""

    place: World
    ada: Page
    dee: Page
    said: tuple[Console, Console]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with furnished_world(tmp_path_factory.mktemp("colleagues")) as furnished:
        text = DEFAULT_POLICY.read_text().replace('@ask("subject")', '@ask("group:treasury")')
        changed = {
            "policies": [{"name": "treasury", "text": text}],
            "people": [{"email": DEE, "name": "Dee Park", "roles": ["approver"]}],
            "groups": [{"slug": "treasury", "name": "Treasury", "members": [world.ADA, DEE]}],
        }
        furnished.apply(json.dumps(changed).encode())
        yield furnished


@pytest.fixture(scope="module", params=[DESK, PHONE], ids=lambda look: look.name)
def look(request: pytest.FixtureRequest) -> Look:
    """What Dee looks at it with."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def ada(place: World, browser: Browser) -> tuple[Page, Console]:
    page, said = open_page(browser, DESK)
    enrol(page, place.link(world.ADA), key_name="Laptop")
    return page, said


@pytest.fixture(scope="module")
def desks(place: World, browser: Browser, ada: tuple[Page, Console], look: Look) -> Desks:
    page, said = open_page(browser, look)
    enrol(page, place.link(DEE), key_name="Phone")
    return Desks(place, ada[0], page, (ada[1], said))


def ask(place: World, amount: str, *, expiry_s: int = 900) -> str:
    form = {
        "scope": "openid",
        "login_hint": world.ADA,
        "resource": place.resource,
        "authorization_details": json.dumps([place.order(f"Invoice {amount}", amount)]),
        "requested_expiry": str(expiry_s),
    }
    answer = place.courier().client.call("backchannel_authentication_endpoint", form)
    assert answer.status == 200, answer.body
    return f"Pay {amount} EUR to Nordwind GmbH"


def faults_of(desks: Desks) -> list[str]:
    """Return what the consoles said, but for the style that axe wants to add."""
    return [line for said in desks.said for line in said if "inline style" not in line]


def opened(page: Page, place: World, headline: str) -> None:
    """Open the card from the inbox; from here on a reload would lose what is written into the page."""
    page.goto(f"{place.url}/inbox/")
    page.locator("a.item:not(.done)", has_text=headline).click(timeout=WITHIN_MS)
    expect(page.get_by_role("heading", name=headline)).to_be_visible(timeout=WITHIN_MS)
    page.wait_for_load_state()
    page.evaluate("window.wasHere = true")


def without_script(browser: Browser, page: Page) -> Page:
    """Return the same address in a browser that hears no bell: what it shows grows old."""
    state = page.context.storage_state()
    old = browser.new_context(java_script_enabled=False, storage_state=state).new_page()
    old.goto(page.url)
    expect(old.get_by_role("button", name="Deny", exact=True)).to_be_visible()
    return old


def test_a_card_that_a_colleague_takes_says_so_and_takes_no_late_no(browser: Browser, desks: Desks, look: Look) -> None:
    amount = "410.00" if look is DESK else "420.00"
    headline = ask(desks.place, amount)
    opened(desks.ada, desks.place, headline)
    opened(desks.dee, desks.place, headline)
    old = without_script(browser, desks.dee)
    read_through(desks.ada)
    desks.ada.get_by_role("button", name="Approve with passkey").click()
    expect(desks.ada.locator(OUTCOME)).to_contain_text("Approved", timeout=WITHIN_MS)

    expect(desks.dee.locator(OUTCOME)).to_contain_text("Approved by Ada Lindqvist", timeout=WITHIN_MS)
    expect(desks.dee.locator(TO_DECIDE)).to_have_count(0)
    assert desks.dee.evaluate("window.wasHere"), "the page was loaded again"
    shoot(desks.dee, "colleague-took-it", look)
    assert accessibility_faults(desks.dee) == []
    assert overflow_px(desks.dee) == 0
    expect(desks.dee.locator("a.item.done", has_text=headline)).to_contain_text("Ada Lindqvist decided")

    old.get_by_role("button", name="Deny", exact=True).click()
    expect(old.get_by_text("already been decided or withdrawn. Nothing was changed.")).to_be_visible(timeout=WITHIN_MS)
    expect(old.locator(OUTCOME)).to_contain_text("Approved by Ada Lindqvist")
    expect(old.locator(TO_DECIDE)).to_have_count(0)
    old.context.close()
    assert faults_of(desks) == []


def test_a_card_whose_time_runs_out_says_so_and_takes_no_late_no(browser: Browser, desks: Desks, look: Look) -> None:
    amount = "510.00" if look is DESK else "520.00"
    headline = ask(desks.place, amount, expiry_s=20)
    opened(desks.dee, desks.place, headline)
    old = without_script(browser, desks.dee)
    expect(desks.dee.locator(OUTCOME)).to_contain_text("Expired", timeout=SWEPT_WITHIN_MS)
    expect(desks.dee.locator(OUTCOME)).to_contain_text("the agent has to ask again")
    expect(desks.dee.locator(TO_DECIDE)).to_have_count(0)
    assert desks.dee.evaluate("window.wasHere"), "the page was loaded again"
    shoot(desks.dee, "expired-while-open", look)
    assert accessibility_faults(desks.dee) == []
    expect(desks.dee.locator("a.item.done", has_text=headline)).to_contain_text("Expired")

    old.get_by_role("button", name="Deny", exact=True).click()
    expect(old.get_by_text("This request has expired. Ask the agent to send it again.")).to_be_visible(
        timeout=WITHIN_MS
    )
    expect(old.locator(TO_DECIDE)).to_have_count(0)
    old.context.close()
    assert faults_of(desks) == []


def test_a_list_that_is_exchanged_keeps_the_keyboards_place(desks: Desks) -> None:
    headline, page = ask(desks.place, "77.00"), desks.ada
    page.goto(f"{desks.place.url}/inbox/")
    row = page.locator("a.item", has_text=headline).first
    row.wait_for()
    page.evaluate("document.querySelector('[data-part]').firstElementChild.dataset.old = ''")
    held: list[Route] = []
    page.route("**/inbox/part/**", lambda route: held.append(route))
    page.mouse.move(0, 0)
    with page.expect_request("**/inbox/part/**"):
        page.evaluate("document.querySelector('[data-part]').dispatchEvent(new CustomEvent('aims:refresh'))")
    row.focus()  # the answer is on its way
    for route in held:
        route.continue_()
    expect(page.locator("[data-old]")).to_have_count(0)
    expect(row).to_be_focused()
    page.unroute_all(behavior="wait")
