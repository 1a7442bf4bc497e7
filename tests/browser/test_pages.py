"""Every page of the product, looked at: on a desk, on a phone, in the dark. Nothing overflows, axe finds nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Response, Route, expect

from tests.browser.addresses import PAGES
from tests.browser.looking import DESK, Console, accessibility_faults, looked_at, open_page, shoot
from tests.browser.neighbours import HOSTILE_NAME, asks, enlarge, register_itself, seat_and_ask, show_twice, walk
from tests.browser.stage import World, enrol, furnished_world, read_through

FIRST_VISIT_MAX_BYTES = 150 * 1024
STOPS_MAX = 60
LATER_VISIT_MAX_BYTES = 20 * 1024

pytestmark = pytest.mark.browser


@dataclass
class Furnished:
    """The place after a busy morning, and who is signed in where."""

    world: World
    ada: dict[str, Any]
    ben: dict[str, Any]
    cy: dict[str, Any]
    refs: dict[str, str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Furnished]:
    with furnished_world(tmp_path_factory.mktemp("pages")) as world:
        enlarge(world)
        states = {
            name: session_of(browser, world.link(f"{name}@acme.example"), f"{name}'s laptop") for name in ("ben", "cy")
        }
        page, _said = open_page(browser, DESK)
        enrol(page, world.link("ada@acme.example"), key_name="Laptop")
        refs = busy_morning(page, world)
        yield Furnished(world, ada=dict(page.context.storage_state()), refs=refs, **states)


def session_of(browser: Browser, link: str, key_name: str) -> dict[str, Any]:
    """Enrol somebody; return the cookies of their session."""
    page, _said = open_page(browser, DESK)
    enrol(page, link, key_name=key_name)
    state = page.context.storage_state()
    page.context.close()
    return dict(state)


def busy_morning(page: Page, world: World) -> dict[str, str]:
    """Let requests come and end in every way; return what pages are named by."""
    register_itself(world)
    walk(world)
    seat_and_ask(world)
    courier = world.courier()
    show_twice(courier.client)
    order = world.order("Invoice 2026-1187", "4200.00")
    approved = courier.ask_person(order, "Invoice matches the purchase order.")
    decide(page, world, "Approve with passkey")
    token = courier.wait(approved)
    assert token
    courier.act(order, token["access_token"])
    denied = courier.ask_person(world.order("Invoice 2", "89.90"), "")
    decide(page, world, "Deny")
    assert courier.wait(denied) is None
    withdrawn = courier.ask_person(world.order("Invoice 3", "12.00"), "")
    courier.client.call("revocation_endpoint", {"token": withdrawn})
    hostile = world.order("Invoice 4", "1250000.00") | {"creditorName": HOSTILE_NAME, "note": {"à": ["b", 1, True]}}
    courier.ask_person(hostile, "Please\u200b approve \u202equickly. " + "No spaces" * 40)
    courier.ask_person(order, "Invoice matches the purchase order; a 2 % discount lapses at midnight.")
    return found_refs(page, world)


def decide(page: Page, world: World, button: str) -> None:
    page.goto(f"{world.url}/inbox/")
    page.locator("a.item:not(.done)").first.click()
    if button != "Deny":
        read_through(page)
    page.get_by_role("button", name=button, exact=True).click()
    page.locator(".sheet > .notice").wait_for()


def found_refs(page: Page, world: World) -> dict[str, str]:
    """Find the addresses that hold a reference by walking to them, as a person would."""
    found = {}
    for name, start, link in (
        ("waiting", "/inbox/", "a.item:not(.done):has-text('4,200.00')"),
        ("hostile", "/inbox/", "a.item:not(.done):has-text('1,250,000.00')"),
        ("used", "/inbox/", "a.item.done:has-text('4,200.00')"),
        ("denied", "/inbox/", "a.item.done:has-text('89.90')"),
        ("agent", "/agents/", "a.item:has-text('Courier')"),
        ("suspended", "/agents/", "a.item:has-text('Magpie')"),
        ("registration", "/agents/registrations/", "a.item"),
        ("resource", "/resources/", "a.item"),
        ("person", "/people/", "a:has-text('Ben Okafor')"),
        ("grant", "/grants/?q=desk", "a.item"),
        ("server", "/trust/", ".choices a"),
        ("ledger", "/resources/?q=ledger", "a.item"),
        ("consent", "/compliance/consents/", "a.item"),
        ("seat", "/compliance/auditors/", "a.item"),
        ("entry", "/audit/?q=type:approvals.decision.approved", ".entry-title"),
    ):
        page.goto(world.url + start)
        found[name] = str(page.locator(link).first.get_attribute("href"))
    page.goto(f"{world.url}{found['grant']}chain/")
    found["chain"] = str(page.locator("a.item").first.get_attribute("href"))
    found["who"] = f"resource={found['ledger'].split('/')[-2]}&action=ledger.read"
    page.goto(world.url + found["used"])
    found["receipt"] = str(page.get_by_role("link", name="Open the receipt").get_attribute("href"))
    found["schedule"] = scheduled(page, world)
    found["agent_story"] = f"/audit/timeline/agent/{found['agent'].split('/')[-2]}/"
    found["pack"] = f"/audit/packs/new/?kind=agent&ref={found['agent'].split('/')[-2]}"
    page.goto(f"{world.url}/findings/?rule=replay")
    for _ in range(60):  # a sweep finds it, within seconds
        if page.locator("a.item").count():
            break
        page.wait_for_timeout(500)
        page.reload()
    found["finding"] = str(page.locator("a.item").first.get_attribute("href"))
    page.goto(world.url + found["entry"])
    found["timeline"] = str(page.get_by_role("link", name="The whole transaction").get_attribute("href"))
    return found


def scheduled(page: Page, world: World) -> str:
    """Schedule a report; return its page."""
    page.goto(f"{world.url}/audit/exports/schedules/new/?q=decision:denied")
    page.get_by_label("Name").fill("What was refused")
    page.get_by_role("button", name="Schedule it").click()
    page.wait_for_url("**/sch_*/")
    return page.url.removeprefix(world.url)


@pytest.mark.parametrize(("who", "name", "path", "status"), PAGES, ids=[page[1] for page in PAGES])
def test_every_page_fits_and_everybody_can_read_it(
    browser: Browser, place: Furnished, who: str, name: str, path: str, status: int
) -> None:
    page, said, answer = visit(browser, place, who, path)
    assert answer.status == status
    assert [line for line in said if status == 200 or f"status of {status}" not in line] == []
    assert page.evaluate("document.activeElement.closest('.bar')") is None
    looked_at(page, name)
    page.context.close()


def test_a_personal_value_is_shown_to_who_says_why_and_checked_by_the_browser(
    browser: Browser, place: Furnished
) -> None:
    page, said, _answer = visit(browser, place, "ada", "/audit/?q=type:people.person.created")
    page.locator("table.entries tbody a").first.click()
    page.get_by_text("Reveal").first.click()
    looked_at(page, "entry-personal")
    page.get_by_role("button", name="Show the value").first.click()
    expect(page.locator("commitment-check")).to_have_attribute("data-checked", "same")
    looked_at(page, "personal-value")
    assert [line for line in said if "inline style" not in line] == []  # axe's own
    page.context.close()


def test_the_pages_between_an_agent_and_its_answer_fit_too(browser: Browser, place: Furnished) -> None:
    page, said, _answer = visit(browser, place, "ada", asks(place.world))
    looked_at(page, "consent")
    payment = json.dumps([place.world.order("Invoice 9", "70.00")])
    page.goto(place.world.url + asks(place.world, scope="accounts.read", authorization_details=payment))
    looked_at(page, "consent-signed")
    agree = page.get_by_role("button", name="Agree, then sign")
    read_through(page, agree)
    agree.click()
    page.wait_for_url("**/inbox/*/")
    page.goto(page.url.replace("/inbox/", "/oauth/authorize/go-on/"))
    looked_at(page, "consent-waiting")
    page.route("**/withdraw/", without_refresh)
    page.get_by_role("button", name="Take it back").click()
    looked_at(page, "consent-leaving")
    page.goto(f"{place.world.url}/oauth/authorize?client_id=nobody")
    looked_at(page, "consent-trouble")
    assert [line for line in said if "status of 400" not in line and "inline style" not in line] == []


def test_a_grant_is_narrowed_and_taken_back_by_keyboard_and_an_open_chain_hears_it(
    browser: Browser, place: Furnished
) -> None:
    chain, said, _answer = visit(browser, place, "ada", place.refs["chain"])
    expect(chain.get_by_role("link", name="Take back the grant")).to_be_visible()
    page, more, _answer = visit(browser, place, "ada", place.refs["grant"])
    follow(page, page.get_by_role("link", name="Narrow"))
    page.get_by_label("How often an hour").focus()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("4")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="What this ends").wait_for()
    expect(page.get_by_text("at most 4 times an hour")).to_be_visible()
    looked_at(page, "grant-narrow-preview")
    follow(page, page.get_by_role("button", name="Narrow"))
    expect(page.locator(".toasts")).to_contain_text("Narrowed.")
    page.goto(place.world.url + place.refs["grant"])
    follow(page, page.get_by_role("link", name="Take back"))
    expect(page.get_by_role("heading", name="What this ends")).to_be_visible()
    follow(page, page.get_by_role("button", name="Take back"))
    expect(page.locator(".toasts")).to_contain_text("Taken back.")
    expect(chain.get_by_role("link", name="Take back the grant")).to_have_count(0)
    expect(chain.locator("#chain .notice")).not_to_have_attribute("data-tone", "yes")
    assert [line for line in said + more if "inline style" not in line] == []


def follow(page: Page, stop: Locator) -> None:
    """Walk to something with the Tab key, see that the focus shows, and press Enter."""
    for _ in range(STOPS_MAX):
        page.keyboard.press("Tab")
        if stop.evaluate("(stop) => stop === document.activeElement"):
            break
    assert stop.evaluate("(stop) => stop === document.activeElement")
    assert stop.evaluate("(stop) => getComputedStyle(stop).outlineStyle") == "solid"
    with page.expect_navigation():
        page.keyboard.press("Enter")


def without_refresh(route: Route) -> None:
    """Let a page on which nobody stays be looked at."""
    answer = route.fetch()
    kept = {name: value for name, value in answer.headers.items() if name != "refresh"}
    route.fulfill(response=answer, headers=kept)


def test_a_link_is_shown_once_and_opens_a_door(browser: Browser, place: Furnished) -> None:
    page, said, _answer = visit(browser, place, "ada", "/people/invite/")
    page.get_by_label("E-mail address").fill("new.person.with.a.long.name@engineering.acme.example")
    page.get_by_label("Name", exact=True).fill("Noor van den Berg-Achterberg")
    page.get_by_label("Approver").check()
    page.get_by_role("button", name="Make a link").click()
    link = page.locator("copy-text code").inner_text()
    assert re.fullmatch(rf"{place.world.url}/join/[\w-]+/", link)
    assert said == []
    looked_at(page, "link")
    guest, more, _ = visit(browser, place, "nobody", link.removeprefix(place.world.url))
    assert more == []
    looked_at(guest, "join")
    pages_that_hide_where_one_comes_from_still_send_forms(browser, page, guest, link)


def pages_that_hide_where_one_comes_from_still_send_forms(browser: Browser, page: Page, guest: Page, link: str) -> None:
    """From a page with ``no-referrer`` a form would go out with ``Origin: null``, which the check of origins refuses."""
    plain, _said = open_page(browser, DESK, java_script_enabled=False)
    plain.goto(link)
    plain.get_by_label("Name of this passkey").press("Enter")
    expect(plain.get_by_role("heading", name="Welcome, Noor van den Berg-Achterberg")).to_be_visible()
    expect(plain).to_have_url(link)
    plain.context.close()
    enrol(guest, link, key_name="Phone")
    expect(guest.get_by_role("heading", name="Nothing waits for you, Noor")).to_be_visible()
    page.get_by_role("link", name="Back to people").click()
    page.get_by_label("Short name").fill("night-shift")
    page.get_by_label("Name", exact=True).fill("Night shift")
    page.get_by_role("button", name="Make a group").click()
    expect(page.locator(".toasts")).to_contain_text("The group was made.")


def test_an_agent_is_suspended_and_resumed_after_a_question(browser: Browser, place: Furnished) -> None:
    page, said, _answer = visit(browser, place, "ada", place.refs["suspended"])
    page.get_by_role("button", name="Resume").click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    shoot(page, "agent-dialog", DESK)
    assert accessibility_faults(page) == []
    # A click before the next page's script has run asks on a page of its own, as it does without scripts.
    with page.expect_navigation():
        dialog.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Suspend").click()
    page.get_by_role("dialog").get_by_label("Why?").fill("asked for actions outside its task")
    with page.expect_navigation():
        page.get_by_role("dialog").get_by_role("button", name="Suspend").click()
    page.get_by_role("button", name="Resume").wait_for()
    assert [line for line in said if "style" not in line] == []


@pytest.mark.parametrize("path", ["/", "/inbox/", "/audit/", "{waiting}"])
def test_a_first_visit_is_light_and_the_next_one_lighter(browser: Browser, place: Furnished, path: str) -> None:
    page, _said = open_page(browser, DESK, storage_state=place.ada)
    weight = weighed(page)
    address = place.world.url + path.format(**place.refs)
    page.goto(address, wait_until="load")
    page.wait_for_timeout(700)
    first = sum(weight)
    weight.clear()
    page.goto(address, wait_until="load")
    page.wait_for_timeout(700)
    print(f"{path}: first {first / 1024:.1f} KiB, then {sum(weight) / 1024:.1f} KiB")
    assert first < FIRST_VISIT_MAX_BYTES
    assert sum(weight) < LATER_VISIT_MAX_BYTES


def visit(browser: Browser, place: Furnished, who: str, path: str) -> tuple[Page, Console, Response]:
    """Open a page as somebody."""
    state = None if who == "nobody" else getattr(place, who)
    page, said = open_page(browser, DESK, storage_state=state)
    answer = page.goto(place.world.url + path.format(**place.refs))
    assert answer
    return page, said, answer


def weighed(page: Page) -> list[int]:
    """Return a list that gets the bytes of every answer that comes over the wire."""
    weight: list[int] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda done: weight.append(int(done["encodedDataLength"])))
    return weight
