"""Client credentials under load, over HTTP, at 16 and at 64 connections: the product, the bare view, the stock toolkit.

Each is a server process of its own on the server's core, with its PostgreSQL; the client is on the other. Rounds are
interleaved. Two ratios are printed: of the requests a second, which others on the machine disturb, and of the CPU that
server and PostgreSQL spent on a request, which they disturb less.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection

from tests.bench.cases import Figure, Reading, figure
from tests.bench.cores import CLIENT_CORE
from tests.bench.tokens import on
from tests.support.oauth_client import PAY
from tests.support.servers import free_port

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
REQUESTS = int(
    os.environ.get("BENCH_REQUESTS", "2000")
)  # of one round; assertions are signed before, and good for a minute
WARM = 200
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_FORM = {"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}


@dataclass
class _Side:
    """One of those measured. how: what the client does. cpu_s, seconds: for one request, a round each."""

    name: str
    server: str
    path: str = "/oauth/token"
    how: str = "plain"
    port: int = 0
    pid: int = 0
    cpu_s: list[float] = field(default_factory=list)
    postgres_s: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)  # answers that were not 200, by status, of all rounds


def _sides() -> list[_Side]:
    return [
        _Side("group commit", "lean"),
        _Side("group commit, DPoP", "lean", how="dpop"),
        _Side("threads", "threads"),
        _Side("bare view", "baseline", path="/bare"),
        _Side("stock toolkit", "baseline", path="/toolkit", how="toolkit"),
    ]


@contextmanager
def _served(kind: str) -> Iterator[tuple[int, int]]:
    """Serve for a block; yield the port and the process's id."""
    port = free_port()
    variables = {
        "DJANGO_SETTINGS_MODULE": "tests.bench.settings",
        "AIMS_DATABASE_URL": os.environ["TEST_DATABASE_URL"],
        "AIMS_SECRET_KEY": settings.SECRET_KEY,
        "AIMS_KEK": settings.KEKS[0],
        "BENCH_URLS": "tests.bench.baselines" if kind == "baseline" else "",
        "BENCH_KEY": json.dumps(on().courier.key.as_dict(private=False)),
    }
    command = [sys.executable, "-m", "tests.bench.server", "lean" if kind == "lean" else "threads", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables, **quiet)  # type: ignore[call-overload]
    try:
        _until_answers(port, server)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait(20)


def _until_answers(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/oauth/jwks", timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert server.poll() is None and time.monotonic() < deadline, "a server does not answer"
            time.sleep(0.1)


class _Client:
    """The process that sends."""

    def __init__(self) -> None:
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.support.settings"}
        command = ["taskset", "-c", str(CLIENT_CORE), sys.executable, "-m", "tests.bench.client"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def sign(self, side: _Side, connections: int, count: int) -> None:
        """Let it make the requests of one round."""
        courier = on().courier
        order = {
            "port": side.port, "path": side.path, "how": side.how, "connections": connections, "count": count,
            "form": _FORM, "client_id": courier.client_id, "key": courier.key.as_dict(private=True),
        }  # fmt: skip
        self._tell(order)

    def send(self) -> dict[str, Any]:
        """Let it send them; return what it saw."""
        return dict(json.loads(self._tell(None)))

    def close(self) -> None:
        self._process.communicate(timeout=20)

    def _tell(self, order: object) -> str:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def _compare(connections: int) -> list[_Side]:
    sides, client = _sides(), _Client()
    with ExitStack() as stack:
        stack.callback(client.close)
        served = {kind: stack.enter_context(_served(kind)) for kind in ("lean", "threads", "baseline")}
        for side in sides:
            side.port, side.pid = served[side.server]
            _round(client, side, connections, WARM)
        for _ in range(ROUNDS):
            for side in sides:
                sent, server_s, postgres_s = _round(client, side, connections, REQUESTS)
                side.cpu_s.append((server_s + postgres_s) / REQUESTS)
                side.postgres_s.append(postgres_s / REQUESTS)
                side.seconds.append(sent["seconds"] / REQUESTS)
                side.p50_ms.append(sent["p50"])
                side.p99_ms.append(sent["p99"])
                side.others.update(sent["statuses"])
    return sides


def _round(client: _Client, side: _Side, connections: int, count: int) -> tuple[dict[str, Any], float, float]:
    """Return what the client saw, and the CPU seconds of the server and of PostgreSQL."""
    client.sign(side, connections, count)
    before, before_postgres = _cpu_s(side.pid), _cpu_s(_postmaster())
    sent = client.send()
    server_s, postgres_s = _cpu_s(side.pid) - before, _cpu_s(_postmaster()) - before_postgres
    answered = sent["statuses"].pop("200", 0)
    # Some may be 503, where others keep the machine so busy that a row waits too long: they are printed.
    assert set(sent["statuses"]) <= {"503"} and answered >= count - count // 20, (side.name, answered, sent)
    return sent, server_s, postgres_s


def _postmaster() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return _stat(int(cursor.fetchone()[0]))[1]


def _cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process and its children have used."""
    children = [
        int(word) for task in Path(f"/proc/{pid}/task").iterdir() for word in (task / "children").read_text().split()
    ]
    return _stat(pid)[0] + sum(_cpu_s(child) for child in children)


def _stat(pid: int) -> tuple[float, int]:
    """Return the CPU seconds of a process, with those of children that ended, and its parent."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0, 0
    return sum(int(word) for word in words[11:15]) * _TICK_S, int(words[1])


def _at(connections: int) -> Sequence[Reading]:
    sides = {side.name: side for side in _compare(connections)}
    plain, dpop, threads = sides["group commit"], sides["group commit, DPoP"], sides["threads"]
    return [
        *(_rate(side) for side in sides.values()),
        *_against(plain, sides["bare view"], bar=2.0),
        *_against(plain, sides["stock toolkit"], bar=5.0),
        *_against(threads, sides["bare view"], bar=1.0),
        _ratio("CPU with DPoP, of that without", dpop.cpu_s, plain.cpu_s, bar=2.0, is_floor=False),
    ]


def _rate(side: _Side) -> Reading:
    p50, p99 = statistics.median(side.p50_ms), statistics.median(side.p99_ms)
    cpu_ms, postgres_ms = 1000 * statistics.median(side.cpu_s), 1000 * statistics.median(side.postgres_s)
    told = ", ".join(f"{count} answers of {status}" for status, count in side.others.items()) or "all answers 200"
    waits_, cpu = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", f"CPU {cpu_ms:.2f} ms ({postgres_ms:.2f} PostgreSQL)"
    return Reading(what=f"{side.name}: {told}, {waits_}, {cpu},", value=1 / statistics.median(side.seconds), unit="/s")


def _against(ours: _Side, theirs: _Side, *, bar: float) -> list[Reading]:
    name = f"{ours.name} against {theirs.name}"
    return [
        _ratio(f"{name} by requests", theirs.seconds, ours.seconds, bar=bar),
        _ratio(f"{name} by CPU", theirs.cpu_s, ours.cpu_s, bar=bar),
    ]


def _ratio(what: str, above: Sequence[float], below: Sequence[float], *, bar: float, is_floor: bool = True) -> Reading:
    """Return the median of a ratio over the rounds, its range in brackets."""
    ratios = [one / other for one, other in zip(above, below, strict=True)]
    said = f"{what} ({min(ratios):.2f}-{max(ratios):.2f})"
    return Reading(what=said, value=statistics.median(ratios), unit="times", bar=bar, is_floor=is_floor)


for _connections in (16, 64):
    figure(Figure(name=f"client credentials at {_connections} connections", measure=partial(_at, _connections)))
