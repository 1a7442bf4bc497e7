"""The demo's MCP server from the outside: the official SDK's client speaks to it, and nothing else gets through.

MCP 2026-07-28, and the handshake of 2025-11-25; RFC 6750 and RFC 9728 in front.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from aims.demo.mcp_server import PAY, READ
from tests.protocol.mcp.standing import WHOLE, Standing, standing, whole
from tests.unit.resource_server.made import ISSUER

FIRST, SECOND = "2026-1187", "2026-1190"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Standing]:
    with standing(tmp_path) as running:
        yield running


@pytest.mark.spec("MCP", "2026-07-28 and 2025-11-25", "the official client reads and calls tools, in either revision")
@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_official_client_reads_and_calls(server: Standing, mode: str) -> None:
    sent = {"Authorization": f"Bearer {server.approved()}"}
    async with (
        httpx2.AsyncClient(headers=sent) as http,
        Client(streamable_http_client(server.url, http_client=http), mode=mode) as client,
    ):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert tools.keys() == {"list_invoices", "pay_invoice"}
        hints = [tools[name].annotations for name in ("list_invoices", "pay_invoice")]
        assert [hint and hint.read_only_hint for hint in hints] == [True, False]
        read = await client.call_tool("list_invoices", {})
        assert read.structured_content is not None
        assert [invoice["number"] for invoice in read.structured_content["invoices"]] == [FIRST, SECOND]
        failed = await client.call_tool("pay_invoice", {"number": "none"})
        assert failed.is_error
        paid = await client.call_tool("pay_invoice", {"number": FIRST})
        assert not paid.is_error and paid.structured_content and paid.structured_content["approval"] == "arq_1"
        with pytest.raises(MCPError):
            await client.call_tool("no_such_tool", {})
    assert server.settled() == {FIRST: "arq_1"}


@pytest.mark.spec("RFC 9728", "3, 5.1", "who has no token is told where to get one, and for which scope")
def test_who_has_no_token_is_told_where_to_get_one(server: Standing) -> None:
    status, headers, body = server.call("list_invoices", None)
    where = f"http://localhost:{server.port}/.well-known/oauth-protected-resource/mcp"
    assert status == 401 and headers["WWW-Authenticate"].startswith(
        f'Bearer scope="{READ}", resource_metadata="{where}"'
    )
    assert body["id"] == 1 and body["error"]["message"]
    _, _, told = server.ask("GET", "/.well-known/oauth-protected-resource/mcp", {})
    assert (told["resource"], told["authorization_servers"]) == (server.url, [ISSUER])
    assert told["scopes_supported"] == [READ, PAY]


@pytest.mark.spec("MCP", "2026-07-28, Scope Challenge Handling", "a 403 names all that the operation needs")
def test_a_step_up_names_all_that_the_operation_needs(server: Standing) -> None:
    status, headers, _ = server.call("pay_invoice", server.token(), number=FIRST)
    told = headers["WWW-Authenticate"]
    assert status == 403 and 'error="insufficient_scope"' in told and f'scope="{READ} {PAY}"' in told
    assert "resource_metadata=" in told
    assert server.settled() == {}


@pytest.mark.spec("AIMS Console formats", "4", "one approval pays one invoice, and only where it still stands")
def test_one_approval_pays_one_invoice(server: Standing) -> None:
    unasked = server.call("pay_invoice", server.approved(approval=None), number=FIRST)
    assert unasked[0] == 401 and 'error="insufficient_user_authentication"' in unasked[1]["WWW-Authenticate"]
    server.active["active"] = False
    assert server.call("pay_invoice", server.approved(), number=FIRST)[0] == 401
    server.active["active"] = True
    assert server.call("pay_invoice", server.approved(), number="none")[2]["result"]["isError"] is True
    assert server.call("pay_invoice", server.approved(), number=FIRST)[2]["result"]["isError"] is False
    status, headers, _ = server.call("pay_invoice", server.approved(), number=SECOND)
    assert status == 403 and "already been used" in headers["WWW-Authenticate"]
    assert server.call("pay_invoice", server.approved("arq_2"), number=FIRST)[2]["result"]["isError"] is True
    assert server.settled() == {FIRST: "arq_1"}


def test_of_equal_payments_at_once_one_is_made(server: Standing) -> None:
    token = server.approved()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda number: server.call("pay_invoice", token, number=number), [FIRST, SECOND] * 3))
    done = [body for status, _, body in answers if status == 200 and not body["result"]["isError"]]
    assert len(done) == 1 and list(server.settled().values()) == ["arq_1"]


@pytest.mark.spec("RFC 9700", "4.9", "a token for somebody else, or of somebody else, opens nothing")
@pytest.mark.parametrize(
    "changed", [{"aud": "https://pay.example/"}, {"iss": "https://evil.example"}, {"exp": 1}, {"cnf": {"jkt": "x"}}]
)
def test_a_token_that_does_not_hold_here_opens_nothing(server: Standing, changed: dict[str, Any]) -> None:
    assert server.call("list_invoices", server.token(**changed))[0] == 401
    assert server.call("list_invoices", server.token(scope="other"))[0] == 403


READ_WHOLE = whole("tools/list")
HEADERS = {"mcp_protocol_version": WHOLE, "mcp_method": "tools/list"}


@pytest.mark.spec(
    "MCP", "2026-07-28, Transports", "a message that is not one, or that contradicts its headers, is refused"
)
@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", HEADERS, 400, -32700),
        (b"[" * 9000, HEADERS, 400, -32700),
        ([READ_WHOLE], HEADERS, 400, -32600),
        ("text", HEADERS, 400, -32600),
        (READ_WHOLE | {"jsonrpc": "1.0"}, HEADERS, 400, -32600),
        (READ_WHOLE | {"id": None}, HEADERS, 400, -32600),
        (READ_WHOLE | {"id": True}, HEADERS, 400, -32600),
        ({"jsonrpc": "2.0", "id": 1, "result": {}}, HEADERS, 400, -32600),
        (READ_WHOLE | {"params": []}, HEADERS, 400, -32602),
        (READ_WHOLE | {"params": {}}, HEADERS, 400, -32602),
        (READ_WHOLE, HEADERS | {"mcp_method": "tools/call"}, 400, -32020),
        (READ_WHOLE, {"mcp_protocol_version": WHOLE}, 400, -32020),
        (READ_WHOLE, HEADERS | {"mcp_protocol_version": "1999-01-01"}, 400, -32022),
        (whole("initialize"), {"mcp_protocol_version": WHOLE, "mcp_method": "initialize"}, 404, -32601),
        (whole("server/discover"), {"mcp_protocol_version": "2025-11-25"}, 404, -32601),
        (whole("resources/read", uri="file:///etc/passwd"), {"mcp_protocol_version": "2025-11-25"}, 404, -32601),
    ],
)
def test_what_is_no_message_is_refused(
    server: Standing, body: object, headers: dict[str, str], status: int, code: int
) -> None:
    answered, _, told = server.post(body, server.token(), **headers)
    assert (answered, told["error"]["code"]) == (status, code)
    assert server.call("list_invoices", server.token())[0] == 200


@pytest.mark.spec("MCP", "2026-07-28, Transports", "the name in the header is the name in the body")
@pytest.mark.parametrize("said", ["list_invoices", "=?base64?bGlzdA==?=", "=?base64?%%?=", ""])
def test_another_tool_in_the_header_than_in_the_body_is_refused(server: Standing, said: str) -> None:
    message = whole("tools/call", name="pay_invoice", arguments={"number": FIRST})
    sent = {"mcp_protocol_version": WHOLE, "mcp_method": "tools/call", "mcp_name": said}
    assert server.post(message, server.approved(), **sent)[2]["error"]["code"] == -32020
    encoded = sent | {"mcp_name": "=?base64?cGF5X2ludm9pY2U=?="}
    assert server.post(message, server.approved(), **encoded)[0] == 200


@pytest.mark.parametrize(
    "arguments", [{}, {"number": 7}, {"number": FIRST, "amount": "1"}, [FIRST], None, {"Number": FIRST}]
)
def test_arguments_that_do_not_fit_pay_nothing(server: Standing, arguments: object) -> None:
    message = whole("tools/call", name="pay_invoice", arguments=arguments)
    _, _, told = server.post(
        message, server.approved(), mcp_protocol_version=WHOLE, mcp_method="tools/call", mcp_name="pay_invoice"
    )
    assert told["result"]["isError"] is True and server.settled() == {}


@pytest.mark.spec("MCP", "2026-07-28, Transports", "a page of another origin is refused before anything is read")
def test_a_page_of_another_origin_is_refused(server: Standing) -> None:
    sent = HEADERS | {"Origin": "https://evil.example"}
    assert server.post(READ_WHOLE, server.token(), **sent)[0] == 403


@pytest.mark.spec("MCP", "2025-11-25, Transports", "no stream and no session: 405; a notification is taken, 202")
def test_there_are_no_streams_and_no_sessions(server: Standing) -> None:
    bearer = {"Authorization": f"Bearer {server.token()}"}
    for method in ("GET", "DELETE"):
        status, headers, _ = server.ask(method, "/mcp", bearer)
        assert (status, headers["Allow"]) == (405, "POST")
    done = server.post({"jsonrpc": "2.0", "method": "notifications/initialized"}, server.token())
    assert done[0] == 202 and done[2] is None
    assert server.ask("POST", "/other", bearer, b"{}")[0] == 404
