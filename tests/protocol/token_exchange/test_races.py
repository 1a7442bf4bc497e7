"""Exchange against what ends the parent, on two connections: the child never outlives it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction

from aims.authentication.client import Client
from aims.authentication.private_key_jwt import authenticate
from aims.authorization.models import AccessToken
from aims.authorization.services import agents as stopping
from aims.authorization.services import exchange, tokens
from aims.authorization.services.order import begin
from aims.identifier.models import Agent
from aims.kit import clock
from tests.protocol.token_exchange.test_exchange import Chain, grant, link
from tests.support.oauth_client import BY, Machine, stage
from tests.support.racing import ROUNDS, at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("aims.authorization.urls")]


def client_of(machine: Machine) -> Client:
    return authenticate(machine.assertion(), client_id=None, now=clock.now(), may_recall=False)


def exchanging(chain: Chain, token: str) -> Callable[[], Any]:
    b, c = chain.links
    client = client_of(b.machine)
    asked = exchange.Asked(
        subject_token=token,
        actor_token=None,
        resources=(c.resource.identifier,),
        scope="accounts.read",
        details=None,
    )
    return lambda: exchange.exchange(client, asked, now=clock.now())


def revoking(chain: Chain, token: str) -> Callable[[], Any]:
    client = client_of(chain.on.courier)

    def revoke() -> bool:
        with transaction.atomic():
            begin(client.agent)
            return tokens.revoke(client, token, now=clock.now())

    return revoke


def suspending(chain: Chain, token: str) -> Callable[[], Any]:
    agent = Agent.objects.get(pk=chain.on.agent.pk)
    return lambda: stopping.suspend_agent(agent, reason="race", by=BY, now=clock.now())


@pytest.mark.parametrize("ending", [revoking, suspending])
@pytest.mark.parametrize("_round", ROUNDS)
@pytest.mark.spec("RFC 7009", "2.1", "an exchange that races the end of its parent leaves nothing that counts")
def test_nothing_outlives_a_parent_that_ends_meanwhile(
    transactional_db: None, ending: Callable[[Chain, str], Callable[[], Any]], _round: int
) -> None:
    on = stage()
    chain = Chain(on, [link(on, "b"), link(on, "c")])
    grant(on, on.agent, chain.links[0].resource)
    grant(on, chain.links[0].agent, chain.links[1].resource)
    token = chain.first()
    exchanged, _ = at_once(exchanging(chain, token), ending(chain, token))
    assert not AccessToken.objects.filter(revoked_at=None).exists()
    assert AccessToken.objects.count() == (2 if isinstance(exchanged, dict) else 1)
