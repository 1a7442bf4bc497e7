"""The registry by hand: register an agent, change it, stop and resume it, grant and revoke, add a resource, load a policy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from joserfc.jwk import ECKey
from playwright.sync_api import Browser, Page, expect

from tests.browser.looking import Console, Look, accessibility_faults, open_page, overflow_px, shoot, wear
from tests.browser.stage import World, enrol, furnished_world

WIDE = Look("wide", 1440, 900, "light")
WIDE_DARK = Look("wide-dark", 1440, 900, "dark")
SMALL = Look("small", 390, 844, "light", is_touch=True)
SMALL_DARK = Look("small-dark", 390, 844, "dark", is_touch=True)
LOOKS = (WIDE, WIDE_DARK, SMALL, SMALL_DARK)
JWKS = json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]})
POLICY = """@id("within-a-grant")
@says("An active agent may do what can be undone here, inside a grant.")
permit (principal, action == Action::"use", resource)
when {
  principal.state == "active" && context.has_grant &&
  ["read-only", "reversible"].contains(context.reversibility)
};

@id("ask-the-owner")
@says("What is hard or impossible to undo needs the yes of whoever answers for the agent.")
@ask("owner")
permit (principal, action == Action::"use", resource)
when { principal.state == "active" && context.has_grant };
"""

pytestmark = pytest.mark.browser


@dataclass
class Desk:
    """Ada's desk: a place with the demo's world, and the cookies of her session."""

    world: World
    ada: dict[str, Any]

    def page(self, browser: Browser, look: Look, **more: Any) -> tuple[Page, Console]:
        return open_page(browser, look, storage_state=self.ada, base_url=self.world.url, **more)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Desk]:
    with furnished_world(tmp_path_factory.mktemp("registry")) as world:
        page, _said = open_page(browser, WIDE)
        enrol(page, world.link("ada@acme.example"), key_name="Laptop")
        state = dict(page.context.storage_state())
        page.context.close()
        yield Desk(world, state)


def seen(page: Page, name: str) -> None:
    """Keep its pictures on a desk and on a phone, light and dark; hold that it fits and that axe finds nothing."""
    faults = []
    for look in LOOKS:
        wear(page, look)
        shoot(page, f"registry-{name}", look)
        faults += [f"{look.name}: {fault}" for fault in accessibility_faults(page)]
        assert overflow_px(page) == 0, f"{name} at {look.name}"
    wear(page, WIDE)
    assert faults == []


def press(page: Page, name: str) -> None:
    page.wait_for_load_state()  # before its script has run, a page asks on another page instead of in a dialog
    page.get_by_role("button", name=name, exact=True).click()


def told(page: Page, words: str) -> None:
    """Hold that the page says what happened."""
    expect(page.locator(".toasts")).to_contain_text(words)


def test_an_agent_is_registered_changed_stopped_and_given_away(browser: Browser, desk: Desk) -> None:
    page, said = desk.page(browser, WIDE)
    page.goto("/agents/")
    seen(page, "agents")
    page.get_by_role("link", name="Register an agent").click()
    page.get_by_label("Identifier").fill("spiffe://elsewhere.example/agent/kestrel")
    page.get_by_label("Name", exact=True).fill("Kestrel")
    page.get_by_label("Purpose").fill("Merges releases when the tests are green.")
    page.get_by_label("Contact").fill("platform@acme.example")
    page.get_by_label("Owner").select_option(label="Ada Lindqvist")
    page.get_by_label("Public keys (JWKS)").fill(JWKS)
    page.get_by_label("Ping: we call it when there is one").check()
    press(page, "Register")
    expect(page.locator(".field", has=page.get_by_label("Identifier"))).to_contain_text("not registered here")
    seen(page, "agent-new-wrong")
    page.get_by_label("Identifier").fill("spiffe://ACME.example/agent/kestrel")
    press(page, "Register")
    expect(page.locator(".field", has=page.get_by_label("Address to ping"))).to_contain_text("endpoint")
    page.get_by_label("Address to ping").fill("https://kestrel.example/ping")
    press(page, "Register")
    told(page, "Kestrel is registered")
    expect(page.locator(".stack")).to_contain_text("https://kestrel.example/ping")
    seen(page, "agent")

    page.get_by_role("link", name="Edit").click()
    seen(page, "agent-edit")
    page.get_by_label("Contact").fill("releases@acme.example")
    page.get_by_label("Finance").check()
    press(page, "Save")
    told(page, "Saved: contact, groups.")

    press(page, "Suspend")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Suspend Kestrel?")
    seen(page, "agent-suspend-dialog")
    dialog.get_by_label("Why?").fill("merged into the wrong branch")
    dialog.get_by_role("button", name="Suspend").click()
    told(page, "Kestrel is suspended.")
    expect(page.locator(".notice")).to_contain_text("merged into the wrong branch")
    seen(page, "agent-suspended")
    press(page, "Resume")
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    told(page, "Kestrel may act again.")

    page.get_by_role("link", name="Give it to another owner").click()
    page.get_by_label("Owner").select_option(label="Cy Moreau")
    press(page, "Go on")
    seen(page, "agent-owner")
    press(page, "Give it over")
    told(page, "Cy Moreau answers for Kestrel now.")
    assert [line for line in said if "422" not in line and "style" not in line] == []


def test_a_grant_is_given_seen_and_taken_back(browser: Browser, desk: Desk) -> None:
    page, said = desk.page(browser, WIDE)
    page.goto("/grants/")
    page.get_by_role("link", name="Give a grant").click()
    page.get_by_label("Agent").select_option(label="Courier")
    page.get_by_label("Resource").select_option(label="Payments API")
    seen(page, "grant-place")
    press(page, "Go on")
    press(page, "Give")
    expect(page.get_by_text("Tick at least one action.")).to_be_visible()
    page.get_by_label("Read balances").check()
    page.get_by_label("Me: it acts for me").check()
    page.get_by_label("Until", exact=False).fill("2020-01-01T00:00")
    press(page, "Give")
    expect(page.get_by_text("This is past.")).to_be_visible()
    seen(page, "grant-give-wrong")
    page.get_by_label("Until", exact=False).fill(page.evaluate("new Date(Date.now() + 9e8).toISOString().slice(0, 16)"))
    page.get_by_label("Mission").fill("Watch the balance over Christmas")
    press(page, "Give")
    told(page, "Given. Courier may act at Payments API until")
    seen(page, "grant")
    page.goto("/me/agents/")
    seen(page, "my-agents")
    part = page.locator(".part", has_text="Watch the balance")
    part.get_by_role("link", name="Take back").click()
    expect(page.get_by_role("main")).to_contain_text("It may no longer read balances at Payments API.")
    seen(page, "grant-revoke")
    press(page, "Take back")
    told(page, "Taken back.")
    expect(page.locator(".part", has_text="Watch the balance")).to_have_count(0)
    page.goto("/grants/?state=ended")
    expect(page.get_by_role("main")).to_contain_text("Watch the balance")
    seen(page, "grants-ended")
    assert [line for line in said if "422" not in line and "style" not in line] == []


def test_a_resource_is_added_changed_and_retired(browser: Browser, desk: Desk) -> None:
    page, said = desk.page(browser, WIDE)
    page.goto("/resources/new/")
    page.get_by_label("Identifier").fill("https://calendar.example/#top")
    page.get_by_label("Name", exact=True).first.fill("Calendar")
    line = page.get_by_role("group", name="Action 1", exact=True)
    line.get_by_label("Name").fill("events.delete")
    press(page, "Register")
    expect(line).to_contain_text("This is missing.")
    seen(page, "resource-new-wrong")
    line.get_by_label("In words").fill("Delete events")
    line.get_by_label("Can it be undone?").select_option(label="Irreversible")
    press(page, "Register")
    expect(page.locator(".field", has=page.get_by_label("Identifier"))).to_contain_text("without a fragment")
    page.get_by_label("Identifier").fill("https://calendar.example/")
    press(page, "More lines")
    expect(page.get_by_role("group", name="Action 8", exact=True)).to_be_visible()
    press(page, "Register")
    told(page, "Calendar is registered.")
    seen(page, "resource")
    page.get_by_role("link", name="Edit").click()
    page.get_by_role("group", name="Action 1", exact=True).get_by_label("In words").fill("Delete events for good")
    seen(page, "resource-edit")
    press(page, "Save")
    told(page, "Saved: actions.")
    press(page, "Retire…")
    page.get_by_role("dialog").get_by_role("button", name="Retire").click()
    told(page, "Calendar is retired.")
    seen(page, "resource-retired")
    page.goto("/resources/")
    seen(page, "resources")
    page.goto("/agents/trust-domains/")
    page.get_by_label("Name").fill("Partner.example")
    press(page, "Add")
    told(page, "Identifiers of partner.example are accepted.")
    seen(page, "trust-domains")
    assert [line for line in said if "422" not in line and "style" not in line] == []


def test_a_policy_is_refused_with_its_place_then_seen_and_put_in_force(browser: Browser, desk: Desk) -> None:
    page, said = desk.page(browser, WIDE)
    page.goto("/policies/")
    page.get_by_role("link", name="Load a new version").click()
    seen(page, "policy-new")
    page.get_by_label("Policy, in Cedar").fill(POLICY.replace("principal.state ==", "principal.stat ==", 1))
    press(page, "Check it")
    expect(page.locator(".errors")).to_contain_text("Line 5, column 13:")
    seen(page, "policy-wrong")
    page.get_by_label("Policy, in Cedar").fill(POLICY)
    press(page, "Check it")
    expect(page.locator(".diff")).to_contain_text('+@ask("owner")')
    seen(page, "policy-preview")
    press(page, "Put in force")
    told(page, "Version 2 is in force.")
    seen(page, "policies")
    page.get_by_role("link", name="Version 1").click()
    page.get_by_role("link", name="Begin a new version with this text").click()
    press(page, "Check it")
    expect(page.get_by_role("main")).to_contain_text("This text was version 1.")
    press(page, "Put in force")
    told(page, "Version 1 is in force.")
    assert [line for line in said if "422" not in line and "style" not in line] == []


def test_without_a_script_a_page_asks_what_the_dialog_asks(browser: Browser, desk: Desk) -> None:
    page, _said = desk.page(browser, SMALL, java_script_enabled=False)
    page.goto("/agents/?q=courier")
    page.locator("a.item").click()
    press(page, "Suspend")
    expect(page.get_by_role("heading", name="Suspend Courier?")).to_be_visible()
    shoot(page, "registry-ask", SMALL)
    page.get_by_label("Why?").fill("no script here")
    press(page, "Suspend")
    told(page, "Courier is suspended.")
    press(page, "Resume")
    press(page, "Resume")
    told(page, "Courier may act again.")


def test_the_keyboard_reaches_a_dialog_and_comes_back(browser: Browser, desk: Desk) -> None:
    page, _said = desk.page(browser, WIDE)
    page.goto("/agents/?q=courier")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/agents/agt_*/")
    page.get_by_role("button", name="Stop everything…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("1 grant is taken back")
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    assert page.evaluate("document.activeElement.dataset.tone") != "danger"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.textContent") == "Stop everything…"
