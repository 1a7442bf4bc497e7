"""What every test may lean on. Sockets to the outside stay closed; the cast comes from the rooms' own verbs."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Generator
from ipaddress import ip_address
from typing import Any

import pytest

from tests.support.cast import ada, adm, ben, courier, cy, ghost, magpie, pay
from tests.support.log import written_once
from tests.support.running import aims, start_aims
from tests.support.servers import module_database, own_database, postgres_url, redis_url

__all__ = [
    "ada", "adm", "aims", "ben", "courier", "cy", "ghost", "magpie", "pay", "module_database", "own_database", "postgres_url", "redis_url", "start_aims",
    "written_once",
]  # fmt: skip

IS_POSTGRES = os.environ.get("AIMS_TEST_ON") == "postgres"
MUST_RUN_ALL = os.environ.get("AIMS_TEST_REQUIRE_ALL") == "1"
# Whose tests say nothing about a database.
SQLITE_ONLY = {"browser", "house", "bench", "story", "clients"}
# What starts servers on SQLite, unless it is given a database too.
EMBEDDED, ON_POSTGRES = {"aims", "start_aims"}, {"own_database", "module_database", "postgres_url"}
ASKS_ONE = ON_POSTGRES | {"db", "transactional_db", "live_server"}


@pytest.fixture(autouse=True, scope="session")
def _closed_sockets() -> Generator[None]:
    """Let this process connect to this machine only: a test that reaches further fails, and says where to."""
    connect = socket.socket.connect

    def loopback_only(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(str(address[0])):
            raise AssertionError(f"a test wants to connect to {address[0]}")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", loopback_only)
        yield


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave to the other pass what belongs to it, and start what takes longest first."""
    left = [item for item in items if not _belongs(item)]
    if left:
        config.hook.pytest_deselected(items=left)
    kept = [item for item in items if _belongs(item)]
    items[:] = sorted(kept, key=lambda item: item.get_closest_marker("first") is None)


def _belongs(item: pytest.Item) -> bool:
    is_scaled = item.get_closest_marker("scaled") is not None
    if IS_POSTGRES:
        return is_scaled or (_asks_a_database(item) and not (SQLITE_ONLY & set(item.path.parts) or _is_embedded(item)))
    return not is_scaled


def _asks_a_database(item: pytest.Item) -> bool:
    is_marked = item.get_closest_marker("django_db") is not None
    return is_marked or bool(ASKS_ONE & set(getattr(item, "fixturenames", ())))


def _is_embedded(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    is_marked = item.get_closest_marker("embedded") is not None
    return is_marked or bool(EMBEDDED & fixtures and not ON_POSTGRES & fixtures)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Hide from a test the event loop that a browser before it left running in this thread.

    Whoever drives a browser needs that loop, and Django would refuse the database beside it. Nobody else is excused.
    """
    with pytest.MonkeyPatch.context() as patch:
        if "playwright" in getattr(item, "fixturenames", ()):
            patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
            return (yield)
        left = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            return (yield)
        finally:
            asyncio._set_running_loop(left)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn skips into failures where everything must run, as in CI."""
    report = yield
    if MUST_RUN_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although AIMS_TEST_REQUIRE_ALL=1: {report.longrepr}"
    return report
