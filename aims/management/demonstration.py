"""The demo's machinery: a world of its own under ``var/``, and the processes that play in it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from aims.console.configuration.change import Applying
from aims.console.configuration.run import apply
from aims.console.management import audience, ensure_management_api
from aims.credentials.services import ensure_signing_keys
from aims.demo import world
from aims.kit import clock
from aims.people.models import Passkey
from aims.policy.services import DEFAULT_POLICY
from aims.startup import demo_environment
from audit.checkpoints import create_log_key

MARK = "AIMS_DEMO"
STOP_WITHIN_S = 5
READY_WITHIN_S = 30
LOOK_EVERY_S = 0.2


def environment(folder: Path, *, port: int) -> dict[str, str]:
    """Return the environment of a demo: no AIMS_ variable of the surroundings reaches it, so no real database does."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIMS_")}
    return kept | demo_environment(folder) | {
        MARK: "1",
        "AIMS_NO_BOOTSTRAP": "1",
        "AIMS_VAR_DIR": str(folder),
        "AIMS_ISSUER": f"http://localhost:{port}",
        "AIMS_TRUST_DOMAIN": world.TRUST_DOMAIN,
        "AIMS_LOG_KEY_FILE": str(folder / "log.key"),
        "AIMS_CHECKPOINT_DIR": str(folder / "checkpoints"),
        "AIMS_LOG_LEVEL": "WARNING",
    }  # fmt: skip


def wait_for_passkey(has_ended: Callable[[], bool]) -> None:
    """Wait until Ada has a passkey, or ``has_ended``. A key made after a request was opened does not count for it."""
    while not has_ended() and not Passkey.objects.filter(person__email=world.ADA, ended_at=None).exists():
        time.sleep(LOOK_EVERY_S)


def free_port() -> int:
    """Return a port on loopback that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Cast:
    """The demo's other processes. ``folder``: where they keep their keys, which the console never sees.

    ports: of the places, by name.
    """

    folder: Path
    ports: Mapping[str, int]
    running: list[subprocess.Popen[Any]] = field(default_factory=list)

    def place(self, name: str) -> str:
        """Return the resource indicator of a place; of an MCP server it is the address of its endpoint."""
        return f"http://localhost:{self.ports[name]}/" + ("mcp" if name == "invoices" else "")

    def jwks(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the public keys by name; a process of the demo's own makes them, and only public ones come back."""
        made = self._python("aims.demo.keys", *(str(self._key(name)) for name in names))
        answer = subprocess.run(made, check=True, capture_output=True)
        return dict(zip(names, json.loads(answer.stdout), strict=True))

    def start_servers(self, *, hold_every_s: float) -> None:
        """Start every place, and wait until all of them answer. hold_every_s: how often Keeper renews its lease."""
        self._start("aims.demo.resource_server", *self._place("payments"))
        self._start("aims.demo.mcp_server", *self._place("invoices"))
        self._start("aims.demo.repository", *self._place("repository"), "--trust-domain", world.TRUST_DOMAIN)
        self._start(
            "aims.demo.relay", *self._relay("mason", world.MASON, onward="keeper_desk"), "--begins", world.MERGE
        )
        self._start(
            "aims.demo.relay", *self._relay("keeper", world.KEEPER, onward="repository"),
            "--hold-every-s", str(hold_every_s), "--report", str(self.lease),
        )  # fmt: skip
        self._wait_for_servers()

    def start_courier(self, *options: str) -> subprocess.Popen[bytes]:
        return self._start(
            "aims.demo.agent", "--client-id", world.COURIER, "--key", str(self._key("courier")),
            "--resource", self.place("payments"), "--approver", world.ADA, *options,
        )  # fmt: skip

    def start_foreman(self) -> subprocess.Popen[bytes]:
        return self._start(
            "aims.demo.foreman", "--client-id", world.FOREMAN, "--key", str(self._key("foreman")),
            "--desk", self.place("mason_desk"), "--person", world.ADA,
        )  # fmt: skip

    @property
    def lease(self) -> Path:
        """Return the file in which Keeper says how long the repository took its token."""
        return self.folder / "lease.json"

    def stop(self) -> None:
        """End every process; one that does not go is killed."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _place(self, name: str) -> tuple[str, ...]:
        """Return how a place is started; it introspects with a key of its own."""
        return (
            "--identifier", self.place(name), "--port", str(self.ports[name]),
            "--key", str(self._key(name)), "--ledger", str(self._ledger(name)),
        )  # fmt: skip

    def _relay(self, name: str, agent: str, *, onward: str) -> tuple[str, ...]:
        """Return how an agent with a desk is started: the agent's key goes on, the desk's key introspects."""
        desk = f"{name}_desk"
        return (
            "--name", name.capitalize(), "--client-id", agent, "--key", str(self._key(name)),
            "--identifier", self.place(desk), "--port", str(self.ports[desk]), "--desk-key", str(self._key(desk)),
            "--ledger", str(self._ledger(desk)), "--onward", self.place(onward), "--trust-domain", world.TRUST_DOMAIN,
        )  # fmt: skip

    def _wait_for_servers(self) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        waiting = set(self.ports.values())
        while waiting and time.monotonic() < deadline:
            waiting = {port for port in waiting if not _is_taken(port)}
            time.sleep(LOOK_EVERY_S if waiting else 0)

    def _start(self, module: str, *options: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._python(module, "--issuer", settings.ISSUER, *options), cwd=settings.BASE_DIR)
        self.running.append(process)
        return process

    def _python(self, module: str, *options: str) -> list[str]:
        return [sys.executable, "-m", module, *options]

    def _key(self, name: str) -> Path:
        return self.folder / f"{name}.jwk"

    def _ledger(self, name: str) -> Path:
        return self.folder / ("ledger.sqlite3" if name == "payments" else f"{name}.sqlite3")


def ports(folder: Path) -> dict[str, int]:
    """Return the ports of the places; the same ones each time, since they are part of registered identifiers."""
    return {name: _port(folder / ("resource-port" if name == "payments" else f"{name}-port")) for name in world.PLACES}


def _port(kept: Path) -> int:
    if not kept.exists():
        kept.write_text(str(free_port()))
    return int(kept.read_text())


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def furnish(cast: Cast) -> None:
    """Give a migrated database its keys, sample people, agents, resources, grants and policy; what is there stays."""
    now = clock.now()
    log_key = Path(settings.LOG_KEY_FILE)
    if not log_key.exists():
        create_log_key(log_key)
    ensure_signing_keys(now)
    jwks = cast.jwks((*world.AGENTS, *world.PLACES))
    places = {name: cast.place(name) for name in world.PLACES}
    ensure_management_api(by="system", now=now)  # where the agents report
    raw = world.whole_configuration(
        places=places, console=audience(), policy=DEFAULT_POLICY.read_text(), jwks=jwks, now=now
    )
    apply(raw, Applying(by="cli:demo", now=now))
