"""An agent asks through a person's own browser: they sign in, leave out what they do not want, and are brought back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from aims.demo import world as demo
from aims.demo.client import Client
from aims.demo.keys import load_or_make, public_jwks
from aims.kit.ids import b64url
from aims.policy.services import DEFAULT_POLICY
from tests.browser.landing import Landing, landing
from tests.browser.looking import DESK, PHONE, open_page, shoot
from tests.browser.stage import Ring, World, enrol, furnished_world, read_through

VERIFIER = "v" * 43
TURNS_MAX = 50
STOP = """() => {
  const [stop, bar] = [document.activeElement, document.querySelector('.bar')];
  const [here, below] = [stop.getBoundingClientRect(), bar.getBoundingClientRect()];
  return {
    name: stop.name === 'decision' ? stop.innerText : stop.name === 'span' ? 'span'
      : stop.getAttribute('href') || stop.value || stop.getAttribute('aria-label') || stop.innerText,
    outline: getComputedStyle(stop).outlineStyle,
    is_hidden: here.top < 0 || here.bottom > innerHeight || (!bar.contains(stop) && here.bottom > below.top),
  };
}"""
OPENID = "openid offline_access accounts.read"

pytestmark = pytest.mark.browser


@dataclass
class Place:
    """The demo's world, Ada's passkey, and where Courier waits for her answer."""

    world: World
    landing: Landing
    ada: Ring
    client: Client

    def asks(self, **changed: str) -> str:
        """Let Courier push a request; return the address that it opens in a browser."""
        client = self.client
        form = {
            "response_type": "code",
            "redirect_uri": self.landing.uri,
            "scope": OPENID,
            "resource": self.world.resource,
            "state": "a state",
            "code_challenge": b64url(hashlib.sha256(VERIFIER.encode()).digest()),
            "code_challenge_method": "S256",
        } | changed
        answer = client.call("pushed_authorization_request_endpoint", form)
        assert answer.status == 201, answer.body
        query = {"client_id": demo.COURIER, "request_uri": answer.body["request_uri"]}
        return f"{client.metadata['authorization_endpoint']}?{urlencode(query)}"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Place]:
    with furnished_world(tmp_path_factory.mktemp("consent")) as here, landing() as there:
        here.apply(_with_redirect(here, there))
        page, _said = open_page(browser, DESK)
        yield Place(here, there, enrol(page, here.link("ada@acme.example"), key_name="Laptop"), here.courier().client)


def _with_redirect(here: World, there: Landing) -> bytes:
    """Return the demo's configuration in which Courier may have codes."""
    keys = ("courier", "magpie", "payments")
    jwks = {name: public_jwks(load_or_make(here.server.var / f"{name}.jwk")) for name in keys}
    raw = json.loads(
        demo.configuration(resource=here.resource, policy=DEFAULT_POLICY.read_text(), jwks=jwks, now=datetime.now(UTC))
    )
    raw["agents"][0]["redirect_uris"] = [there.uri]
    return json.dumps(raw).encode()


def test_a_person_signs_in_narrows_agrees_and_is_brought_back_with_a_code(browser: Browser, place: Place) -> None:
    page, said = open_page(browser, DESK)
    page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")
    place.ada.move_to(page)
    page.goto(place.asks())
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Let Courier act for you at Payments API?")).to_be_visible()
    assert page.evaluate("document.activeElement.closest('.bar')") is None, "focus starts on neither button"
    agree = page.get_by_role("button", name="Agree", exact=True)
    expect(page.get_by_role("button", name="Read to the end")).to_be_disabled()
    expect(agree).to_be_hidden()
    page.get_by_label("Read balances").focus()
    page.locator("input[value=offline_access]").uncheck()
    read_through(page, agree)
    agree.click()
    page.wait_for_url(f"{place.landing.uri}?*")
    expect(page.get_by_role("heading", name="Thank you.")).to_be_visible()
    brought = place.landing.brought.pop()
    assert brought.keys() == {"code", "state", "iss"}
    assert (brought["state"], brought["iss"]) == ("a state", place.world.url)
    assert [line for line in said if "inline style" not in line] == []
    redeems(place, brought["code"])
    signs_what_can_not_be_undone(page, place)
    walks_it_by_keyboard(page, place)
    answers_without_a_script(browser, page, place)


