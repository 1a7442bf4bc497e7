"""The demo's world behind a real server, for the stories: people, agents, a resource server, and passkeys in Chromium."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Locator, Page, expect

from aims.demo import world
from aims.demo.agent import Courier, invoice
from aims.demo.client import Client
from aims.demo.keys import Proving, load_or_make, public_jwks
from aims.demo.reporting import Silence
from aims.policy.services import DEFAULT_POLICY
from tests.support.running import ROOT, AimsServer, aims_server
from tests.support.servers import free_port

AGENT_WITHIN_S = 30
WHEEL_PX = 240
TURNS_MAX = 200


@dataclass
class AgentProcess:
    """The real agent: what it prints, each line with the moment at which it came (epoch, ms)."""

    process: subprocess.Popen[str]
    lines: list[tuple[int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def said_at_ms(self, words: str) -> int:
        """Wait until the agent says this; return when it did."""
        deadline = time.monotonic() + AGENT_WITHIN_S
        while time.monotonic() < deadline:
            for at_ms, line in list(self.lines):
                if words in line:
                    return at_ms
            assert self.process.poll() is None or words in str(self.lines), self.lines
            time.sleep(0.005)
        raise AssertionError(f"the agent never said {words!r}: {self.lines}")

    def ends(self) -> int:
        """Return its exit status."""
        return self.process.wait(AGENT_WITHIN_S)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append((int(time.time() * 1000), line.strip()))


@dataclass
class World:
    """One deployment with the demo's people, agents, grant and policy."""

    server: AimsServer
    resource_port: int
    running: list[subprocess.Popen[Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.base_url

    @property
    def resource(self) -> str:
        return f"http://localhost:{self.resource_port}/"

    def link(self, email: str, *roles: str) -> str:
        """Return an enrolment link, as an operator makes one."""
        given = [part for role in roles for part in ("--role", role)]
        return self.server.manage("invite", email, *given).stdout.strip().splitlines()[-1]

    def courier(self) -> Courier:
        """Return the agent's own code, to be driven step by step."""
        client = Client(self.url, world.COURIER, load_or_make(self._key("courier")), Proving())
        return Courier(client, self.resource, world.ADA, Silence())

    def start_courier(self) -> AgentProcess:
        """Start the agent as the process that it is."""
        return AgentProcess(
            self._start(
                "aims.demo.agent", "--client-id", world.COURIER, "--key", str(self._key("courier")),
                "--resource", self.resource, "--approver", world.ADA,
            )
        )  # fmt: skip

    def order(self, number: str, amount: str) -> dict[str, Any]:
        return invoice(number, self.resource, amount)

    def furnish(self) -> None:
        """Apply the demo's configuration, and start its resource server."""
        jwks = {name: public_jwks(load_or_make(self._key(name))) for name in ("courier", "magpie", "payments")}
        raw = world.configuration(
            resource=self.resource, policy=DEFAULT_POLICY.read_text(), jwks=jwks, now=datetime.now(UTC)
        )
        self.apply(raw)
        self._start(
            "aims.demo.resource_server", "--identifier", self.resource, "--port", str(self.resource_port),
            "--key", str(self._key("payments")), "--ledger", str(self.server.var / "ledger.sqlite3"),
        )  # fmt: skip

    def apply(self, raw: bytes) -> None:
        """Apply a configuration file."""
        path = self.server.var / "world.yaml"
        path.write_bytes(raw)
        self.server.manage("apply", str(path))

    def stop(self) -> None:
        for process in self.running:
            process.terminate()
            process.wait(AGENT_WITHIN_S)

    def _start(self, module: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", module, "--issuer", self.url, *options]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.running.append(process)
        return process

    def _key(self, name: str) -> Path:
        return self.server.var / f"{name}.jwk"


@contextlib.contextmanager
def furnished_world(var: Path) -> Iterator[World]:
    """Start a server with the demo's world for a block."""
    with aims_server(var, AIMS_TRUST_DOMAIN=world.TRUST_DOMAIN) as server:
        here = World(server, free_port())
        try:
            here.furnish()
            yield here
        finally:
            here.stop()


@dataclass
class Authenticator:
    """A platform authenticator in Chromium that verifies its user and keeps discoverable passkeys."""

    session: CDPSession
    ref: str

    @classmethod
    def plugged_into(cls, page: Page) -> Authenticator:
        session = page.context.new_cdp_session(page)
        session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        return cls(session, str(made["authenticatorId"]))

    def passkeys(self) -> list[dict[str, Any]]:
        """Return its passkeys, private keys included."""
        found = self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.ref})
        return list(found["credentials"])

    def take(self, passkeys: list[dict[str, Any]]) -> None:
        """Hold these passkeys too, as a synced one would."""
        for passkey in passkeys:
            self.session.send("WebAuthn.addCredential", {"authenticatorId": self.ref, "credential": passkey})


@dataclass
class Ring:
    """A person's passkeys, in the authenticator of the page that they used last: counters only ever go up."""

    page: Page
    authenticator: Authenticator

    def move_to(self, page: Page) -> None:
        """Take the passkeys to another page, as a synced device would; the page before is closed."""
        passkeys = self.authenticator.passkeys()
        self.page.context.close()
        self.page, self.authenticator = page, Authenticator.plugged_into(page)
        self.authenticator.take(passkeys)


def enrol(page: Page, link: str, *, key_name: str) -> Ring:
    """Open the link, make a passkey, land on the start page."""
    authenticator = Authenticator.plugged_into(page)
    page.goto(link)
    page.get_by_label("Name of this passkey").fill(key_name)
    page.get_by_role("button", name="Create a passkey").click()
    page.wait_for_url(lambda url: "/join/" not in url)
    return Ring(page, authenticator)


def read_through(page: Page, approve: Locator | None = None) -> None:
    """Turn the wheel over a sheet until it offers its yes, as a person does who reads it. approve: a card's, if not given."""
    approve = approve or page.get_by_role("button", name="Approve with passkey")
    box = page.locator(".sheet").bounding_box()
    size = page.viewport_size
    assert box
    assert size
    page.mouse.move(box["x"] + box["width"] / 2, size["height"] / 2)
    for _ in range(TURNS_MAX):
        if approve.is_visible():
            break
        page.mouse.wheel(0, WHEEL_PX)
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(approve).to_be_visible()
