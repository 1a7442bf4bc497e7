"""A process that hashes tiles, so that a check of the tree uses more than one core: no Django, no database.

Spoken to over pipes: four bytes of length and so many bytes of whole tiles in, the root of each tile out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from audit.tiles import FULL_BYTES, subtree

_HOME = Path(__file__).resolve().parent.parent


def roots_of(data: bytes) -> bytes:
    """Return the root of each whole tile, one behind the other."""
    return b"".join([subtree(data[at : at + FULL_BYTES]) for at in range(0, len(data), FULL_BYTES)])


class Hashers:
    """So many processes that hash. With fewer than two, this process does it itself."""

    def __init__(self, count: int) -> None:
        self._count = count if count > 1 else 0
        self._local = threading.local()
        self._started: list[subprocess.Popen[bytes]] = []
        self._pool = ThreadPoolExecutor(max(1, self._count), thread_name_prefix="hashing")

    def __enter__(self) -> Hashers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)
        for process in self._started:
            process.kill()
            process.wait()

    def roots(self, data: bytes) -> Future[bytes]:
        """Return what will be the roots of whole tiles."""
        if not self._count:
            done: Future[bytes] = Future()
            done.set_result(roots_of(data))
            return done
        return self._pool.submit(self._asked, data)

    def _asked(self, data: bytes) -> bytes:
        process = self._process()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(len(data).to_bytes(4) + data)
        process.stdin.flush()
        want = len(data) // FULL_BYTES * 32
        found = process.stdout.read(want)
        if len(found) != want:
            raise OSError("a hashing process ended")
        return found

    def _process(self) -> subprocess.Popen[bytes]:
        if not hasattr(self._local, "process"):
            command = [sys.executable, "-m", "audit.subtrees"]
            environment = {**os.environ, "PYTHONPATH": str(_HOME)}
            self._local.process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
            )
            self._started.append(self._local.process)
        process: subprocess.Popen[bytes] = self._local.process
        return process


def serve() -> None:
    """Hash what comes in until nothing comes any more."""
    while head := sys.stdin.buffer.read(4):
        sys.stdout.buffer.write(roots_of(sys.stdin.buffer.read(int.from_bytes(head))))
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
