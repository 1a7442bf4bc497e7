"""A real Chromium for the tests, and where its pictures go.

The order: the ``CHROMIUM`` variable; chromium, chromium-browser or google-chrome on PATH; else the tests are skipped with a
visible line (``AIMS_TEST_REQUIRE_ALL=1`` turns skips into failures).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """Return the path of a Chromium, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """Start the Chromium that is there; Playwright's own download is not used."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: set CHROMIUM to its path, or install the package chromium")
    return {**browser_type_launch_args, "executable_path": path, "args": QUIET}


@pytest.fixture(scope="module", autouse=True)
def _module_closes_its_pages(browser: Browser) -> Iterator[None]:
    """Close what a module opened: a page that stays open keeps a process, and rings its bell at a server that is gone."""
    before = set(browser.contexts)
    yield
    for context in set(browser.contexts) - before:
        context.close()
