"""``python -m tests.bench.client``: sends requests that were signed before, over so many connections, and tells how it went.

It reads one line of JSON (an ``Order``) and signs; on a second line it sends, and answers with a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from joserfc.jwk import ECKey

MEDIA_TYPE = "application/x-www-form-urlencoded"


def _requests(order: dict[str, Any]) -> list[bytes]:
    import django

    django.setup()
    from tests.support.dpop import Key
    from tests.support.oauth_client import Machine

    courier, key = Machine(order["client_id"], key=ECKey.import_key(order["key"])), Key()
    headers = {"Host": "localhost", "Content-Type": MEDIA_TYPE}
    made = []
    for _ in range(order["count"]):
        if order["how"] == "toolkit":
            basic = b64encode(b"stock:s3cret").decode()
            more, body = {"Authorization": f"Basic {basic}"}, b"grant_type=client_credentials&scope=read"
        else:
            more = {"DPoP": key.proof()} if order["how"] == "dpop" else {}
            body = urlencode(courier.signed(order["form"])).encode()
        lines = [
            f"{name}: {value}\r\n" for name, value in (headers | more | {"Content-Length": str(len(body))}).items()
        ]
        made.append(f"POST {order['path']} HTTP/1.1\r\n{''.join(lines)}\r\n".encode() + body)
    return made


class _Connection(asyncio.Protocol):
    """Sends one request after the other; every answer has a length."""

    def __init__(self, requests: Iterator[bytes], statuses: Counter[int], waits: list[float]) -> None:
        self._requests, self._statuses, self._waits, self._answer = requests, statuses, waits, b""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def go_on(self) -> None:
        """Send the next request, if there is one."""
        request = next(self._requests, None)
        if request is None:
            self._transport.close()
            self.over.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, gap, body = self._answer.partition(b"\r\n\r\n")
        if not gap:
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) >= int(length) if length else body.endswith(b"0\r\n\r\n"):
            self._waits.append(time.perf_counter() - self._began)
            self._statuses[int(head[9:12])] += 1
            self._answer = b""
            self.go_on()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.over.done():
            self._statuses[0] += 1
            self.over.set_result(None)


async def _send(order: dict[str, Any], requests: list[bytes]) -> dict[str, Any]:
    loop, left = asyncio.get_running_loop(), iter(requests)
    statuses, waits = Counter[int](), list[float]()
    connections = [
        (await loop.create_connection(lambda: _Connection(left, statuses, waits), "127.0.0.1", order["port"]))[1]
        for _ in range(order["connections"])
    ]
    began = time.perf_counter()
    for connection in connections:
        connection.go_on()
    await asyncio.gather(*(connection.over for connection in connections))
    seconds = time.perf_counter() - began
    waits = sorted(waits) or [0.0]
    p50, p99 = (1000 * waits[len(waits) * percent // 100] for percent in (50, 99))
    return {"seconds": seconds, "statuses": statuses, "p50": p50, "p99": p99}


def main() -> None:
    """Play one order after the other, until there are no more."""
    import uvloop

    for line in sys.stdin:
        order = json.loads(line)
        requests = _requests(order)
        print("signed", flush=True)
        sys.stdin.readline()
        print(json.dumps(uvloop.run(_send(order, requests))), flush=True)


if __name__ == "__main__":
    main()
