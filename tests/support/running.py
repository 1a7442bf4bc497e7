"""The real server as a process of its own, with a database of its own: what black-box and browser tests talk to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.support.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 90  # of a machine that is busy with something else; one that ends is seen at once
STOP_WITHIN_S = 20
COMMAND_WITHIN_S = 120
ROOMS = ("aims", "approvals", "audit")


@dataclass
class AimsServer:
    """One deployment. ``manage`` runs a command beside it, as an operator would.

    base_url: the issuer. env: the whole environment of its processes. var: its folder; ``server.log`` lies there.
    """

    base_url: str
    env: Mapping[str, str]
    var: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    def manage(self, *args: str, stdin: str = "", is_checked: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py`` with these arguments; its output is captured."""
        command = [sys.executable, "manage.py", *args]
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, input=stdin, capture_output=True, text=True, timeout=COMMAND_WITHIN_S
        )
        assert not is_checked or done.returncode == 0, f"{args} ended with {done.returncode}:\n{done.stderr}"
        return done

    def start(self, *args: str) -> None:
        """Start ``serve`` and wait until it answers."""
        with (self.var / "server.log").open("ab") as log:
            command = [sys.executable, "manage.py", "serve", "--port", str(self.port), *args]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=log, stderr=log)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._is_ready():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def stop(self) -> int:
        """Stop the server as an operator would (SIGTERM); return its exit status."""
        assert self.process
        self.process.terminate()
        try:
            return self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill -9: what a crash leaves behind."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def log(self) -> str:
        """Return what the server wrote so far."""
        return (self.var / "server.log").read_text()

    def _is_ready(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.base_url}/readyz", timeout=2) as answer:
            return bool(answer.status == 200)
        return False


def deployment(var: Path, *, port: int, **extra: str) -> AimsServer:
    """Make a deployment in ``var``, migrated, its log key made; nothing runs yet. extra: more variables."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AIMS_", "DJANGO_", "PYTEST_"))}
    env |= {
        "DJANGO_SETTINGS_MODULE": "aims.settings",
        "AIMS_NO_BOOTSTRAP": "1",
        "AIMS_SECRET_KEY": "a secret that guards nothing",
        "AIMS_KEK": base64.b64encode(bytes(range(32))).decode(),
        "AIMS_VAR_DIR": str(var),
        "AIMS_PERSON_KEYS": str(var / "person-keys.sqlite3"),
        "AIMS_ISSUER": f"http://localhost:{port}",
        "AIMS_LOG_LEVEL": "WARNING",
        **extra,
    }
    server = AimsServer(base_url=env["AIMS_ISSUER"], env=env, var=var, port=port)
    if "AIMS_DATABASE_URL" in extra:
        server.manage("migrate", "-v0")
    else:
        shutil.copyfile(_migrated(server), var / "aims.sqlite3")
    from audit.checkpoints import create_log_key  # needs the apps, which not everybody who reads ROOT has

    create_log_key(Path(extra.get("AIMS_LOG_KEY_FILE", var / "log.key")))
    return server


def _migrated(server: AimsServer) -> Path:
    """Return a SQLite database with every migration of this checkout and nothing else; made once, then kept.

    Django takes many seconds of CPU to walk through the migrations, and every deployment would pay them.
    """
    migrations = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (ROOT / room).glob("**/migrations/*.py")):
        migrations.update(path.read_bytes())
    kept = Path(tempfile.gettempdir()) / f"aims-migrated-{os.getuid()}-{migrations.hexdigest()[:24]}.sqlite3"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="aims-migrating-") as folder:
            fresh = replace(server, env={**server.env, "AIMS_VAR_DIR": folder})
            fresh.manage("migrate", "-v0")
            with contextlib.closing(sqlite3.connect(f"{folder}/aims.sqlite3")) as database:
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            made = kept.with_suffix(f".{os.getpid()}")
            shutil.copyfile(f"{folder}/aims.sqlite3", made)
            made.replace(kept)  # whole, whoever else makes one at the same time
    return kept


@contextlib.contextmanager
def aims_server(var: Path, **extra: str) -> Iterator[AimsServer]:
    """Make a deployment in ``var`` and serve it for a block. extra: more variables."""
    server = deployment(var, port=free_port(), **extra)
    server.start()
    try:
        yield server
    finally:
        if server.process and server.process.poll() is None:
            server.stop()


@pytest.fixture
def start_aims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., AimsServer]]:
    """Return a function that starts a deployment; all of them stop with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **extra: stack.enter_context(aims_server(tmp_path_factory.mktemp("aims"), **extra))


@pytest.fixture(scope="module")
def aims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AimsServer]:
    """One embedded server for the tests of a module."""
    with aims_server(tmp_path_factory.mktemp("aims")) as server:
        yield server
