"""Narrowing, taking back, passing on and the sweeps, on two connections: nothing is left alive that nobody allows."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail

from aims.authorization.models import AccessToken, DelegationGrant
from aims.authorization.request_errors import AlreadyDecided, GrantChanged, GrantRefused
from aims.authorization.services.grants import NarrowGrant, narrow_grant, revoke_grant
from aims.authorization.services.running_out import expire_due, warn_due
from aims.kit import clock
from aims.kit.errors import AimsError
from tests.protocol.ciba.conftest import Door
from tests.protocol.ciba.conftest import door as door
from tests.protocol.token_exchange.test_exchange import Chain
from tests.support.chains import make_chain
from tests.support.log import written_once as written_once
from tests.support.oauth_client import BY
from tests.support.racing import at_once
from tests.unit.authorization.entries import entries
from tests.unit.authorization.test_budgets import EVERYTHING, kestrel, only
from tests.unit.authorization.test_grants import give

pytestmark = [
    pytest.mark.scaled,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("aims.authorization.urls"),
]
ROUNDS = range(3)


def less(grant: DelegationGrant, **changed: Any) -> NarrowGrant:
    names = ("actions", "detail_types", "until_at", "budget", "depth")
    return NarrowGrant(**({name: getattr(grant, name) for name in names} | changed))


def live() -> int:
    return AccessToken.of_every_kind.filter(revoked_at=None, expires__gt=clock.now()).count()


def test_narrowing_against_issuing_leaves_no_token_that_is_too_wide(door: Door) -> None:
    for _ in ROUNDS:
        grant = give(door, **EVERYTHING)
        DelegationGrant.objects.exclude(pk=grant.pk).update(revoked_at=clock.now())
        terms = less(grant, actions=("payments.create",), depth=0)
        answer, narrowed = at_once(
            lambda: door.courier.token(scope="accounts.read"),
            partial(narrow_grant, grant, terms, by=BY, now=clock.now()),
        )
        assert narrowed is None and answer.status_code in (200, 400)
        assert live() == 0
        assert door.courier.token(scope="accounts.read").status_code == 400


def test_taking_back_against_an_exchange_leaves_nothing_of_the_chain(db: None) -> None:
    chain: Chain = make_chain("bc")
    b, c = chain.links
    for _ in ROUNDS:
        token = chain.first()
        grant = DelegationGrant.objects.get(agent=chain.on.agent, resource=b.resource, revoked_at=None)
        answer, taken = at_once(
            partial(b.exchange, token, resource=c.resource.identifier, scope="accounts.read"),
            partial(revoke_grant, grant, by=BY, now=clock.now()),
        )
        assert taken is None and answer.status_code in (200, 400)
        assert live() == 0
        DelegationGrant.objects.filter(pk=grant.pk).update(revoked_at=None)


def test_taking_back_against_passing_on_leaves_no_child(door: Door) -> None:
    agent = kestrel(door)
    for _ in ROUNDS:
        parent = give(door, depth=1, **EVERYTHING)
        made, taken = at_once(
            partial(give, door, agent=agent, parent=parent, until_at=parent.until_at, **EVERYTHING),
            partial(revoke_grant, parent, by=BY, now=clock.now()),
        )
        assert isinstance(made, DelegationGrant | GrantRefused)
        if isinstance(taken, AlreadyDecided):  # it was passed on meanwhile: look again, then take back
            revoke_grant(parent, by=BY, now=clock.now())
        assert not DelegationGrant.objects.filter(parent=parent, revoked_at=None).exists()


def test_of_two_who_saw_the_same_grant_one_narrows_it(door: Door) -> None:
    grant = only(door, depth=2)

    def narrow(depth: int) -> None:
        narrow_grant(grant, less(grant, depth=depth), by=BY, now=clock.now(), seen_version=grant.version)

    outcomes = at_once(lambda: narrow(0), lambda: narrow(1))
    assert sorted(type(each).__name__ for each in outcomes) == ["GrantChanged", "NoneType"]
    assert len(entries("authorization.grant.narrowed")) == 1


def test_taking_back_against_narrowing_has_one_winner_or_both_in_order(door: Door) -> None:
    grant = only(door, depth=2)
    seen = grant.version
    outcomes = at_once(
        lambda: narrow_grant(grant, less(grant, depth=0), by=BY, now=clock.now(), seen_version=seen),
        lambda: revoke_grant(grant, by=BY, now=clock.now(), seen_version=seen),
    )
    assert sum(isinstance(each, AimsError) for each in outcomes) == 1
    assert any(isinstance(each, AlreadyDecided | GrantChanged) for each in outcomes)


def test_of_two_sweeps_one_tells_and_one_ends(door: Door) -> None:
    grant = give(door, until_at=clock.now() + timedelta(days=30), **EVERYTHING)
    DelegationGrant.objects.exclude(pk=grant.pk).update(revoked_at=clock.now())
    soon, end = grant.until_at - timedelta(days=1), grant.until_at
    assert sorted(at_once(lambda: warn_due(now=soon), lambda: warn_due(now=soon))) == [0, 1]
    assert sorted(at_once(lambda: expire_due(now=end), lambda: expire_due(now=end))) == [0, 1]
    assert len(entries("authorization.grant.expiring")) == len(entries("authorization.grant.expired")) == 1
    assert len(mail.outbox) == 1
