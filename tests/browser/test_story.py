"""The one story, played by hand in a real browser with a passkey: on a desk and on a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.looking import DESK, PHONE, Console, Look, open_page, overflow_px, shoot
from tests.browser.stage import Ring, World, enrol, furnished_world, read_through

HEADLINE = "Pay 4,200.00 EUR to Nordwind GmbH"
ARRIVES_WITHIN_MS = 2_000
OUTCOME = ".sheet > .notice"
# Written into the page: a reload would lose both.
WATCH = """(headline) => {
  window.wasHere = true;
  const look = () => {
    const found = [...document.querySelectorAll('.items .what')].some((one) => one.textContent.includes(headline));
    if (found && !window.arrivedAtMs) window.arrivedAtMs = Date.now();
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with furnished_world(tmp_path_factory.mktemp("story")) as furnished:
        yield furnished


@pytest.fixture(scope="module")
def ada(place: World, browser: Browser) -> Ring:
    """Ada's passkey, made with her enrolment link."""
    page, said = open_page(browser, DESK)
    ring = enrol(page, place.link("ada@acme.example"), key_name="Laptop")
    expect(page.get_by_role("heading", name="Nothing waits for you, Ada.")).to_be_visible()
    assert said == []
    return ring


def signed_in(browser: Browser, look: Look, place: World, ring: Ring) -> tuple[Page, Console]:
    """Return a page on which the passkey's owner has signed in, with nothing but the passkey."""
    page, said = open_page(browser, look)
    # A virtual authenticator answers the browser's own offer at once; here the button is to be pressed.
    page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")
    ring.move_to(page)
    page.goto(f"{place.url}/sign-in/?next=/inbox/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{place.url}/inbox/")
    return page, said


@pytest.mark.parametrize("look", [DESK, PHONE], ids=lambda look: look.name)
def test_an_agent_asks_a_person_signs_the_agent_acts_the_log_proves_it(
    browser: Browser, place: World, ada: Ring, look: Look
) -> None:
    page, said = signed_in(browser, look, place, ada)
    page.evaluate(WATCH, HEADLINE)
    agent = place.start_courier()
    asked_at_ms = agent.said_at_ms("to approve")
    row = page.locator("a.item:not(.done)", has_text=HEADLINE)
    row.wait_for()
    assert page.evaluate("window.wasHere"), "the page was loaded again"
    late_ms = int(page.evaluate("window.arrivedAtMs")) - asked_at_ms
    print(f"{look.name}: the card came {late_ms} ms after the agent had its answer")
    assert late_ms < ARRIVES_WITHIN_MS
    shoot(page, "story-arrived", look)
    row.click()
    reads_and_approves(page, look)
    assert agent.ends() == 0, agent.lines
    assert any("paid: 4200.00 EUR" in line for _at, line in agent.lines)
    assert any("refused" in line for _at, line in agent.lines), agent.lines
    shows_what_became_of_it(page, look)
    entry = proves_it(page, place, look)
    assert said == []
    sees_through_a_lie(page, entry)


def reads_and_approves(page: Page, look: Look) -> None:
    approve = page.get_by_role("button", name="Approve with passkey")
    expect(page.get_by_role("heading", name=HEADLINE)).to_be_visible()
    assert page.evaluate("document.activeElement.closest('.bar')") is None, "focus starts on neither button"
    expect(page.get_by_role("button", name="Read to the end")).to_be_disabled()
    expect(approve).to_be_hidden()
    expect(page.get_by_role("button", name="Deny", exact=True)).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.press("y")
    shoot(page, "story-card", look)
    read_through(page)
    assert overflow_px(page) == 0
    shoot(page, "story-read", look)
    approve.click()
    expect(page.locator(OUTCOME)).to_contain_text("Approved")
    expect(page.get_by_role("button", name="Deny", exact=True)).to_have_count(0)


def shows_what_became_of_it(page: Page, look: Look) -> None:
    page.reload()
    expect(page.locator(OUTCOME)).to_contain_text("Approved and used")
    shoot(page, "story-outcome", look)
    page.get_by_role("link", name="Open the receipt").click()
    expect(page.get_by_role("heading", name="Receipt", exact=True)).to_be_visible()
    shoot(page, "story-receipt", look)
    with page.expect_download() as loading:
        page.get_by_role("link", name="Download the receipt").click()
    assert loading.value.path().read_text().count(".") == 2
    page.goto(re.sub(r"/receipts/.*", "/inbox/", page.url))
    expect(page.locator("a.item.done", has_text=HEADLINE).first).to_contain_text("You approved · used")


def proves_it(page: Page, place: World, look: Look) -> str:
    """Return the address of the entry of the decision."""
    page.goto(f"{place.url}/audit/?type=approvals.decision.approved")
    page.locator(".entry-title").first.click()
    expect(page.get_by_text("✔ Proven in this browser", exact=True)).to_be_visible()
    shoot(page, "story-entry", look)
    entry = page.url
    page.get_by_role("link", name="The whole transaction").click()
    steps = page.locator(".timeline .entry-title").all_inner_texts()
    order = [steps.index(one) for one in ("Asked a person", "Signed a yes", "Issued a token", "Acted")]
    assert order == sorted(order), steps
    shoot(page, "story-timeline", look)
    return entry


def sees_through_a_lie(page: Page, entry: str) -> None:
    page.route(entry, tampered)
    page.goto(entry)
    expect(page.get_by_text("These bytes are not the ones in the log")).to_be_visible()
    expect(page.get_by_text("✔ Proven in this browser", exact=True)).to_be_hidden()


def tampered(route: Route) -> None:
    """Change one word of the entry's bytes on their way."""
    answer = route.fetch()
    before, mark, after = answer.text().partition("data-canon>")
    route.fulfill(response=answer, body=before + mark + after.replace("approve", "disprove", 1))


def test_a_no_is_one_tap(browser: Browser, place: World, ada: Ring) -> None:
    page, said = signed_in(browser, PHONE, place, ada)
    courier = place.courier()
    ask = courier.ask_person(place.order("Invoice 7", "70.00"), "It is due.")
    page.locator("a.item", has_text="Pay 70.00 EUR").tap()
    page.get_by_role("button", name="Deny", exact=True).tap()
    expect(page.locator(OUTCOME)).to_contain_text("Denied")
    shoot(page, "story-denied", PHONE)
    assert courier.wait(ask) is None
    assert said == []


def test_a_card_says_when_it_was_taken_back_while_it_lay_open(browser: Browser, place: World, ada: Ring) -> None:
    page, said = signed_in(browser, DESK, place, ada)
    courier = place.courier()
    ask = courier.ask_person(place.order("Invoice 8", "80.00"), "")
    page.locator("a.item", has_text="Pay 80.00 EUR").click()
    expect(page.get_by_role("heading", name="Pay 80.00 EUR")).to_be_visible()
    courier.client.call("revocation_endpoint", {"token": ask})
    expect(page.locator(OUTCOME)).to_contain_text("Withdrawn")
    expect(page.locator("[data-decide]:visible")).to_have_count(0)
    shoot(page, "story-withdrawn", DESK)
    assert said == []


def test_a_finger_that_is_not_hers_decides_nothing(browser: Browser, place: World, ada: Ring) -> None:
    page, _said = signed_in(browser, DESK, place, ada)
    ask = place.courier().ask_person(place.order("Invoice 9", "90.00"), "")
    page.locator("a.item", has_text="Pay 90.00 EUR").click()
    page.evaluate(
        "() => { navigator.credentials.get = async () => { throw new DOMException('no', 'NotAllowedError') } }"
    )
    read_through(page)
    page.get_by_role("button", name="Approve with passkey").click()
    expect(page.get_by_text("Nothing was decided. Try again when you are ready.")).to_be_visible()
    shoot(page, "story-cancelled", DESK)
    place.courier().client.call("revocation_endpoint", {"token": ask})


def test_keys_walk_the_list_and_never_decide(browser: Browser, place: World, ada: Ring) -> None:
    page, said = signed_in(browser, DESK, place, ada)
    courier = place.courier()
    asks = [courier.ask_person(place.order(f"Invoice {n}", f"{n}.00"), "") for n in (31, 32)]
    page.locator("a.item", has_text="Pay 32.00 EUR").wait_for()
    page.wait_for_load_state("networkidle")
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.href")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.href") != first
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus must be seen"
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url(first)
    for key in ("a", "d", "y", "n", "Space", "Enter"):
        page.keyboard.press(key)
    expect(page.get_by_role("button", name="Deny", exact=True)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    for ask in asks:
        courier.client.call("revocation_endpoint", {"token": ask})
    assert said == []


def test_signs_out_and_in_again_and_keeps_two_passkeys(browser: Browser, place: World, ada: Ring) -> None:
    page, said = signed_in(browser, DESK, place, ada)
    page.goto(f"{place.url}/me/passkeys/")
    expect(page.get_by_text("This is your only passkey.")).to_be_visible()
    expect(page.get_by_role("button", name="Remove for good")).to_have_count(0)
    adds_a_second_one(page, place)
    page.goto(f"{place.url}/me/sessions/")
    expect(page.get_by_text("this one")).to_be_visible()
    shoot(page, "story-sessions", DESK)
    page.goto(f"{place.url}/me/")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in/")
    assert said == []


def adds_a_second_one(page: Page, place: World) -> None:
    page.evaluate(
        """() => { const create = navigator.credentials.create.bind(navigator.credentials);
        navigator.credentials.create = (options) => { options.publicKey.excludeCredentials = []; return create(options); } }"""
    )
    page.get_by_label("Name of the new passkey").fill("Phone")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Phone")).to_be_visible()
    shoot(page, "story-passkeys", DESK)
    panel = page.locator(".panel", has=page.get_by_role("heading", name="Phone"))
    panel.get_by_label("Name").fill("Old phone")
    panel.get_by_role("button", name="Rename").click()
    panel = page.locator(".panel", has=page.get_by_role("heading", name="Old phone"))
    panel.get_by_role("button", name="Remove for good").click()
    expect(page.get_by_text("This is your only passkey.")).to_be_visible()
