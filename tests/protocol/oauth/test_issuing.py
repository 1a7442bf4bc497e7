"""Tokens issued from memory: what changed in the database is never issued under."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

import pytest

from aims.authorization.models import AccessToken
from aims.authorization.services.grants import revoke_grant
from aims.credentials import services as credentials
from aims.credentials.models import KeySource
from aims.identifier import services as identifier
from aims.identifier.models import Agent
from aims.kit import clock
from aims.policy.services import load_policy
from tests.support.oauth_client import BY, PAY, POLICY, Machine, Stage, stage

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
FORBID = '@id("nobody") forbid (principal, action, resource);'


@pytest.fixture
def on(db: None) -> Stage:
    """A stage whose first token has put everything into this process's memory."""
    played = stage()
    assert played.courier.token(scope="accounts.read").status_code == 200
    return played


def suspend(on: Stage) -> None:
    identifier.suspend(on.agent, reason="test", by=BY, now=clock.now())


def revoke(on: Stage) -> None:
    revoke_grant(on.agent.grants.get(), by=BY, now=clock.now())


def replace_keys(on: Stage) -> None:
    credentials.register_keys(on.agent.ref, Machine("x").jwks, by=BY, now=clock.now())


def retire(on: Stage) -> None:
    identifier.retire_resource(on.pay, by=BY, now=clock.now())


def harden(on: Stage) -> None:
    action = identifier.ActionSpec(name="accounts.read", title="Read accounts", reversibility="irreversible")
    command = identifier.RegisterResource(identifier=PAY, name="Pay", actions=(action,))
    identifier.update_resource(on.pay, command, by=BY, now=clock.now())


def forbid(on: Stage) -> None:
    load_policy(FORBID, by=BY, now=clock.now())


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (suspend, 401, "invalid_client"),
        (revoke, 400, "access_denied"),
        (replace_keys, 401, "invalid_client"),
        (retire, 400, "invalid_target"),
        (harden, 400, "invalid_scope"),
        (forbid, 400, "access_denied"),
    ],
)
@pytest.mark.spec("AIMS Console", "authorization", "revocation is in the commit, not in the memory")
def test_what_has_changed_refuses_the_very_next_token(
    on: Stage, change: Callable[[Stage], None], status: int, code: str
) -> None:
    change(on)
    answer = on.courier.token(scope="accounts.read")
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert AccessToken.objects.count() == 1


def test_what_memory_would_refuse_is_asked_of_the_database(on: Stage) -> None:
    load_policy(FORBID, by=BY, now=clock.now())
    assert on.courier.token(scope="accounts.read").status_code == 400
    load_policy(POLICY, by=BY, now=clock.now())
    assert on.courier.token(scope="accounts.read").status_code == 200


def test_a_remembered_client_needs_its_own_signature_and_a_fresh_proof(on: Stage) -> None:
    thief = Machine(on.courier.client_id)
    assert thief.token(scope="accounts.read").status_code == 401
    form = on.courier.signed({"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"})
    assert [on.courier.post("/oauth/token", form).status_code for _ in range(2)] == [200, 401]


def test_a_grant_that_ended_by_time_is_not_used_from_memory(on: Stage) -> None:
    # Shorter than memory lasts: the moment itself decides, no version.
    on.agent.grants.update(until_at=clock.now() + timedelta(seconds=20))
    Agent.objects.filter(pk=on.agent.pk).update(version=99)
    assert on.courier.token(scope="accounts.read").status_code == 200
    with clock.shifted(timedelta(seconds=30)):
        assert on.courier.token(scope="accounts.read").status_code == 400


def _answering(jwks: object) -> Callable[[str], bytes]:
    return lambda uri: json.dumps(jwks).encode()


def test_other_keys_at_a_jwks_uri_are_a_change_of_the_agent(on: Stage) -> None:
    KeySource.objects.create(holder_ref=on.agent.ref, jwks_uri="https://keys.example/jwks")
    versions = []
    published = (Machine("a").jwks, Machine("b").jwks)
    for minute, jwks in enumerate((published[0], published[0], published[1])):
        now = clock.now() + timedelta(minutes=2 * minute)
        assert credentials.refresh_source(on.agent.ref, now=now, get=_answering(jwks))
        versions.append(Agent.objects.get(pk=on.agent.pk).version)
    assert versions[0] == versions[1] < versions[2]
