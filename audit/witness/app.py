"""A witness on the wire: plain ASGI, no framework, no database but its own file. Spec: C2SP tlog-witness.

There is no authentication of callers beyond the signature on what they bring.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit import notes
from audit.notes import VerifierKey
from audit.witness import request
from audit.witness.memory import Memory
from audit.witness.request import Held, Refused

log = logging.getLogger(__name__)

BODY_WITHIN_S = 10
TEXT = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"
_VIEW = re.compile(r"/([0-9a-f]{64})/checkpoint")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Logs = Callable[[], Mapping[str, tuple[VerifierKey, ...]]]
Answer = tuple[int, str, str]  # status, media type, body


class Witness:
    """One witness. logs: returns the keys that are trusted for each origin. clock: POSIX seconds."""

    def __init__(
        self,
        *,
        name: str,
        key: Ed25519PrivateKey,
        memory: Memory,
        logs: Logs,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name, self._key, self._memory, self._logs, self._clock = name, key, memory, logs, clock

    @property
    def vkey(self) -> str:
        """The key that verifies its cosignatures."""
        return str(notes.key_of(self._key, self._name, notes.COSIGNATURE))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Spec: ASGI 3.0."""
        if scope["type"] == "lifespan":
            return await _live(receive, send)
        if scope["type"] != "http":
            raise ValueError(scope["type"])
        status, kind, body = await self._answer(scope, receive)
        raw = body.encode()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(raw)).encode())]
        headers += [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else raw})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        path, method = scope["path"], scope["method"]
        if path == "/add-checkpoint":
            return await self._added(receive) if method == "POST" else (405, TEXT, "only POST\n")
        if method not in ("GET", "HEAD"):
            return 405, TEXT, "only GET\n"
        if path == "/vkey":
            return 200, TEXT, f"{self.vkey}\n"
        if view := _VIEW.fullmatch(path):
            return await asyncio.to_thread(self._view, view[1])
        return 404, TEXT, "no such page\n"

    async def _added(self, receive: Receive) -> Answer:
        try:
            body = await asyncio.wait_for(_body(receive), BODY_WITHIN_S)
            lines = await asyncio.to_thread(self.add_checkpoint, body)
        except TimeoutError:
            return 408, TEXT, "the request took too long\n"
        except Refused as refusal:
            if refusal.status == 409:
                return 409, SIZE, f"{refusal.size}\n"
            return refusal.status, TEXT, f"{refusal.why}\n"
        except sqlite3.Error:
            log.exception("the witness can't remember, so it does not cosign")
            return 503, TEXT, "try again later\n"
        return 200, TEXT, lines

    def add_checkpoint(self, body: bytes) -> str:
        """Cosign a checkpoint that continues what was cosigned before; return the signature line. Raises: Refused."""
        asked = request.read(body)
        request.judge_signature(asked, self._logs().get(asked.head.origin, ()))
        text = notes.text_of(asked.note)
        lines: list[str] = []

        def judge(held: Held) -> tuple[Held, str]:
            request.judge_growth(asked, held)
            # Never an earlier time than said before: a clock that was set back would make an older tree the newest.
            now = max(int(self._clock()), held.at)
            lines.append(notes.cosign(text, self._key, self._name, now=now))
            return Held(asked.head.size, asked.head.root, now), self._served(asked.note) + lines[0]

        self._memory.advance(asked.head.origin, judge)
        return lines[0]

    def _served(self, note: str) -> str:
        """Return the checkpoint with the log's own signatures only: nobody else's words are repeated."""
        text = notes.text_of(note)
        trusted = self._logs()[notes.parse_checkpoint(text).origin]
        return text + "\n" + notes.lines_of(note, trusted)

    def _view(self, hashed: str) -> Answer:
        """Return the last cosigned checkpoint of a log. Spec: tlog-witness, Monitor Retrieval Mechanism."""
        for origin, note in self._memory.notes().items():
            if hashlib.sha256(origin.encode()).hexdigest() == hashed:
                return 200, TEXT, note
        return 404, TEXT, "nothing of that log was cosigned here\n"


async def _body(receive: Receive) -> bytes:
    whole = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "the request was cut")
        whole += message.get("body", b"")
        if len(whole) > request.BODY_MAX_BYTES:
            raise Refused(413, f"more than {request.BODY_MAX_BYTES} bytes")
        if not message.get("more_body"):
            return bytes(whole)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        stage = (await receive())["type"]
        await send({"type": f"{stage}.complete"})
        if stage == "lifespan.shutdown":
            return
