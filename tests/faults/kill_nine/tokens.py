"""Kill -9 of the server, and of PostgreSQL, under a load of tokens: nothing answered is missing, nothing is there twice.

``by_hand.py`` runs it large, on a PostgreSQL of its own that dies and hangs as well.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.kill_nine.takers import Taker, Tally
from tests.support.oauth_client import Machine
from tests.support.servers import free_port

ROOT = Path(__file__).resolve().parents[3]
READY_WITHIN_S = 60
ISSUED, REDEEMED = "authorization.token.issued", "authorization.request.redeemed"


@dataclass
class Served:
    """The product as a process of its own, on the database of this one, without its jobs."""

    database: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it can write."""
        from django.conf import settings

        variables = {
            "DJANGO_SETTINGS_MODULE": "aims.settings",
            "AIMS_DATABASE_URL": self.database,
            "AIMS_SECRET_KEY": settings.SECRET_KEY,
            "AIMS_KEK": settings.KEKS[0],
            "AIMS_ISSUER": settings.ISSUER,
            "AIMS_LOG_LEVEL": "CRITICAL",
        }
        command = [sys.executable, "-m", "tests.bench.server", "lean", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=os.environ | variables)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._is_ready():
            assert self.process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill -9: what a crash leaves behind."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Stop it as an operator would, in the middle of its work; return its exit status."""
        assert self.process
        self.process.terminate()
        return self.process.wait(30)

    def _is_ready(self) -> bool:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/readyz", headers={"Host": "localhost"})
        try:
            with urllib.request.urlopen(request, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def under_load(
    machine: Machine, approved: Sequence[str], port: int, trouble: Callable[[Tally], None], *, takers: int = 12
) -> Tally:
    """Let so many agents take tokens while trouble runs; return what they saw."""
    tally = Tally(approved=deque(approved))
    taking = [threading.Thread(target=Taker(machine, port, tally).work, daemon=True) for _ in range(takers)]
    for thread in taking:
        thread.start()
    try:
        trouble(tally)
    finally:
        tally.over.set()
        for thread in taking:
            thread.join(30)
    tally.wrong += ["an agent still waits"] if any(thread.is_alive() for thread in taking) else []
    return tally


def faults(tally: Tally, log_key: Any) -> list[str]:
    """Number what waits in the log, and return what does not hold in the three tables."""
    from aims.authentication.models import SpentProof
    from aims.authorization.models import AccessToken, ApprovalRequest
    from audit.models import Entry
    from audit.sequencer import Sequencer
    from audit.verify import verify_log

    Sequencer(key=log_key).run_once()
    told = [json.loads(bytes(row)) for row in Entry.objects.order_by("index").values_list("canon", flat=True)]
    issued = Counter(each["data"]["jti"] for each in told if each["type"] == ISSUED)
    used_up = Counter(each["data"]["jti"] for each in told if each["type"] == REDEEMED)
    stored = dict(AccessToken.objects.values_list("jti", "request_id"))
    spent = set(SpentProof.objects.values_list("jti_hash", flat=True))
    redeemed = set(ApprovalRequest.objects.filter(state="redeemed").values_list("pk", flat=True))
    of_requests = Counter(request for request in stored.values() if request is not None)
    verdict = verify_log()
    once = Counter(each.auth_req_id for each in tally.answered if each.auth_req_id)
    return [
        *tally.wrong,
        *(f"{each.jti} was answered and is not stored" for each in tally.answered if each.jti not in stored),
        *(f"{each.jti} was answered and its proof is good still" for each in tally.answered if each.proof not in spent),
        *(f"{each.jti} was answered and is not in the log" for each in tally.answered if each.jti not in issued),
        *(f"{jti} is {count} times in the log" for jti, count in (issued + used_up).items() if count > 2),
        *(f"{jti} is {count} times in the log" for jti, count in issued.items() if count > 1),
        *(f"{len(stored.keys() ^ issued.keys())} tokens without an entry, or entries without a token",)[
            : stored.keys() != issued.keys()
        ],
        *(f"{name} was answered {count} times" for name, count in once.items() if count > 1),
        *(f"request {pk} has {count} tokens" for pk, count in of_requests.items() if count > 1),
        *(["tokens and used up approvals differ"] if set(of_requests) != redeemed else []),
        *(["entries and used up approvals differ"] if sum(used_up.values()) != len(redeemed) else []),
        *(["an approval that was lost has no token"] if len(redeemed) < len(once) + len(tally.lost) else []),
        *([] if verdict.is_good else [f"the log does not verify: {verdict}"]),
    ]


def summary(tally: Tally) -> str:
    """Return what a run showed, in a line."""
    redemptions = sum(1 for each in tally.answered if each.auth_req_id)
    return (
        f"{len(tally.answered)} tokens answered, {redemptions} of them for approvals; {len(tally.lost)} approvals committed "
        f"and never answered; answers by status {dict(tally.statuses)}; the slowest took {tally.slowest_s:.1f} s"
    )


def killing(server: Served, *, kills: int, every_s: float) -> Callable[[Tally], None]:
    """Return the trouble of a server that dies so often, comes back at once, and is stopped by SIGTERM at last."""

    def trouble(tally: Tally) -> None:
        for _ in range(kills):
            time.sleep(random.uniform(0.5, 1.5) * every_s)
            server.kill()
            server.start()
        time.sleep(every_s)
        server.stop()  # with all that waits

    return trouble
