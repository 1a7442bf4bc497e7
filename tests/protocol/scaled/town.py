"""A scaled deployment as real processes behind one origin: machine, pages, worker, beat, sequencer."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tests.protocol.scaled.wires import Cable, Ear, Router
from tests.support.running import ROOT, AimsServer, deployment
from tests.support.servers import free_port

WITHIN_S = 60
STOP_WITHIN_S = 25
REDIS_DATABASE = "/5"  # not the one that tests in process use
KEY_VARIABLE = "AIMS_LOG_KEY_FILE"


@dataclass
class Town:
    """The running deployment. aims: its origin, and how to run commands beside it. keyless: everybody's environment
    but the sequencer's.
    """

    aims: AimsServer
    router: Router
    cable: Cable
    ear: Ear
    keyless: Mapping[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str) -> None:
        """Start a process; only the sequencer is told where the log's key is."""
        env = self.aims.env if name == "sequencer" else self.keyless
        with (self.aims.var / f"{name}.log").open("ab") as log:
            command = [sys.executable, "manage.py", *self._command(name)]
            self.running[name] = subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=log)

    def stop(self, *names: str) -> dict[str, int]:
        """Send SIGTERM to these processes at once; return how each ended. One that stays is killed: -9."""
        for name in names:
            self.running[name].terminate()
        return {name: _ended(self.running[name]) for name in names}

    def log(self) -> str:
        """Return what the processes wrote."""
        return "\n".join(f"== {path.stem}\n{path.read_text()}" for path in sorted(self.aims.var.glob("*.log")))

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; while waiting, no process may end."""
        deadline = time.monotonic() + WITHIN_S
        while not holds():
            assert all(process.poll() in (None, 0) for process in self.running.values()), self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def _command(self, name: str) -> list[str]:
        return {
            "machine": ["serve", "--only", "machine", "--port", str(self.router.machine), "--workers", "2"],
            "pages": ["serve", "--only", "pages", "--port", str(self.router.pages)],
            "worker": ["worker", "--concurrency", "2"],
        }.get(name, [name])


def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return -9


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://localhost:{port}/readyz", timeout=2) as answer:
        return bool(answer.status == 200)
    return False


@contextlib.contextmanager
def town(var: Path, *, database: str, redis: str) -> Iterator[Town]:
    """Start a scaled deployment for a block."""
    broker = urlsplit(redis)
    cable = Cable(broker.hostname or "127.0.0.1", broker.port or 6379)
    router, ear = Router(free_port(), free_port()), Ear()
    keys = var / "keys"
    keys.mkdir()
    by_cable = broker.netloc.rpartition("@")[:2]
    aims = deployment(
        var,
        port=router.port,
        AIMS_DATABASE_URL=database,
        AIMS_REDIS_URL=f"redis://{''.join(by_cable)}127.0.0.1:{cable.port}{REDIS_DATABASE}",
        AIMS_FETCH_ALLOW=f"localhost:{ear.server_port}",
        **{KEY_VARIABLE: str(keys / "log.key")},
    )
    keyless = {name: value for name, value in aims.env.items() if name != KEY_VARIABLE}
    made = Town(aims, router, cable, ear, keyless)
    try:
        for name in ("sequencer", "pages", "machine", "worker", "beat"):
            made.start(name)
        made.until(lambda: _answers(router.machine) and _answers(router.pages))
        yield made
    finally:
        made.stop(*(name for name, process in made.running.items() if process.poll() is None))
        for wire in (router, cable):
            wire.close()
        ear.shutdown()
        ear.server_close()
