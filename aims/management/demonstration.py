"""The demo's machinery: a world of its own under ``var/``, and the processes that play in it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings

from aims.console.configuration.change import Applying
from aims.console.configuration.run import apply
from aims.credentials.services import ensure_signing_keys
from aims.demo import world
from aims.kit import clock
from aims.people.models import Passkey
from aims.policy.services import DEFAULT_POLICY
from aims.startup import demo_environment
from audit.checkpoints import create_log_key

MARK = "AIMS_DEMO"
STOP_WITHIN_S = 5
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
    """The demo's other processes. ``folder``: where they keep their keys, which the console never sees."""

    folder: Path
    resource_port: int
    running: list[subprocess.Popen[Any]] = field(default_factory=list)

    @property
    def resource(self) -> str:
        return f"http://localhost:{self.resource_port}/"

    def jwks(self, name: str) -> dict[str, Any]:
        """Return the public keys of a process, which makes its key itself."""
        made = self._python("aims.demo.keys", str(self._key(name)))
        return dict(json.loads(subprocess.run(made, check=True, capture_output=True).stdout))

    def start_resource_server(self) -> None:
        self._start(
            "aims.demo.resource_server", "--identifier", self.resource, "--port", str(self.resource_port),
            "--key", str(self._key("payments")), "--ledger", str(self.folder / "ledger.sqlite3"),
        )  # fmt: skip

    def start_courier(self, *options: str) -> subprocess.Popen[bytes]:
        return self._start(
            "aims.demo.agent", "--client-id", world.COURIER, "--key", str(self._key("courier")),
            "--resource", self.resource, "--approver", world.ADA, *options,
        )  # fmt: skip

    def stop(self) -> None:
        """End every process; one that does not go is killed."""
        for process in self.running:
            process.terminate()
        for process in self.running:
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self, module: str, *options: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._python(module, "--issuer", settings.ISSUER, *options), cwd=settings.BASE_DIR)
        self.running.append(process)
        return process

    def _python(self, module: str, *options: str) -> list[str]:
        return [sys.executable, "-m", module, *options]

    def _key(self, name: str) -> Path:
        return self.folder / f"{name}.jwk"


def furnish(cast: Cast) -> None:
    """Give an empty, migrated database its keys, sample people, agents, resources, grant and policy."""
    now = clock.now()
    create_log_key(Path(settings.LOG_KEY_FILE))
    ensure_signing_keys(now)
    jwks = {name: cast.jwks(name) for name in ("courier", "magpie", "payments")}
    raw = world.configuration(resource=cast.resource, policy=DEFAULT_POLICY.read_text(), jwks=jwks, now=now)
    apply(raw, Applying(by="cli:demo", now=now))
