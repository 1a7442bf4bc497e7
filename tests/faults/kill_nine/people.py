"""Agents that ask and poll, approvers that sign: threads that speak HTTP and outlive the server's deaths."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import cycle

import requests

from aims.demo.approver import TIMEOUT_S, Approver
from aims.demo.client import CIBA, Client, OAuthAnswer
from tests.support.world import Agent, ciba_form, payment

IN_FLIGHT_MAX = 8  # requests that one agent waits for at once; below the limits of design 9
FIRST_POLL_AFTER_S = 2.0
BREATH_S = 0.05
TWIN_EVERY = 4  # so often two polls for the same answer go out together


@dataclass
class Tally:
    """What the clients were told. Only an answer that arrived counts. lost: calls without one, while the server was down too."""

    goal: int
    asked: set[str] = field(default_factory=set)  # auth_req_id
    approved: set[str] = field(default_factory=set)  # request refs whose yes was answered with 200
    tokens: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # by auth_req_id
    lost: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_reached(self) -> bool:
        return len(self.approved) >= self.goal

    @property
    def progress(self) -> tuple[int, int]:
        """Return how many were approved and how many of them got their token."""
        return len(self.approved), len(self.tokens)


class Signer(Approver):
    """A person who signs whatever comes first in the inbox."""

    def sign_next(self, tally: Tally) -> bool:
        """Sign one request; return whether there was one."""
        page = self._page(f"{self.origin}/inbox/")
        if not page.card.get("yes-options"):
            return False
        address = page.card["approve-href"]
        options = json.loads(page.card["yes-options"])
        done = self.browser.post(
            self.origin + address,
            data=json.dumps(self.authenticator.get(options.get("publicKey", options))),
            headers={
                "Content-Type": "application/json",
                "Referer": f"{self.origin}/inbox/",
                "X-CSRFToken": self._token(page),
            },
            timeout=TIMEOUT_S,
        )
        with tally.lock:
            if done.status_code == 200:
                tally.approved.add(address.split("/")[2])
            elif done.status_code >= 500:
                tally.wrong.append(f"a signature was answered with {done.status_code}")
        return True

    def work(self, tally: Tally) -> None:
        """Sign until everything is over."""
        while not tally.over.is_set():
            try:
                if not self.sign_next(tally):
                    time.sleep(BREATH_S)
            except requests.RequestException:
                tally.lost["calls of approvers"] += 1
                time.sleep(BREATH_S)


class Asker:
    """One agent: keeps a few requests open, polls each at its pace, sometimes twice at once."""

    def __init__(self, agent: Agent, issuer: str, approvers: tuple[str, ...], tally: Tally) -> None:
        self.tally = tally
        self.clients = [agent.client(issuer) for _ in range(2)]
        self.approvers = cycle(random.sample(approvers, len(approvers)))
        self.waiting: deque[tuple[float, str]] = deque()

    def work(self) -> None:
        """Ask until enough was approved, then wait for what is still open."""
        while not self.tally.over.is_set() and not (self.tally.is_reached and not self.waiting):
            self._ask_more()
            if self.waiting and self.waiting[0][0] <= time.monotonic():
                self._poll(self.waiting.popleft()[1])
            else:
                time.sleep(BREATH_S)

    def _ask_more(self) -> None:
        if self.tally.is_reached or len(self.waiting) >= IN_FLIGHT_MAX:
            return
        answer = self._called(self._ask, "requests of agents")
        if answer is None:
            return
        if answer.status == 200:
            with self.tally.lock:
                self.tally.asked.add(answer.body["auth_req_id"])
            self._later(answer.body["auth_req_id"], FIRST_POLL_AFTER_S)
        elif answer.status != 429:
            self.tally.wrong.append(f"asking was answered with {answer.status} {answer.error}")

    def _ask(self) -> OAuthAnswer:
        form = ciba_form(next(self.approvers), payment(random.randrange(10**9)))
        return self.clients[0].call("backchannel_authentication_endpoint", form)

    def _poll(self, auth_req_id: str) -> None:
        is_twin = random.randrange(TWIN_EVERY) == 0
        with ThreadPoolExecutor(2) as pool:
            polls = [pool.submit(self._poll_by, c, auth_req_id) for c in self.clients[: 1 + is_twin]]
        answers = [poll.result() for poll in polls]
        for answer in answers:
            if answer is not None and answer.status == 200:
                with self.tally.lock:
                    self.tally.tokens[auth_req_id].append(answer.body["access_token"])
        self._settle(auth_req_id, answers)

    def _settle(self, auth_req_id: str, answers: list[OAuthAnswer | None]) -> None:
        if self.tally.tokens.get(auth_req_id):
            return
        errors = {answer.error for answer in answers if answer is not None}
        # Or no answer at all. What can't be written just now is nobody's refusal: the same request is good still.
        if errors <= {"authorization_pending", "slow_down", "temporarily_unavailable"}:
            waits = [answer.retry_after_s or 5 for answer in answers if answer is not None]
            self._later(auth_req_id, max(waits, default=1))
        elif "invalid_grant" in errors:
            self.tally.lost["tokens on their way to the agent"] += 1
        else:
            self.tally.wrong.append(f"a poll was answered with {errors}")

    def _poll_by(self, client: Client, auth_req_id: str) -> OAuthAnswer | None:
        form = {"grant_type": CIBA, "auth_req_id": auth_req_id}
        return self._called(lambda: client.call("token_endpoint", form), "polls")

    def _called(self, call: Callable[[], OAuthAnswer], what: str) -> OAuthAnswer | None:
        """Return the answer, or None where the server died; counted, since it may have done what was asked."""
        try:
            return call()
        except requests.RequestException:
            self.tally.lost[what] += 1
            time.sleep(BREATH_S)
            return None

    def _later(self, auth_req_id: str, wait_s: float) -> None:
        self.waiting.append((time.monotonic() + wait_s, auth_req_id))

    def replay(self) -> int:
        """Poll everything that was answered with a token once more; return how many gave another one."""
        return sum(self._is_given_again(auth_req_id) for auth_req_id in list(self.tally.tokens))

    def _is_given_again(self, auth_req_id: str) -> bool:
        answer = self._poll_by(self.clients[0], auth_req_id)
        return answer is not None and answer.status == 200
