"""Registrations on two connections at once: each has one outcome, and the log tells the same. Spec: RFC 7591, RFC 7592."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from aims.authorization.client_errors import AwaitsAdmission
from aims.authorization.client_models import ClientRegistration
from aims.authorization.registration_states import RegistrationState
from aims.authorization.services import trust_rules
from aims.authorization.services.agents import resume_agent, suspend_agent
from aims.identifier.models import Agent
from aims.kit import clock
from aims.people.models import User
from tests.protocol.registration.desk import CALLBACK, Desk, jwks_of, new_key
from tests.protocol.registration.test_managing import admitted, row_of
from tests.support.oauth_client import BY
from tests.support.racing import ROUNDS, at_once
from tests.unit.authorization.entries import entries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("aims.authorization.urls")]
HERE, THERE = "https://app.example/here", "https://app.example/there"


def putting(held: dict[str, Any], **members: Any) -> Callable[[], Any]:
    desk = Desk()
    return lambda: desk.manage("PUT", held, desk.rewritten(held, **members))


def deleting(held: dict[str, Any]) -> Callable[[], Any]:
    return lambda: Desk().manage("DELETE", held)


def statuses(*verbs: Callable[[], Any]) -> list[int]:
    answers = at_once(*verbs)
    assert all(hasattr(answer, "status_code") for answer in answers), answers
    return [answer.status_code for answer in answers]


def counted() -> Counter[str]:
    """Return how often each kind of entry about clients and agents was written."""
    wanted = ("authorization.client.", "identifier.agent.")
    return Counter(entry["type"] for entry in entries() if entry["type"].startswith(wanted))


@pytest.mark.spec("RFC 7591", "3.2.1", "two equal requests at once are two clients, each with its own name and token")
def test_two_equal_registrations_are_two_clients() -> None:
    one, two = at_once(*[lambda: Desk().registered()] * 2)
    for name in ("client_id", "registration_access_token", "registration_client_uri"):
        assert one[name] != two[name]
    assert ClientRegistration.objects.count() == 2
    assert counted()["authorization.client.registered"] == 2
    assert Desk().manage("GET", one, token=two["registration_access_token"]).status_code == 401


@pytest.mark.spec("RFC 7591", "5", "of two clients with one key at once a rule admits one")
def test_one_key_is_admitted_once(ada: User) -> None:
    trust_rules.add_rule("redirect_host", "app.example", owner=ada, by=BY, now=clock.now())
    keys = jwks_of(new_key())
    at_once(*[lambda: Desk().registered(jwks=keys, token_endpoint_auth_method="private_key_jwt")] * 2)
    states = sorted(ClientRegistration.objects.values_list("state", flat=True))
    assert states == [RegistrationState.ADMITTED, RegistrationState.QUARANTINED]
    assert counted() == {
        "authorization.client.registered": 2, "authorization.client.admitted": 1, "identifier.agent.registered": 1,
    }  # fmt: skip


@pytest.mark.spec("RFC 7592", "2.2", "of two replacements at once one stands whole, and its agent is suspended once")
def test_two_replacements_come_one_after_the_other(ada: User) -> None:
    for _round in ROUNDS[:2]:
        held = Desk().registered()
        agent, before = admitted(held, ada), counted()
        told = statuses(putting(held, redirect_uris=[HERE]), putting(held, redirect_uris=[THERE]))
        assert told == [200, 200]
        row = row_of(held)
        assert row.metadata["redirect_uris"] in ([HERE], [THERE])
        assert row.admitted_metadata and row.admitted_metadata["redirect_uris"] == [CALLBACK]
        agent.refresh_from_db()
        assert (row.state, agent.state) == (RegistrationState.QUARANTINED, "suspended")
        assert counted() - before == {"authorization.client.changed": 2, "identifier.agent.suspended": 1}


@pytest.mark.spec(
    "RFC 7592", "2.3", "a replacement and the end at once: it ends, and is told that it was changed first or not"
)
def test_the_end_stands_whatever_is_replaced_at_once(ada: User) -> None:
    for _round in ROUNDS[:3]:
        held = Desk().registered()
        agent, before = admitted(held, ada), counted()
        replaced, ended = statuses(putting(held, redirect_uris=[HERE]), deleting(held))
        assert ended == 204 and replaced in (200, 401)
        agent.refresh_from_db()
        assert (row_of(held).state, agent.state) == (RegistrationState.WITHDRAWN, "retired")
        was_first = replaced == 200
        written = counted() - before
        assert written["authorization.client.withdrawn"] == written["identifier.agent.retired"] == 1
        assert written["authorization.client.changed"] == written["identifier.agent.suspended"] == int(was_first)


@pytest.mark.spec("RFC 7592", "2.3", "of two who end a registration at once one does")
def test_a_registration_ends_once(ada: User) -> None:
    held = Desk().registered()
    admitted(held, ada)
    before = counted()
    assert sorted(statuses(deleting(held), deleting(held))) == [204, 401]
    assert counted() - before == {"authorization.client.withdrawn": 1, "identifier.agent.retired": 1}


@pytest.mark.spec(
    "RFC 7592", "2.2", "an agent that is resumed while its registration changes does not act on the old terms"
)
def test_resuming_and_changing_at_once_leave_no_agent_at_work(ada: User) -> None:
    for _round in ROUNDS[:3]:
        held = Desk().registered()
        agent = admitted(held, ada)
        suspend_agent(agent, reason="It was noisy.", by=BY, now=clock.now())
        seen = Agent.objects.get(pk=agent.pk)
        resuming = lambda each=seen: resume_agent(each, reason="", by=BY, now=clock.now())  # noqa: E731
        changed, resumed = at_once(putting(held, redirect_uris=[HERE]), resuming)
        assert changed.status_code == 200 and (resumed is None or isinstance(resumed, AwaitsAdmission)), resumed
        agent.refresh_from_db()
        assert (row_of(held).state, agent.state) == (RegistrationState.QUARANTINED, "suspended")
