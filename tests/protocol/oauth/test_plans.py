"""A request that says what an earlier one said: answered from a plan, and nobody can tell, whatever changes meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.test import override_settings

from aims.authentication import private_key_jwt
from aims.authorization import authenticating, known_clients, target
from aims.authorization.client_models import ClientRegistration
from aims.authorization.endpoints import plans
from aims.authorization.models import AccessToken
from aims.authorization.services import own_behalf
from aims.authorization.services.clients import ClientSettings, configure_client
from aims.authorization.services.grants import NarrowGrant, narrow_grant, revoke_grant
from aims.credentials import services as credentials
from aims.credentials import signing
from aims.credentials.models import KeyPurpose, SigningKey
from aims.identifier import services as identifier
from aims.identifier.models import Agent
from aims.kit import clock, kept
from aims.kit import committer as kit
from aims.kit.ids import unb64url
from aims.policy import queries as policies
from aims.policy.services import load_policy
from tests.protocol.oauth.test_issuing import FORBID
from tests.support.dpop import Key
from tests.support.faces import FACES, READ, Face, in_threads
from tests.support.oauth_client import BY, PAY, POLICY, Machine, Stage
from tests.support.planned import (
    ISSUED,
    REFUSED,
    Seen,
    asks,
    claims_of,
    give,
    headers_of,
    lasting,
    lasting_entries,
    twin_of,
    warm,
)
from tests.unit.authorization.entries import entries

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.spec(
        "AIMS Console", "authorization", "what is kept of an answer grants nothing that the answer would not"
    ),
]


@pytest.mark.parametrize("face", FACES)
@pytest.mark.parametrize("is_bound", [False, True], ids=["bearer", "dpop"])
def test_nobody_can_tell_an_answer_by_a_plan_from_any_other(
    cold: Stage, seen: Seen, face: Face, is_bound: bool
) -> None:
    key = Key()

    ordinary, *others = [asks(cold.courier, face, dpop=key.proof() if is_bound else None) for _ in range(4)]
    assert seen.take() == [False, False, True, True]
    for answer in others:
        assert (answer.status, headers_of(answer)) == (200, headers_of(ordinary))
        assert (lasting(answer), list(claims_of(answer))) == (lasting(ordinary), list(claims_of(ordinary)))
        assert list(json.loads(answer.body)) == list(json.loads(ordinary.body))
    assert others[-1].headers["content-length"] == str(len(others[-1].body))
    written = lasting_entries()
    assert written == written[:1] * 4
    assert {row.jkt for row in AccessToken.objects.all()} == ({key.jkt} if is_bound else {""})
    issued = [row.jti for row in AccessToken.objects.order_by("pk")]
    assert issued == [claims_of(answer)["jti"] for answer in (ordinary, *others)]
    assert len(set(issued)) == 4


@pytest.mark.parametrize("face", FACES)
def test_whatever_says_anything_else_has_no_plan(planned: Stage, seen: Seen, face: Face) -> None:
    assert warm(planned.courier, seen, face)[-1]

    def signed(**more: str) -> str:
        return urlencode(planned.courier.signed(READ | more))

    assertion = planned.courier.assertion()
    told: list[tuple[str, dict[str, str], tuple[int, str]]] = [
        (signed(x="1"), {}, (200, "")),
        (signed(scope="accounts.read accounts.read"), {}, (200, "")),
        (signed(scope="payments.create"), {}, (400, "invalid_scope")),
        (urlencode(READ | planned.courier.signed({})), {}, (200, "")),
        (signed(), {"x-anything": "1"}, (200, "")),
        (signed(), {"host": "other.example"}, (200, "")),
        (signed(), {"dpop": Key().proof()}, (200, "")),
        (signed(), {"content-type": "text/plain"}, (415, "invalid_request")),
        (signed(), {"authorization": "Basic eDp5"}, (400, "invalid_request")),
        (signed(client_id="somebody"), {}, (401, "invalid_client")),
        (f"{signed()}&client_assertion={assertion}", {}, (400, "invalid_request")),
        (f"{signed()}&client%5Fassertion={assertion}", {}, (400, "invalid_request")),
        (f"client_assertion={assertion}&{signed()}", {}, (400, "invalid_request")),
        (signed().replace("client_assertion=ey", "client_assertion=%65y"), {}, (200, "")),
        (signed().replace("client_assertion=", "xclient_assertion="), {}, (401, "invalid_client")),
        (signed().replace("client_assertion=", "client_assertion=+"), {}, (401, "invalid_client")),
    ]
    for body, headers, expected in told:
        assert face(body.encode(), headers).error == expected, body
        assert not any(seen.take()), body
    assert warm(planned.courier, seen, face)[-1]
    assert asks(planned.courier, face, user_agent="another", x_request_id="7").status == 200
    assert seen.take() == [True]


def test_each_agent_has_a_plan_of_its_own(planned: Stage, seen: Seen) -> None:
    other = twin_of(planned, "other")
    assert warm(other, seen) == [False, False, True]
    assert [claims_of(asks(machine))["sub"] for machine in (planned.courier, other)] == [
        planned.courier.client_id,
        other.client_id,
    ]
    assert seen.take() == [True, True]


def forbid(on: Stage) -> None:
    load_policy(FORBID, by=BY, now=clock.now())


def revoke(on: Stage) -> None:
    revoke_grant(on.agent.grants.get(), by=BY, now=clock.now())


def narrow(on: Stage) -> None:
    grant = on.agent.grants.get()
    terms = NarrowGrant(actions=("drafts.write",), detail_types=(), until_at=grant.until_at, budget={}, depth=0)
    narrow_grant(grant, terms, by=BY, now=clock.now())


def replace_keys(on: Stage) -> None:
    credentials.register_keys(on.agent.ref, Machine("other").jwks, by=BY, now=clock.now())


def harden(on: Stage) -> None:
    action = identifier.ActionSpec(name="accounts.read", title="Read accounts", reversibility="irreversible")
    command = identifier.RegisterResource(identifier=PAY, name="Pay", actions=(action,))
    identifier.update_resource(on.pay, command, by=BY, now=clock.now())


def demand_a_key(on: Stage) -> None:
    configure_client(on.agent, ClientSettings(dpop_bound=True), by=BY, now=clock.now())


def demand_a_certificate(on: Stage) -> None:
    told = ClientSettings(auth_method="self_signed_tls_client_auth")
    configure_client(on.agent, told, by=BY, now=clock.now())


def admit_without_the_grant(on: Stage) -> None:
    row = ClientRegistration(agent=on.agent, client_id=on.courier.client_id, kind="dynamic", state="admitted")
    row.metadata = row.admitted_metadata = {"grant_types": ["authorization_code"]}
    row.state_since_at = row.registered_at = clock.now()
    row.save()
    Agent.objects.filter(pk=on.agent.pk).update(version=99)


def suspend(on: Stage) -> None:
    identifier.suspend(on.agent, reason="t", by=BY, now=clock.now())


def retire(on: Stage) -> None:
    identifier.retire(on.agent, reason="t", by=BY, now=clock.now())


def retire_resource(on: Stage) -> None:
    identifier.retire_resource(on.pay, by=BY, now=clock.now())


CHANGES = [
    (suspend, (401, "invalid_client")),
    (retire, (401, "invalid_client")),
    (replace_keys, (401, "invalid_client")),
    (revoke, (400, "access_denied")),
    (narrow, (400, "access_denied")),
    (forbid, (400, "access_denied")),
    (retire_resource, (400, "invalid_target")),
    (harden, (400, "invalid_scope")),
    (demand_a_key, (400, "invalid_dpop_proof")),
    (demand_a_certificate, (401, "invalid_client")),
    (admit_without_the_grant, (400, "unauthorized_client")),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_a_change_of_anything_that_it_was_made_of_counts_for_the_very_next_token(
    planned: Stage, seen: Seen, change: Callable[[Stage], None], expected: tuple[int, str]
) -> None:
    change(planned)
    assert asks(planned.courier).error == expected
    assert seen.take() == [True]
    assert AccessToken.objects.count() == 3
    assert len(entries(REFUSED)) == (change is not replace_keys)  # by whom nobody knows, with another's key
    assert asks(planned.courier, in_threads).error == expected


def test_what_has_changed_and_refuses_nobody_is_in_the_very_next_entry(planned: Stage, seen: Seen) -> None:
    before = lasting(asks(planned.courier))
    more = '\n@id("more") permit (principal, action, resource);'
    policy = load_policy(POLICY + more, by=BY, now=clock.now())
    for _ in range(4):
        assert lasting(asks(planned.courier)) == before
        said = entries(ISSUED)[-1]["data"]
        assert (said["policy_version"], "more" in said["policies"]) == (policy.number, True)
    assert seen.take() == [True, True, False, True, True]


@pytest.mark.parametrize("face", FACES)
def test_a_plan_ends_with_the_memory_of_whatever_was_read_for_it(planned: Stage, seen: Seen, face: Face) -> None:
    for memory in (
        private_key_jwt._known, authenticating._known, known_clients._held, target._known, own_behalf._known, policies._known,
    ):  # fmt: skip
        assert warm(planned.courier, seen, face)[-1]
        memory.forget()
        assert asks(planned.courier, face).status == 200
        assert seen.take() == [False], memory


def test_a_plan_is_a_minute_old_at_most_with_what_it_was_made_of(
    planned: Stage, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = next(iter(plans._plans._values.values()))[1]
    assert plan.sources.are_current()
    later = time.monotonic() + kept.KEPT_S
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not plan.sources.are_current()


def test_a_plan_ends_with_the_first_of_its_grants(planned: Stage, seen: Seen) -> None:
    """Shorter than memory lasts: the moment itself decides, no version. And no token outlives its grant."""
    planned.agent.grants.update(until_at=clock.now() + timedelta(seconds=30))
    Agent.objects.filter(pk=planned.agent.pk).update(version=99)
    warm(planned.courier, seen)
    with clock.shifted(timedelta(seconds=10)):
        assert claims_of(asks(planned.courier))["exp"] <= planned.agent.grants.get().until_at.timestamp()
    assert seen.take() == [True]
    with clock.shifted(timedelta(seconds=29)):  # in its last two seconds a grant allows nothing new
        assert asks(planned.courier).error == (400, "access_denied")
    assert seen.take() == [False]


def test_a_token_by_a_plan_is_signed_with_the_key_of_now(planned: Stage, seen: Seen) -> None:
    SigningKey.objects.filter(purpose=KeyPurpose.ACCESS_TOKEN).update(state=SigningKey.State.RETIRED)
    credentials.ensure_signing_keys(clock.now())
    signing.forget()
    answers = [asks(planned.courier) for _ in range(3)]  # the first reads the key from the database, in a thread
    assert seen.take()[-1]
    kids = {json.loads(unb64url(json.loads(answer.body)["access_token"].split(".")[0]))["kid"] for answer in answers}
    assert kids == {SigningKey.objects.get(purpose=KeyPurpose.ACCESS_TOKEN, state=SigningKey.State.SIGNING).kid}


def test_what_is_metered_or_answered_with_a_nonce_has_no_plan(cold: Stage, seen: Seen) -> None:
    give(cold.agent, cold, until_at=clock.now() + timedelta(days=2), budget={"count": 50})
    assert not any(warm(cold.courier, seen))
    with override_settings(DPOP_NONCE=True):
        nonce = asks(cold.courier, dpop=Key().proof()).headers["dpop-nonce"]
        for _ in range(4):
            given = asks(cold.courier, dpop=Key().proof(nonce=nonce))
            assert (given.status, "dpop-nonce" in given.headers) == (200, True)
    assert not any(seen.take())


def test_a_setting_that_changes_ends_every_plan(planned: Stage) -> None:
    with override_settings(FAPI=True):
        assert asks(planned.courier).error == (400, "invalid_dpop_proof")


def test_while_nothing_can_be_written_no_signature_is_verified_for_a_plan(
    planned: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "QUEUE_MAX", 0)
    for face in FACES:
        answer = asks(Machine(planned.courier.client_id), face)
        assert (answer.error, answer.headers["retry-after"]) == ((503, "temporarily_unavailable"), "1")


def test_the_memory_of_plans_is_bounded(planned: Stage, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans._plans, "_most", 2)
    for number in range(4):
        assert asks(planned.courier, form=READ | {"x": str(number)}).status == 200
        assert len(plans._plans._values) <= 2
    seen.take()
    assert warm(planned.courier, seen, form=READ | {"x": "y" * plans.SAID_MAX_BYTES}) == [False] * 3
