"""The server as a process: it starts, answers, stops, and refuses to start unsafely."""

from __future__ import annotations

import http.client
from collections.abc import Callable

import pytest

from tests.support.running import AimsServer

COLUMNS = {
    "AIMS_SECRET_KEY": "",
    "AIMS_KEK": "c2hvcnQ=",
    "AIMS_LOG_KEY_FILE": "/nowhere/log.key",
    "AIMS_RP_ID": "elsewhere.example",
    "AIMS_ISSUER": "http://console.example",
}


def test_it_answers_stops_on_sigterm_with_status_0_and_starts_again(start_aims: Callable[..., AimsServer]) -> None:
    server = start_aims()
    assert server.stop() == 0
    server.start()


def test_it_starts_again_after_a_kill(start_aims: Callable[..., AimsServer]) -> None:
    server = start_aims()
    server.kill()
    server.start()
    assert server.stop() == 0


@pytest.mark.parametrize(("variable", "value"), COLUMNS.items())
def test_it_refuses_to_start_and_names_the_variable(aims: AimsServer, variable: str, value: str) -> None:
    unsafe = AimsServer(base_url=aims.base_url, env={**aims.env, variable: value}, var=aims.var, port=0)
    refused = unsafe.manage("serve", is_checked=False)
    assert refused.returncode == 1
    assert variable in refused.stderr


@pytest.mark.parametrize("command", ["worker", "beat", "sequencer"])
def test_the_processes_of_a_scaled_run_need_redis(aims: AimsServer, command: str) -> None:
    refused = aims.manage(command, is_checked=False)
    assert refused.returncode == 1
    assert "AIMS_REDIS_URL" in refused.stderr


def test_more_than_one_process_needs_redis(aims: AimsServer) -> None:
    assert "AIMS_REDIS_URL" in aims.manage("serve", "--workers", "2", is_checked=False).stderr


def test_a_machine_answer_sets_no_cookie_and_a_page_by_address_goes_to_localhost(aims: AimsServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", aims.port, timeout=5)
    connection.request("GET", "/healthz")
    healthy = connection.getresponse()
    healthy.read()
    assert (healthy.status, healthy.getheader("Set-Cookie"), healthy.getheader("Cache-Control")) == (
        200,
        None,
        "no-store",
    )
    connection.request("GET", "/patterns/")
    moved = connection.getresponse()
    assert (moved.status, moved.getheader("Location")) == (302, f"{aims.base_url}/patterns/")
