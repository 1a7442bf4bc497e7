"""A PostgreSQL of our own that can die, stand still, and come back. It waits for its disk, as a deployment's does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import servers

COMES_BACK_WITHIN_S = 60


@dataclass
class MortalPostgres:
    """One cluster in a folder."""

    home: Path
    user: str | None
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"postgresql://aims@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it and wait until it answers; again while what a crash left behind is still there."""
        deadline = time.monotonic() + COMES_BACK_WITHIN_S
        while not self._answers():
            assert time.monotonic() < deadline, "PostgreSQL does not come back"
            if self.process is None or self.process.poll() is not None:
                self._spawn()
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill -9 of all its processes at once."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self.process
        self.process.wait()

    def hang(self) -> None:
        """Stop all its processes: connections stay, nobody answers."""
        for pid in self._pids():
            os.kill(pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let them go on."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def _pids(self) -> list[int]:
        assert self.process
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def _spawn(self) -> None:
        options = ["-c", f"unix_socket_directories={self.home}", "-c", "max_connections=200"]
        command = [servers._postgres_binaries() / "postgres", "-D", self.home / "data", "-p", str(self.port)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(  # type: ignore[call-overload]
            [*command, "-h", "127.0.0.1", *options], user=self.user, cwd=self.home, **quiet
        )

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextlib.contextmanager
def mortal_postgres() -> Iterator[MortalPostgres]:
    """Make a cluster and start it for a block."""
    with servers._home() as (home, user):
        binaries = servers._postgres_binaries()
        init = [binaries / "initdb", "-D", home / "data", "-U", "aims", "-A", "trust", "-E", "UTF8", "--locale=C"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(init, user=user, cwd=home, check=True, **quiet)  # type: ignore[call-overload]
        server = MortalPostgres(home, user, servers.free_port())
        server.start()
        try:
            yield server
        finally:
            server.kill()
