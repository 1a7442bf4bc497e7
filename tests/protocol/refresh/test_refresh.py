"""Refresh tokens: one use each, whose family ends where one is used twice. Spec: RFC 6749 §6, RFC 9700 §4.14.2."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.impact import impact_of, revoking
from aims.authorization.models import AccessToken, Application, DelegationGrant, RefreshToken
from aims.authorization.services import agents as stopping
from aims.authorization.services import families
from aims.authorization.services.grants import NarrowGrant, narrow_grant, revoke_grant
from aims.authorization.services.refreshing import FAMILY_LIFE, IDLE
from aims.kit import clock
from aims.kit.ids import digest
from aims.people import services as people
from tests.protocol.token_exchange.test_exchange import Chain, grant, link
from tests.support.codes import Agreed, agreed, claims, error, granted, introspected
from tests.support.dpop import Key
from tests.support.oauth_client import BY, PAY, stage
from tests.unit.authorization.entries import entries

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
BCP = "RFC 9700"
BOTH = "openid offline_access accounts.read accounts.list"


@pytest.fixture
def ada(db: None) -> Agreed:
    return agreed(stage())


def started(ada: Agreed, **changed: Any) -> dict[str, Any]:
    return granted(ada.redeem(ada.code(**changed)))


@pytest.mark.spec("RFC 6749", "6", "a refresh token gets an access token for the same, and its successor")
def test_a_refresh_token_is_replaced_by_its_use(ada: Agreed) -> None:
    first = started(ada)
    second = granted(ada.refresh(first["refresh_token"]))
    third = granted(ada.refresh(second["refresh_token"]))
    assert len({each["refresh_token"] for each in (first, second, third)}) == 3
    said = [claims(each["access_token"]) for each in (first, second, third)]
    for name in ("sub", "aud", "scope", "txn", "auth_time", "acr"):
        assert len({each[name] for each in said}) == 1
    assert introspected(ada, third["access_token"])["active"]
    assert "id_token" not in second  # nobody signed in


@pytest.mark.spec(BCP, "4.14.2", "refresh tokens are stored as hashes")
def test_only_the_hash_is_stored(ada: Agreed) -> None:
    token = started(ada)["refresh_token"]
    (row,) = RefreshToken.objects.values()
    assert (row["token"], row["token_checksum"]) == ("", digest(token))
    assert token not in str(entries())


@pytest.mark.spec(BCP, "4.14.2", "a second use ends the family: tokens, successors, and what was exchanged for them")
def test_reuse_ends_the_whole_family(db: None) -> None:
    ada = agreed(stage())
    chain = Chain(ada.on, [link(ada.on, "b"), link(ada.on, "c")])
    b, c = chain.links
    grant(ada.on, ada.on.agent, b.resource)
    grant(ada.on, b.agent, c.resource)
    mine = DelegationGrant.objects.get(resource=b.resource)
    first = started(ada, grant=mine, resource=b.resource.identifier, scope=BOTH)
    below = granted(b.exchange(first["access_token"], resource=c.resource.identifier, scope="accounts.read"))
    second = granted(ada.refresh(first["refresh_token"]))
    assert error(ada.refresh(first["refresh_token"])) == "invalid_grant"
    assert not AccessToken.objects.filter(revoked_at=None).exists()
    assert AccessToken.objects.get(token_checksum=digest(below["access_token"])).revoked_at is not None
    assert error(ada.refresh(second["refresh_token"])) == "invalid_grant"
    (reused,), (ended,) = entries("authorization.refresh_token.reused"), entries("authorization.family.ended")
    assert (ended["data"]["reason"], ended["data"]["tokens"]) == ("refresh_token_reused", 3)
    assert reused["subject"] == ada.on.ada.ref


@pytest.mark.parametrize(
    ("form", "code"),
    [
        pytest.param({"scope": "accounts.read drafts.write"}, "invalid_scope", id="a wider scope"),
        pytest.param({"scope": "profile"}, "invalid_scope", id="an identity scope more"),
        pytest.param({"resource": "https://other.example/"}, "invalid_target", id="another resource"),
        pytest.param({"authorization_details": "[]"}, "invalid_authorization_details", id="no details"),
        pytest.param({"authorization_details": '[{"type":"x"}]'}, "invalid_authorization_details", id="other details"),
        pytest.param({"refresh_token": ["a", "b"]}, "invalid_request", id="twice"),
        pytest.param({"refresh_token": None}, "invalid_request", id="missing"),
        pytest.param({"refresh_token": "x" * 5000}, "invalid_grant", id="unknown and long"),
    ],
)
@pytest.mark.spec("RFC 6749", "6", "a refresh never widens, and a refused one does not use the token up")
def test_what_is_refused_uses_nothing_up(ada: Agreed, form: dict[str, Any], code: str) -> None:
    token = started(ada)["refresh_token"]
    assert error(ada.refresh(**({"token": token} | form))) == code
    granted(ada.refresh(token))


@pytest.mark.spec("RFC 6749", "6", "a narrower token leaves the next refresh as wide as what was agreed to")
def test_scope_and_resource_narrow_one_token_only(db: None) -> None:
    ada = agreed(stage())
    first = started(ada, scope="openid offline_access accounts.read")
    narrow = granted(ada.refresh(first["refresh_token"], resource="http://localhost:8000/oauth/userinfo"))
    assert claims(narrow["access_token"])["scope"] == "openid"
    wide = granted(ada.refresh(narrow["refresh_token"]))
    assert (claims(wide["access_token"])["aud"], wide["scope"]) == (PAY, "accounts.read")


@pytest.mark.spec("RFC 9449", "5", "a refresh token of a bound code wants the same key")
def test_a_bound_family_wants_its_key(ada: Agreed) -> None:
    key = Key()
    first = granted(ada.redeem(ada.code(jkt=key.jkt), dpop=key.proof()))
    assert error(ada.refresh(first["refresh_token"])) == "invalid_grant"
    assert error(ada.refresh(first["refresh_token"], dpop=Key().proof())) == "invalid_grant"
    assert error(ada.refresh(first["refresh_token"], dpop=key.proof(htm="GET"))) == "invalid_dpop_proof"
    second = granted(ada.refresh(first["refresh_token"], dpop=key.proof()))
    assert claims(second["access_token"])["cnf"] == {"jkt": key.jkt}


@pytest.mark.spec("RFC 9700", "4.14.2", "who has only seen a used token, and not the key, ends nothing with it")
def test_a_thief_without_the_key_ends_nothing(ada: Agreed) -> None:
    key = Key()
    first = granted(ada.redeem(ada.code(jkt=key.jkt), dpop=key.proof()))
    second = granted(ada.refresh(first["refresh_token"], dpop=key.proof()))
    assert error(ada.refresh(first["refresh_token"], dpop=Key().proof())) == "invalid_grant"
    granted(ada.refresh(second["refresh_token"], dpop=key.proof()))


def test_a_client_that_authenticates_may_change_its_key(ada: Agreed) -> None:
    first = granted(ada.redeem(ada.code(), dpop=Key().proof()))
    key = Key()
    second = granted(ada.refresh(first["refresh_token"], dpop=key.proof()))
    assert claims(second["access_token"])["cnf"] == {"jkt": key.jkt}


def test_a_refresh_token_ends_where_nobody_uses_it_and_with_its_grant(ada: Agreed) -> None:
    token = started(ada)["refresh_token"]
    row, until = RefreshToken.objects.get(), DelegationGrant.objects.get().until_at
    assert row.expires_at == until  # a day, sooner than two weeks
    DelegationGrant.objects.update(until_at=clock.now() + timedelta(days=90))
    second = granted(ada.refresh(token))
    newest = RefreshToken.objects.latest("pk")
    assert newest.expires_at is not None
    assert abs(newest.expires_at - (clock.now() + IDLE)) < timedelta(minutes=1)
    RefreshToken.objects.filter(used_at=None).update(expires_at=clock.now())
    assert error(ada.refresh(second["refresh_token"])) == "invalid_grant"
    assert IDLE < FAMILY_LIFE


def _revoke(ada: Agreed) -> None:
    revoke_grant(DelegationGrant.objects.get(), by=BY, now=clock.now())


def _narrow(ada: Agreed) -> None:
    row = DelegationGrant.objects.get()
    terms = NarrowGrant(actions=("drafts.write",), detail_types=(), until_at=row.until_at, budget={}, depth=0)
    narrow_grant(row, terms, by=BY, now=clock.now())


def _suspend(ada: Agreed) -> None:
    stopping.suspend_agent(ada.on.agent, reason="test", by=BY, now=clock.now())
    stopping.resume_agent(ada.on.agent, reason="test", by=BY, now=clock.now())


def _deactivate(ada: Agreed) -> None:
    people.create_person(email="adm@acme.example", name="Adm", by=BY, now=clock.now())
    people.deactivate(ada.on.ada, by=BY, now=clock.now())
    families.end_orphaned(now=clock.now())
    people.reactivate(ada.on.ada, by=BY, now=clock.now())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_revoke, "grant_revoked"),
        (_narrow, "grant_narrowed"),
        (_suspend, "agent_suspended"),
        (_deactivate, "person_deactivated"),
    ],
)
@pytest.mark.spec("draft-klrc-aiagent-auth", "10.7", "a family ends with what it stands on, and stays ended")
def test_a_family_ends_with_what_it_stands_on(ada: Agreed, change: Any, reason: str) -> None:
    first, unused = started(ada), ada.code()
    change(ada)
    assert error(ada.refresh(first["refresh_token"])) == "invalid_grant"
    assert introspected(ada, first["access_token"]) == {"active": False}
    assert error(ada.redeem(unused)) == "invalid_grant"
    ended = entries("authorization.family.ended")
    assert [each["data"]["reason"] for each in ended] == [reason] * 2  # the code that was not redeemed is one too


def test_a_person_who_is_shut_out_stops_everything_before_the_sweep(ada: Agreed) -> None:
    first = started(ada)
    people.deactivate(ada.on.ada, by=BY, now=clock.now())
    assert introspected(ada, first["access_token"]) == {"active": False}
    assert error(ada.refresh(first["refresh_token"])) == "invalid_grant"


def test_a_family_outlives_a_narrowing_that_leaves_it_what_it_has(ada: Agreed) -> None:
    first, row = started(ada), DelegationGrant.objects.get()
    terms = NarrowGrant(actions=("accounts.read",), detail_types=(), until_at=row.until_at, budget={}, depth=0)
    narrow_grant(row, terms, by=BY, now=clock.now())
    granted(ada.refresh(first["refresh_token"]))


def test_the_preview_counts_the_families_that_end(ada: Agreed) -> None:
    started(ada)
    impact = impact_of(revoking(DelegationGrant.objects.get()), now=clock.now())
    assert (len(impact.families), len(impact.tokens)) == (1, 1)


@pytest.mark.parametrize("hint", [None, "refresh_token", "access_token", "unheard-of"])
@pytest.mark.spec("RFC 7009", "2.1", "revoking a refresh token ends its access tokens; a hint never limits the search")
def test_revoking_a_refresh_token_ends_its_family(ada: Agreed, hint: str | None) -> None:
    first = started(ada)
    second = granted(ada.refresh(first["refresh_token"]))
    form = {"token": second["refresh_token"]} | ({"token_type_hint": hint} if hint else {})
    granted(ada.on.courier.post("/oauth/revoke", ada.on.courier.signed(form)))
    assert introspected(ada, second["access_token"]) == {"active": False}
    assert error(ada.refresh(second["refresh_token"])) == "invalid_grant"
    (ended,) = entries("authorization.family.ended")
    assert (ended["data"]["reason"], ended["by"]) == ("revoked_by_client", ada.on.courier.client_id)


@pytest.mark.spec("RFC 7009", "2.1", "an access token is revoked alone; its family goes on")
def test_revoking_an_access_token_leaves_the_family(ada: Agreed) -> None:
    first = started(ada)
    form = {"token": first["access_token"], "token_type_hint": "refresh_token"}
    granted(ada.on.courier.post("/oauth/revoke", ada.on.courier.signed(form)))
    assert introspected(ada, first["access_token"]) == {"active": False}
    granted(ada.refresh(first["refresh_token"]))


@pytest.mark.spec("RFC 7662", "2.2", "a refresh token is nothing to a resource server")
def test_a_refresh_token_is_never_active_at_introspection(ada: Agreed) -> None:
    assert introspected(ada, started(ada)["refresh_token"]) == {"active": False}


def test_a_refresh_token_can_be_neither_exchanged_nor_used_as_a_code(ada: Agreed) -> None:
    token = started(ada)["refresh_token"]
    assert error(ada.redeem(token)) == "invalid_grant"
    assert error(ada.refresh(ada.code())) == "invalid_grant"


def test_a_client_that_did_not_register_the_grant_may_not_refresh(ada: Agreed) -> None:
    token = started(ada)["refresh_token"]
    Application.objects.update(grant_types=["authorization_code"])
    assert error(ada.refresh(token)) == "unauthorized_client"
