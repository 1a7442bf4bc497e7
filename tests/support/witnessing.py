"""Logs and witnesses for tests: the real ones, called without a socket."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import merkle, notes
from audit.notes import VerifierKey
from audit.witness.app import Witness
from audit.witness.memory import Memory

NOW = 1_795_000_000


@dataclass(frozen=True)
class Reply:
    """An answer. headers: lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Clock:
    """POSIX seconds that a test moves."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Grown:
    """A log of any size, in memory: leaf n is the hash of its number and of what tells two histories apart."""

    def __init__(self, origin: str = "console.example/log/1", history: str = "") -> None:
        self.key, self.origin, self.history = Ed25519PrivateKey.generate(), origin, history

    @property
    def vkey(self) -> VerifierKey:
        return notes.key_of(self.key, self.origin)

    def root(self, size: int) -> bytes:
        return merkle.root_of(self._leaves(size))

    def note(self, size: int) -> str:
        return notes.sign(notes.Checkpoint(self.origin, size, self.root(size)), self.key)

    def proof(self, old: int, size: int) -> Sequence[bytes]:
        return merkle.consistency_proof(old, size, merkle.reader_of(self._leaves(size))) if old else ()

    def submission(self, old: int, size: int) -> bytes:
        return submission(old, self.proof(old, size), self.note(size))

    def _leaves(self, size: int) -> list[bytes]:
        return [merkle.leaf_hash(f"{self.history}{number}".encode()) for number in range(size)]


def submission(old: int, proof: Sequence[bytes], note: str) -> bytes:
    """Return the body of add-checkpoint."""
    lines = [f"old {old}", *(base64.b64encode(hashed).decode() for hashed in proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def witness(folder: Path, *keys: VerifierKey, name: str = "witness.example/w1", clock: Clock | None = None) -> Witness:
    """Return a witness of some logs, with a key of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    logs = {key.name: (key,) for key in keys}
    memory = Memory(folder / "witness.sqlite3")
    return Witness(
        name=name, key=Ed25519PrivateKey.generate(), memory=memory, logs=lambda: logs, clock=clock or Clock()
    )


def call(app: Witness, method: str, path: str, body: bytes = b"", pieces: int = 1) -> Reply:
    """Send one request to an ASGI application."""
    size = max(1, -(-len(body) // pieces))
    parts = [body[at : at + size] for at in range(0, len(body), size)] or [b""]
    waiting = [
        {"type": "http.request", "body": part, "more_body": number + 1 < len(parts)}
        for number, part in enumerate(parts)
    ]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return waiting.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": method, "path": path}, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], headers, b"".join(message["body"] for message in sent[1:]))


@dataclass
class Network:
    """Reaches witnesses by their prefix; ``down`` ones do not answer, ``lies`` replace what they say."""

    witnesses: dict[str, Witness]
    down: set[str] = field(default_factory=set)
    lies: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(
        self, method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], max_bytes: int
    ) -> Reply:
        prefix = next(prefix for prefix in self.witnesses if url.startswith(prefix + "/"))
        self.asked.append(f"{method} {url}")
        if prefix in self.down:
            raise ConnectionError("nobody answers")
        if (lie := self.lies.get(prefix)) and method == "POST":
            return lie
        return call(self.witnesses[prefix], method, url.removeprefix(prefix), body or b"")
