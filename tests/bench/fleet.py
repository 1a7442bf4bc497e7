"""A small fleet's year, told as the log would hold it: bursts, chains, denials, rotations. The same seed tells the same.

Stories (a token and its uses, an approval, a chain of three agents, an incident) begin by the hour of the day and the day of
the week; their steps interleave by time. Every event is one of the product's own, spelled by the room's own writer.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aims.authorization import chain_events, events, request_events
from aims.credentials.events import KeysRegistered
from aims.identifier.events import AgentRegistered, AgentResumed, AgentSuspended
from aims.people.events import SignedIn
from aims.policy.events import PolicyActivated
from approvals.events import DecisionApproved, DecisionDenied
from audit.events import LogViewed
from audit.write import Event, Facts, FailuresCounted

AGENTS, PEOPLE = 60, 40
SERVICES = (
    "payments", "ledger", "calendar", "mail", "crm", "search", "build", "deploy", "tickets", "wiki", "hr", "shipping",
    "stock", "prices", "reports", "maps", "files", "chat", "billing", "support", "travel", "contracts", "pay-out", "vault", "llm",
)  # fmt: skip
JOBS = (
    "courier",
    "magpie",
    "clerk",
    "scout",
    "buyer",
    "planner",
    "scribe",
    "auditor",
    "packer",
    "broker",
    "porter",
    "tutor",
)
ACTIONS = ("read", "list", "search", "write", "send", "delete", "pay", "book", "deploy", "refund")
_REHEARSED = 5_000  # stories, to know how many steps one has
_WEEK = (1.0, 1.1, 1.05, 1.0, 0.9, 0.25, 0.2)
_DAY = (2, 1, 1, 1, 1, 2, 4, 8, 14, 18, 18, 16, 13, 15, 18, 17, 14, 10, 7, 6, 5, 4, 3, 2)
_WILD_DAYS = 0.02  # of the days: an agent runs wild


@dataclass(order=True)
class Step:
    """Something that happened. at: when; the rest is what ``record()`` would be given."""

    at: datetime
    order: int
    event: Event = field(compare=False)
    by: str = field(compare=False)
    facts: Facts = field(compare=False)


class Fleet:
    """Tells the steps of a year in order."""

    def __init__(self, *, seed: int, begins_at: datetime, ends_at: datetime, entries: int) -> None:
        self._random = random.Random(seed)
        self._begins_at, self._ends_at, self._entries = begins_at, ends_at, entries
        self._order = 0
        self._heap: list[Step] = []
        pick = self._random.choice
        self.agents = [f"spiffe://acme.example/{pick(JOBS)}/{number:02d}" for number in range(AGENTS)]
        self.people = [f"per_{self._ref()}" for _ in range(PEOPLE)]
        self.resources = [f"https://{name}.acme.example/" for name in SERVICES]
        # Each agent has a few places to work at; a few agents and places see most of it.
        self._homes = {agent: self._random.sample(self.resources, 3) for agent in self.agents}
        self.grants = [f"grt_{self._ref()}" for _ in range(AGENTS * 2)]
        self.version = 1

    def told(self) -> Iterator[Step]:
        """Yield the steps in the order of their time; about as many as were asked for."""
        for agent in self.agents:
            self._tell_of(
                self._begins_at, AgentRegistered(agent=agent, owner=self._person(), version=1), "cli:ops", agent
            )
        at, stories = self._begins_at, self._entries / self._steps_of_a_story()
        weights = self._total_weight()
        while at < self._ends_at:
            self._hour(at, stories * _DAY[at.hour] * _WEEK[at.weekday()] / weights)
            at += timedelta(hours=1)
            while self._heap and self._heap[0].at < min(at, self._ends_at):
                yield heapq.heappop(self._heap)

    def _steps_of_a_story(self) -> float:
        heap, self._heap = self._heap, []
        for _ in range(_REHEARSED):
            self._random.choices(_STORIES, _WEIGHTS)[0](self, self._begins_at)
        steps, self._heap = len(self._heap), heap
        return steps / _REHEARSED

    def _total_weight(self) -> float:
        hours = int((self._ends_at - self._begins_at) / timedelta(hours=1))
        moments = (self._begins_at + timedelta(hours=number) for number in range(hours))
        return sum(_DAY[at.hour] * _WEEK[at.weekday()] for at in moments)

    def _hour(self, at: datetime, share: float) -> None:
        burst = self._random.uniform(0.5, 1.35) if self._random.random() > 0.03 else 3.5
        stories = share * burst
        for _ in range(int(stories) + (self._random.random() < stories % 1)):
            self._random.choices(_STORIES, _WEIGHTS)[0](self, at + timedelta(seconds=self._random.uniform(0, 3599)))
        if self._random.random() < _WILD_DAYS / 24:
            self._incident(at)
        if at.day == 1 and at.hour == 3:
            self._rotation(at)
        if at.weekday() == 1 and at.hour == 10:
            self._policy(at)

    def _token(self, at: datetime) -> None:
        agent = self._agent()
        resource = self._resource(agent)
        txn, jti, action = self._txn(), f"tok_{self._ref()}", self._action(readonly=True)
        about = self._facts(agent, resource, action, "allow", txn)
        self._tell(at, self._issued(jti), agent, about)
        for number in range(self._random.randint(1, 9)):
            used = events.TokenUsed(jti=jti, request=None)
            self._tell(at + timedelta(seconds=2 + 30 * number * self._random.random()), used, resource, about)

    def _refusal(self, at: datetime) -> None:
        agent, reason = (
            self._agent(),
            self._random.choice(("out_of_scope", "policy_denied", "resource_unknown", "agent_suspended")),
        )
        event = events.TokenRefused(
            endpoint="token", code="access_denied", reason=reason, policies=["only-what-is-granted"]
        )
        self._tell(
            at, event, agent, self._facts(agent, self._resource(agent), self._action(readonly=False), "deny", None)
        )

    def _approval(self, at: datetime) -> None:
        agent, person = self._agent(), self._person()
        resource = self._resource(agent)
        request, txn, hashed = f"req_{self._ref()}", self._txn(), self._hash()
        about = self._facts(agent, resource, self._action(readonly=False), "ask", txn, subject=person)
        opened = request_events.RequestOpened(
            request=request, request_hash=hashed, door="ciba", reversibility="irreversible", template_hash=self._hash(),
            policy_version=self.version, policy_hash=self._hash(), determined_by=["ask-for-payments"], eligible=[person],
            expires_at=int(at.timestamp()) + 300,
        )  # fmt: skip
        self._tell(at, opened, agent, about)
        decided, fate = at + timedelta(seconds=self._random.lognormvariate(3, 1)), self._random.random()
        if fate < 0.1:
            event = DecisionDenied(
                request=request, request_hash=hashed, is_signed=False, context_hash=None, passkey=None
            )
            self._tell(decided, event, person, self._with(about, "deny"))
        elif fate < 0.17:
            gone = request_events.RequestExpired(request=request, request_hash=hashed, was="pending", polls=60)
            self._tell(at + timedelta(seconds=300), gone, "system", self._with(about, "not_applicable"))
        else:
            self._approved(decided, request, hashed, person, about)

    def _approved(self, at: datetime, request: str, hashed: str, person: str, about: Facts) -> None:
        receipt, receipt_hash, jti = f"rcp_{self._ref()}", self._hash(), f"tok_{self._ref()}"
        signed = DecisionApproved(
            request=request, request_hash=hashed, context_hash=self._hash(), passkey=f"key_{self._ref()}", is_synced=True,
            count=1, required=1, receipt=receipt, receipt_hash=receipt_hash,
        )  # fmt: skip
        approved = request_events.RequestApproved(
            request=request, request_hash=hashed, receipt=receipt, receipt_hash=receipt_hash,
            approved_until=int(at.timestamp()) + 300, acr="phr",
        )  # fmt: skip
        redeemed = request_events.RequestRedeemed(
            request=request, request_hash=hashed, receipt_hash=receipt_hash, jti=jti, polls=self._random.randint(0, 9)
        )
        yes, allowed = self._with(about, "approve"), self._with(about, "allow")
        self._tell(at, signed, person, yes)
        self._tell(at, approved, person, yes)
        self._tell(at + timedelta(seconds=1), redeemed, about.agent or "", allowed)
        self._tell(at + timedelta(seconds=1), self._issued(jti, request), about.agent or "", allowed)
        self._tell(at + timedelta(seconds=3), events.TokenUsed(jti=jti, request=request), about.resource or "", allowed)

    def _chain(self, at: datetime) -> None:
        person, txn = self._person(), self._txn()
        walk, root = [self._agent() for _ in range(3)], f"tok_{self._ref()}"
        parent, resource = root, self._resource(walk[0])
        self._tell(
            at, self._issued(root), walk[0], self._facts(walk[0], resource, "read", "allow", txn, subject=person)
        )
        for depth, agent in enumerate(walk[1:], 1):
            about, jti = self._facts(agent, resource, "read", "allow", txn, subject=person), f"tok_{self._ref()}"
            exchanged = events.TokenExchanged(
                jti=jti, parent=parent, root=root, depth=depth, chain=walk[:depth], expires_at=int(at.timestamp()) + 300,
                policy_version=self.version, policies=["inside-a-grant"], detail_types=[],
            )  # fmt: skip
            moved = chain_events.TransactionTokenIssued(
                jti=f"txt_{self._ref()}", parent=jti, root=root, is_replacement=depth > 1, workloads=walk[:depth],
                expires_at=int(at.timestamp()) + 60, policy_version=self.version, policies=["inside-a-grant"],
            )  # fmt: skip
            self._tell(at + timedelta(seconds=depth), exchanged, agent, about)
            self._tell(at + timedelta(seconds=depth, milliseconds=40), moved, agent, about)
            self._tell(
                at + timedelta(seconds=depth, milliseconds=90), events.TokenUsed(jti=jti, request=None), resource, about
            )
            parent = jti

    def _session(self, at: datetime) -> None:
        person = self._person()
        started = SignedIn(person=person, session=f"ses_{self._ref()}", passkey=f"key_{self._ref()}")
        self._tell(at, started, person, self._facts(None, None, None, "not_applicable", None, subject=person))
        if self._random.random() < 0.3:
            viewed = LogViewed(page="list", at=None, query=["agent"])
            self._tell(
                at + timedelta(seconds=20), viewed, person, self._facts(None, None, None, "not_applicable", None)
            )

    def _grant(self, at: datetime) -> None:
        place = self._random.randrange(len(self.grants))
        agent, person, old = self._agent(), self._person(), self.grants[place]
        about = self._facts(agent, self._resource(agent), None, "not_applicable", None, subject=person)
        revoked = request_events.GrantRevoked(grant=old, from_person=person)
        ended = events.TokensEnded(
            reason="grant_revoked", grant=old, count=2, jtis=[f"tok_{self._ref()}" for _ in range(2)]
        )
        self._tell(at, revoked, person, self._with(about, "not_applicable", "grant_revoked"))
        self._tell(at, ended, "system", self._with(about, "not_applicable", "grant_revoked"))
        self.grants[place] = f"grt_{self._ref()}"
        given = request_events.GrantGiven(
            grant=self.grants[place], from_person=person, actions=["read", "list"], detail_types=[],
            until=int(at.timestamp()) + 2_592_000, starts=None, depth=2, budget={}, parent=None, approval=None,
        )  # fmt: skip
        self._tell(at + timedelta(minutes=2), given, person, about)

    def _failures(self, at: datetime) -> None:
        minute = at.replace(second=0, microsecond=0).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event = FailuresCounted(source=f"src_{self._ref()[:16]}", code="invalid_client", count=3, minute=minute)
        self._tell(at, event, "system", self._facts(None, None, None, "not_applicable", None))

    def _incident(self, at: datetime) -> None:
        """An agent runs wild for half an hour, is stopped, and comes back the next day."""
        agent = self._agent()
        resource = self._resource(agent)
        for _ in range(self._random.randint(50, 400)):
            event = events.TokenRefused(
                endpoint="token", code="access_denied", reason="policy_denied", policies=["never-at-night"]
            )
            when = at + timedelta(seconds=self._random.uniform(0, 1800))
            self._tell(when, event, agent, self._facts(agent, resource, "delete", "deny", None))
        stop, back = at + timedelta(minutes=31), at + timedelta(hours=20)
        self._tell_of(stop, AgentSuspended(agent=agent, version=2), self._person(), agent, "agent_suspended")
        self._tell_of(back, AgentResumed(agent=agent, version=3), self._person(), agent)

    def _rotation(self, at: datetime) -> None:
        for number, agent in enumerate(self.agents):
            event = KeysRegistered(holder=agent, added=[self._hash()], ended=[self._hash()])
            self._tell_of(at + timedelta(seconds=number), event, agent, agent)

    def _policy(self, at: datetime) -> None:
        self.version += 1
        event = PolicyActivated(version=self.version, policy_hash=self._hash(), version_before=self.version - 1)
        self._tell(at, event, "cli:ops", self._facts(None, None, None, "not_applicable", None))

    def _issued(self, jti: str, request: str | None = None) -> events.TokenIssued:
        return events.TokenIssued(
            jti=jti, expires_at=1_800_000_000, policy_version=self.version, policies=["inside-a-grant"],
            detail_types=["payment_initiation"] if request else [], request=request,
        )  # fmt: skip

    def _tell_of(self, at: datetime, event: Event, by: str, agent: str, remediation: str | None = None) -> None:
        about = self._facts(agent, None, None, "not_applicable", None)
        self._tell(at, event, by, self._with(about, "not_applicable", remediation))

    def _tell(self, at: datetime, event: Event, by: str, facts: Facts) -> None:
        self._order += 1
        heapq.heappush(self._heap, Step(at, self._order, event, by, facts))

    def _facts(
        self,
        agent: str | None,
        resource: str | None,
        action: str | None,
        decision: str,
        txn: str | None,
        subject: str | None = None,
    ) -> Facts:
        return Facts(
            agent=agent, subject=subject or agent, resource=resource, action=action, decision=decision, txn=txn,
            posture="unknown", remediation=None,
        )  # fmt: skip

    def _with(self, facts: Facts, decision: str, remediation: str | None = None) -> Facts:
        return Facts(**{**vars(facts), "decision": decision, "remediation": remediation})

    def _agent(self) -> str:
        return self.agents[min(int(self._random.expovariate(0.07)), AGENTS - 1)]  # a few do most

    def _person(self) -> str:
        return self.people[min(int(self._random.expovariate(0.1)), PEOPLE - 1)]

    def _resource(self, agent: str) -> str:
        return self._homes[agent][min(int(self._random.expovariate(1.2)), 2)]

    def _action(self, *, readonly: bool) -> str:
        return self._random.choice(ACTIONS[:3] if readonly else ACTIONS[3:])

    def _txn(self) -> str:
        return f"txn_{self._ref()}"

    def _ref(self) -> str:
        return f"{self._random.getrandbits(128):032x}"[:26]

    def _hash(self) -> str:
        return f"sha-256:{self._random.getrandbits(256):064x}"[:51]


_STORIES: list[Callable[[Fleet, datetime], None]] = [
    Fleet._token, Fleet._chain, Fleet._approval, Fleet._refusal, Fleet._session, Fleet._grant, Fleet._failures,
]  # fmt: skip
_WEIGHTS = [60, 12, 10, 8, 6, 1, 3]
