"""Agents that take tokens as fast as they can, for themselves and for approvals, from a server that keeps dying."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import random
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from urllib.parse import urlencode
from uuid import uuid4

from tests.support.oauth_client import ASSERTION_TYPE, MEDIA_TYPE, PAY, Machine

CIBA = "urn:openid:params:grant-type:ciba"
READ = {"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}
BREATH_S = 0.1
TIMEOUT_S = 15
REDEEMED_OF = 4  # one in so many requests redeems an approval, while there are any


@dataclass(frozen=True)
class Answered:
    """A token in an agent's hand. proof: the hash under which its assertion is remembered."""

    jti: str
    proof: str
    auth_req_id: str | None


@dataclass
class Tally:
    """What the agents saw. unsure: approvals of which an answer was lost on its way."""

    approved: deque[str]
    answered: list[Answered] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    unsure: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    slowest_s: float = 0.0


class Taker:
    """One agent's thread, with one connection at a time."""

    def __init__(self, machine: Machine, port: int, tally: Tally) -> None:
        self._machine, self._port, self._tally = machine, port, tally
        self._connection: http.client.HTTPConnection | None = None

    def work(self) -> None:
        """Take tokens until it is over."""
        while not self._tally.over.is_set():
            auth_req_id = None
            if random.randrange(REDEEMED_OF) == 0 and self._tally.approved:
                auth_req_id = self._tally.approved.popleft()
            self._take(auth_req_id)

    def _take(self, auth_req_id: str | None) -> None:
        jti = uuid4().hex
        form = READ if auth_req_id is None else {"grant_type": CIBA, "auth_req_id": auth_req_id}
        signed = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self._machine.assertion(jti=jti)}
        began = time.monotonic()
        status, body = self._sent(urlencode(signed | form))
        self._tally.slowest_s = max(self._tally.slowest_s, time.monotonic() - began)
        self._tally.statuses[str(status or "none")] += 1
        if status == 200:
            proof = hashlib.sha256(jti.encode()).hexdigest()
            self._tally.answered.append(Answered(_jti_of(str(body["access_token"])), proof, auth_req_id))
        elif status in (0, 503):
            self._later(auth_req_id)
            time.sleep(BREATH_S)
        elif auth_req_id in self._tally.unsure and body.get("error") == "invalid_grant":
            self._tally.lost.add(auth_req_id)  # committed, and its answer died with the server
        else:
            self._tally.wrong.append(f"answered with {status} {body}")

    def _later(self, auth_req_id: str | None) -> None:
        if auth_req_id is not None:
            self._tally.unsure.add(auth_req_id)
            self._tally.approved.append(auth_req_id)

    def _sent(self, body: str) -> tuple[int, dict[str, object]]:
        """Return status and body; 0 where no answer came."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
            self._connection.request("POST", "/oauth/token", body, {"Content-Type": MEDIA_TYPE, "Host": "localhost"})
            answer = self._connection.getresponse()
            return answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return 0, {}


def _jti_of(token: str) -> str:
    payload = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"])