def redeems(place: Place, code: str) -> None:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": place.landing.uri}
    answer = place.client.call("token_endpoint", form | {"code_verifier": VERIFIER})
    assert answer.status == 200, answer.body
    assert "refresh_token" not in answer.body, "she left that out"
    assert "id_token" in answer.body


def signs_what_can_not_be_undone(page: Page, place: Place) -> None:
    """The card is signed in the same browser, and its script brings it back over the page in between."""
    order = place.world.order("Invoice 7", "70.00")
    page.goto(place.asks(scope="accounts.read", authorization_details=json.dumps([order])))
    shoot(page, "consent-payment", PHONE)
    agree = page.get_by_role("button", name="Agree, then sign")
    read_through(page, agree)
    agree.click()
    page.wait_for_url("**/inbox/**")
    read_through(page)
    page.get_by_role("button", name="Approve with passkey").click()
    page.wait_for_url(f"{place.landing.uri}?*")
    assert place.landing.brought.pop().keys() == {"code", "state", "iss"}


def walks_it_by_keyboard(page: Page, place: Place) -> None:
    """Every stop in the order of the page, seen, not under the bar; Enter in a field answers nothing; then yes, then no."""
    page.goto(place.asks(prompt="consent"))
    agree = page.get_by_role("button", name="Agree", exact=True)
    for _ in range(TURNS_MAX):
        if agree.is_visible():
            break
        page.keyboard.press("PageDown")
        settled(page)
    expect(page.get_by_text("All of it was on screen. You can agree now.")).to_be_attached()
    page.locator("#main").focus()
    stops = [tab(page)]
    while stops[-1]["name"] != "Agree" and len(stops) < TURNS_MAX:
        stops.append(tab(page))
    found = [stop["name"] for stop in stops if stop["name"] not in ("Copy", "")]
    assert [name for name in found if not name.startswith("/grants/")] == [
        "accounts.read", "offline_access", "openid", "span", "Limit how much", "Deny", "Agree",
    ]  # fmt: skip
    for stop in stops:
        assert (stop["outline"], stop["is_hidden"]) == ("solid", False), stop
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    tab(page)
    page.keyboard.type("3")
    question = page.url
    page.keyboard.press("Enter")
    settled(page)
    assert page.url == question
    page.get_by_role("radio", name="a day").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="an hour")).to_be_checked()
    agree.focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{place.landing.uri}?*")
    assert "code" in place.landing.brought.pop()
    page.goto(place.asks(prompt="consent"))
    page.get_by_role("button", name="Deny", exact=True).focus()
    page.keyboard.press("Enter")
    page.wait_for_url(f"{place.landing.uri}?*")
    assert place.landing.brought.pop()["error"] == "access_denied"


def tab(page: Page) -> dict[str, Any]:
    """Go on to the next stop; return what it is called, its outline, and whether something hides it."""
    page.keyboard.press("Tab")
    settled(page)
    return dict(page.evaluate(STOP))


def settled(page: Page) -> None:
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def answers_without_a_script(browser: Browser, page: Page, place: Place) -> None:
    """Both answers stand below all that is to be read, and not over it."""
    plain, _said = open_page(browser, PHONE, storage_state=page.context.storage_state(), java_script_enabled=False)
    plain.goto(place.asks(prompt="consent"))
    agree = plain.get_by_role("button", name="Agree", exact=True)
    expect(agree).to_have_count(1)
    expect(agree).not_to_be_in_viewport()
    expect(plain.get_by_role("button", name="Read to the end")).to_have_count(0)
    shoot(plain, "consent-plain", PHONE)
    agree.click()
    plain.wait_for_url(f"{place.landing.uri}?*")
    assert "code" in place.landing.brought.pop()
    plain.context.close()
