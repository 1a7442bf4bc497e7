"""How the browser tests look at a page: sizes, pictures, faults."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(__file__).parent / "shots"
AXE = ROOT / "tests" / "vendor" / "axe-core" / "axe.min.js"
PATIENCE_MS = 15_000
TAKES_PICTURES = os.environ.get("AIMS_TEST_SHOTS") == "1"  # for people to look at; no test compares them, and they cost


@dataclass(frozen=True)
class Look:
    """One way to look at a page."""

    name: str
    width: int
    height: int
    scheme: Literal["light", "dark"]
    is_touch: bool = False


DESK = Look("desktop", 1360, 960, "light")
PHONE = Look("phone", 390, 844, "light", is_touch=True)
DARK = Look("dark", 1360, 960, "dark")
NARROW = Look("narrow", 360, 640, "dark", is_touch=True)
LOOKS = (DESK, PHONE, DARK)

NARROWEST: ViewportSize = {"width": 360, "height": 640}
# Colours that are on their way from one scheme to the other are neither's.
SETTLED = """async () => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  await Promise.all(document.getAnimations().map((each) => each.finished.catch(() => null)));
}"""


class Console(list[str]):
    """What the page's console said that it should not have said."""


def open_page(browser: Browser, look: Look, **more: Any) -> tuple[Page, Console]:
    """Return a page in a context of its own, and the list that its errors go to."""
    context = new_context(browser, look, **more)
    page, said = context.new_page(), Console()
    page.set_default_timeout(PATIENCE_MS)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
    return page, said


def new_context(browser: Browser, look: Look, **more: Any) -> BrowserContext:
    """Return a browser context with the size, the scheme and the touch of a look."""
    size: ViewportSize = {"width": look.width, "height": look.height}
    return browser.new_context(
        viewport=size, color_scheme=look.scheme, has_touch=look.is_touch, reduced_motion="reduce", **more
    )


def shoot(page: Page, name: str, look: Look) -> None:
    """Keep a picture of the whole page, where pictures are wanted: ``shots/<name>-<look>.png``."""
    if not TAKES_PICTURES:
        return
    SHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}-{look.name}.png", full_page=True)


def overflow_px(page: Page) -> int:
    """Return by how many pixels the page is wider than its window; 0 is right."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def accessibility_faults(page: Page, *rules: str) -> list[str]:
    """Return what axe finds, by all its rules or by some. Look at the console before: axe adds a style of its own, which the policy blocks and reports."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("(rules) => axe.run(rules.length ? { runOnly: rules } : {})", rules)
    return [f"{fault['id']}: {node['html']}" for fault in found["violations"] for node in fault["nodes"]]


def looked_at(page: Page, name: str) -> None:
    """Keep its pictures; hold that it fits and that axe finds nothing, in the light and in the dark."""
    faults = []
    for look in (DESK, DARK, PHONE):
        wear(page, look)
        shoot_whole(page, name, look)
        if look != PHONE:
            faults += accessibility_faults(
                page, *(["color-contrast"] if look == DARK else [])
            )  # nothing else turns dark
    page.set_viewport_size(NARROWEST)
    assert overflow_px(page) == 0
    assert faults == []


def wear(page: Page, look: Look) -> None:
    """Change a page's size and scheme, and wait until it has."""
    page.emulate_media(color_scheme="dark" if look.scheme == "dark" else "light", reduced_motion="reduce")
    page.set_viewport_size({"width": look.width, "height": look.height})
    page.evaluate(SETTLED)


def shoot_whole(page: Page, name: str, look: Look) -> None:
    """Make the window as high as the page first: what sticks to the window's edge is then where a reader sees it."""
    if not TAKES_PICTURES:
        return
    height = int(page.evaluate("document.documentElement.scrollHeight"))
    page.set_viewport_size({"width": look.width, "height": max(look.height, height)})
    shoot(page, name, look)
