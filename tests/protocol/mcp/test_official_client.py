"""The official Python SDK, unmodified, against the whole: it discovers, registers, is let in by a person, and steps up.

One server, one MCP server, one person with a software authenticator. The SDK's two handlers are the browser: the one is
given the address to open, the other returns what came to the redirect address.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.server import ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import anyio.to_thread
import httpx2
import pytest
from joserfc.jwk import ECKey
from mcp.client.auth import OAuthClientProvider
from mcp.client.client import Client as McpClient
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from aims.demo.approver import TIMEOUT_S, Approver
from aims.demo.client import Client
from aims.demo.face import guard_of
from aims.demo.keys import public_jwks
from aims.demo.mcp_server import PAY, READ, Face, Invoices
from tests.support.running import AimsServer
from tests.support.running import aims as aims  # the fixture
from tests.support.world import World, inhabit

REDIRECT = "http://127.0.0.1:8765/callback"  # nobody listens there: the browser below stops before it
READING, PAYING = "List open invoices", "Pay an open invoice"
NUMBER = "2026-1187"
PLACE = "Invoices"


class Consent(HTMLParser):
    """What agreeing to all of a consent page sends: hidden fields, and the boxes and choices as they stand."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action, self.sent, self._is_open = "", list[tuple[str, str]](), False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("action", "").endswith("/decide"):
            self._is_open, self.action = True, given["action"]
        if tag == "input" and self._is_open and (given.get("type") not in ("checkbox", "radio") or "checked" in given):
            self.sent.append((given["name"], given.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        self._is_open = self._is_open and tag != "form"


class Person(Approver):
    """Ada at her browser. ``asked``: the headlines of the cards that she signed."""

    def __init__(self, origin: str, rp_id: str) -> None:
        super().__init__(origin, rp_id)
        self.asked: list[str] = []

    def authorize(self, address: str) -> str:
        """Open an authorization request, agree to all of it, sign where that is asked; return where it ends."""
        answer = self.browser.get(address, timeout=TIMEOUT_S)
        answer.raise_for_status()
        consent = Consent(answer.text)
        action = urljoin(answer.url, consent.action)
        sent = [*consent.sent, ("decision", "agree")]
        answer = self.browser.post(action, data=sent, headers={"Referer": answer.url}, timeout=TIMEOUT_S)
        answer.raise_for_status()
        if "/inbox/" in answer.url:  # the policy asks for a decision: it waits where every decision waits
            card = self.wait_for_card()
            self.asked.append(" ".join(self._page(card).headline.split()))
            self.decide(card, expect=self.asked[-1], decision="approve")
            ref = card.rstrip("/").rsplit("/", 1)[1]
            answer = self.browser.get(f"{self.origin}/oauth/authorize/go-on/{ref}/", timeout=TIMEOUT_S)
            answer.raise_for_status()
        return answer.headers["Refresh"].partition("url=")[2]


@dataclass
class Held:
    """What the SDK stores, and every address that it opened."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None
    opened: list[dict[str, list[str]]] = field(default_factory=list)
    ended: str = ""

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


@dataclass
class Stage:
    """A deployment with an MCP server in it, and the person whom it is done for."""

    world: World
    url: str
    invoices: Invoices
    person: Person

    @asynccontextmanager
    async def client(self, held: Held) -> Any:
        """Give the SDK's client, as its documentation says it is made."""

        async def open_address(address: str) -> None:
            held.opened.append(parse_qs(urlsplit(address).query))
            held.ended = await anyio.to_thread.run_sync(self.person.authorize, address)

        async def returned() -> AuthorizationCodeResult:
            query = parse_qs(urlsplit(held.ended).query)
            assert held.ended.startswith(REDIRECT)
            return AuthorizationCodeResult(code=query["code"][0], state=query["state"][0], iss=query["iss"][0])

        metadata = OAuthClientMetadata(client_name="Courier's desktop", redirect_uris=[AnyUrl(REDIRECT)])
        provider = OAuthClientProvider(self.url, metadata, held, open_address, returned)
        async with (
            httpx2.AsyncClient(auth=provider, timeout=TIMEOUT_S) as http,
            McpClient(streamable_http_client(self.url, http_client=http)) as client,
        ):
            yield client


@pytest.fixture(scope="module")
def stage(aims: AimsServer) -> Iterator[Stage]:
    class Own(Face):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    url, key = f"http://localhost:{server.server_port}/mcp", ECKey.generate_key("P-256", auto_kid=True)

    def with_invoices(configuration: dict[str, Any]) -> None:
        owner = configuration["people"][0]["email"]
        configuration["trust_rules"] = [{"kind": "redirect_host", "value": "127.0.0.1", "owner": owner}]
        actions = [
            {"name": READ, "title": READING, "reversibility": "read-only"},
            {"name": PAY, "title": PAYING, "reversibility": "irreversible"},
        ]
        configuration["resources"].append(
            {"identifier": url, "name": PLACE, "kind": "mcp", "actions": actions, "jwks": public_jwks(key)}
        )

    world = inhabit(aims, also=with_invoices)
    (person,) = world.enrolled(Person)
    ledger = aims.var / "invoices.sqlite3"
    guard = guard_of(Client(aims.base_url, url, key), ledger=ledger, takes_bearer=True, first_scopes=(READ,))
    invoices = Invoices(guard, ledger)
    Own.invoices, Own.guard, Own.about = invoices, guard, invoices.about()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield Stage(world, url, invoices, person)
    server.shutdown()
    server.server_close()


@pytest.mark.spec(
    "MCP", "2026-07-28, Authorization", "the official client discovers, registers, reads, and steps up to pay"
)
async def test_the_official_client_reads_and_steps_up_to_pay(stage: Stage) -> None:
    held = Held()
    began = time.monotonic()
    async with stage.client(held) as client:
        read = await client.call_tool("list_invoices", {})
        assert [invoice["number"] for invoice in read.structured_content["invoices"]] == [NUMBER, "2026-1190"]
        # RFC 7591: it registered; RFC 8707, 7636: it asked for this resource, and for no more than the challenge named,
        # but to be let stay, which it asks of every server that can.
        assert held.client and held.client.issuer == stage.world.aims.base_url
        (asked,) = held.opened
        assert asked["scope"] == [f"{READ} offline_access"]
        assert (asked["resource"], asked["code_challenge_method"]) == ([stage.url], ["S256"])
        assert stage.person.asked == [] and held.tokens and held.tokens.token_type == "Bearer"

        paid = await client.call_tool("pay_invoice", {"number": NUMBER})
        assert not paid.is_error and paid.structured_content["status"] == "paid"
        # MCP, Scope Challenge Handling: again, with the union; the decision was signed in the inbox.
        assert len(held.opened) == 2 and set(held.opened[1]["scope"][0].split()) >= {READ, PAY}
        assert len(stage.person.asked) == 1 and PAYING in stage.person.asked[0] and PLACE in stage.person.asked[0]
    assert [invoice["number"] for invoice in stage.invoices.unpaid()] == ["2026-1190"]
    print(f"the whole flow took {time.monotonic() - began:.1f} s")


@pytest.mark.spec("AIMS Console formats", "4", "the next payment is the next decision")
async def test_the_next_payment_is_the_next_decision(stage: Stage) -> None:
    held, before = Held(), len(stage.person.asked)
    async with stage.client(held) as client:
        paid = await client.call_tool("pay_invoice", {"number": "2026-1190"})
        assert not paid.is_error
        assert len(stage.person.asked) == before + 1
        again = await client.call_tool("pay_invoice", {"number": "2026-1190"})
        assert again.is_error  # it is paid: nothing is asked, and nothing used up
        assert len(stage.person.asked) == before + 1
