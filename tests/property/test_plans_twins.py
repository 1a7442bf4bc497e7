"""Two agents live the same life, one of them without plans: nobody can tell which, by answers, tokens or entries."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.endpoints import plans
from aims.authorization.endpoints.plans import Again, Asked
from aims.authorization.services import gathering
from aims.authorization.services.clients import ClientSettings, configure_client
from aims.authorization.services.grants import revoke_grant
from aims.credentials import services as credentials
from aims.identifier import services as identifier
from aims.identifier.models import Agent, AgentState
from aims.kit import clock, kept
from aims.policy.services import load_policy
from tests.protocol.oauth.test_issuing import FORBID
from tests.support.dpop import Key
from tests.support.faces import FACES, READ, Answer
from tests.support.oauth_client import BY, PAY, POLICY, Machine, Stage, stage
from tests.support.planned import ISSUED, NEW_EACH_TIME, REFUSED, asks, claims_of, give, twin_of
from tests.unit.authorization.entries import entries

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.spec("AIMS Console", "authorization", "with plans and without: the same answers and the same entries"),
]
STEPS = 40
FORMS = (READ, READ | {"x": "1"}, READ | {"scope": "drafts.write"}, READ | {"scope": "accounts.read accounts.read"})
POLICIES = (POLICY, FORBID, POLICY + '\n@id("more") permit (principal, action, resource);')


@dataclass
class Twins:
    """The stage, and the two: what is done to one is done to the other."""

    on: Stage
    pair: tuple[Machine, Machine]

    def agents(self) -> list[Agent]:
        return [Agent.objects.get(identifier=machine.client_id) for machine in self.pair]


def _suspend_or_resume(twins: Twins, chance: random.Random) -> None:
    for agent in twins.agents():
        move = identifier.suspend if agent.state == AgentState.ACTIVE else identifier.resume
        move(agent, reason="t", by=BY, now=clock.now())


def _change_policy(twins: Twins, chance: random.Random) -> None:
    load_policy(chance.choice(POLICIES), by=BY, now=clock.now())


def _give(twins: Twins, chance: random.Random) -> None:
    until_at, budget = clock.now() + timedelta(seconds=chance.choice([20, 90, 9000])), chance.choice([{}, {"count": 3}])
    for agent in twins.agents():
        give(agent, twins.on, until_at=until_at, budget=budget)


def _take_back(twins: Twins, chance: random.Random) -> None:
    for agent in twins.agents():
        if grant := agent.grants.filter(revoked_at=None).order_by("-until_at").first():
            revoke_grant(grant, by=BY, now=clock.now())


def _demand_keys(twins: Twins, chance: random.Random) -> None:
    told = ClientSettings(dpop_bound=chance.random() < 0.3)
    for agent in twins.agents():
        configure_client(agent, told, by=BY, now=clock.now())


def _change_keys(twins: Twins, chance: random.Random) -> None:
    is_lost = chance.random() < 0.3
    for agent, machine in zip(twins.agents(), twins.pair, strict=True):
        keys = Machine("other").jwks if is_lost else machine.jwks
        credentials.register_keys(agent.ref, keys, by=BY, now=clock.now())


def _change_action(twins: Twins, chance: random.Random) -> None:
    hardness = chance.choice(["read-only", "read-only", "irreversible"])
    spec = identifier.ActionSpec
    actions = (
        spec(name="accounts.read", title="Read accounts", reversibility=hardness),
        spec(name="drafts.write", title="Write drafts", reversibility="reversible"),
        spec(name="payments.create", title="Pay", reversibility="irreversible", detail_type="payment_initiation"),
    )
    command = identifier.RegisterResource(identifier=PAY, name=f"Pay {chance.random()}", actions=actions)
    identifier.update_resource(twins.on.pay, command, by=BY, now=clock.now())


def _mend(twins: Twins, chance: random.Random) -> None:
    """Bring everything back to where tokens are granted: most of a life should be that."""
    load_policy(POLICY, by=BY, now=clock.now())
    _change_action(twins, random.Random(1))
    for agent, machine in zip(twins.agents(), twins.pair, strict=True):
        if agent.state != AgentState.ACTIVE:
            identifier.resume(agent, reason="t", by=BY, now=clock.now())
        configure_client(agent, ClientSettings(), by=BY, now=clock.now())
        credentials.register_keys(agent.ref, machine.jwks, by=BY, now=clock.now())
        give(agent, twins.on, until_at=clock.now() + timedelta(hours=1))


CHANGES: list[Callable[[Twins, random.Random], None]] = [
    _suspend_or_resume, _change_policy, _give, _take_back, _demand_keys, _change_keys, _change_action, _mend, _mend, _mend,
]  # fmt: skip


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The agents that were granted a token by a plan; only the first twin may be."""
    seen, ordinary = list[str](), plans.again

    def again(asked: Asked, **said: Any) -> Again | None:
        found = ordinary(asked, **said)
        if found is None or found.client.identifier.endswith("twin"):
            return None
        seen.append(found.client.identifier)
        return found

    monkeypatch.setattr(plans, "again", again)
    return seen


@pytest.fixture
def twins(db: None) -> Iterator[Twins]:
    kept.forget_all()
    gathering.start()
    on = stage()
    yield Twins(on, (on.courier, twin_of(on, "twin")))
    gathering.stop()


def told(answer: Answer) -> tuple[Any, ...]:
    """Return what an answer says, but for names that are new each time and the agent's own."""
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    body = json.loads(answer.body)
    if answer.status != 200:
        return answer.status, headers, body
    claims = {
        name: value for name, value in claims_of(answer).items() if name not in NEW_EACH_TIME | {"sub", "client_id"}
    }
    lasts_s = round((claims_of(answer)["exp"] - claims_of(answer)["iat"]) / 3)  # a second may turn between the two
    return answer.status, headers, list(body), claims, lasts_s


def written(agent: str) -> list[Any]:
    """Return the entries about an agent's tokens, but for what is new each time and its own."""
    own = {"id", "occurred_at", "by", "agent", "subject", "txn"}
    mine = [entry for entry in entries(ISSUED, REFUSED) if agent in (entry["agent"], entry["by"])]
    data = [{name: each for name, each in entry["data"].items() if name not in ("jti", "expires_at")} for entry in mine]
    return [
        {name: value for name, value in entry.items() if name not in own} | {"data": said}
        for entry, said in zip(mine, data, strict=True)
    ]


@pytest.mark.parametrize("seed", range(2))
def test_twins_live_the_same_life_with_plans_and_without(twins: Twins, used: list[str], seed: int) -> None:
    chance, key = random.Random(seed), Key()
    with ExitStack() as time:
        for step in range(STEPS):
            if chance.random() < 0.15:
                chance.choice(CHANGES)(twins, chance)
            elif chance.random() < 0.1:
                time.enter_context(clock.shifted(timedelta(seconds=chance.choice([5, 17, 40]))))
            form, face, is_bound = chance.choice(FORMS), chance.choice(FACES), chance.random() < 0.3
            for _ in range(2):
                answers = [
                    told(asks(machine, face, form, dpop=key.proof() if is_bound else None)) for machine in twins.pair
                ]
                assert answers[0] == answers[1], (step, form)
    one, other = (written(machine.client_id) for machine in twins.pair)
    assert one == other
    assert len(used) > STEPS / 4
