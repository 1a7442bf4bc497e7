"""Redeeming a code at the token endpoint: whose it is, with what proof, and once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.errors import InvalidGrant
from aims.authorization.models import (
    AccessToken,
    Application,
    AuthorizationCode,
    DelegationGrant,
    GrantUse,
    RefreshToken,
)
from aims.authorization.services.agents import suspend_agent
from aims.authorization.services.grants import NarrowGrant, narrow_grant, revoke_grant
from aims.authorization.services.metering import set_limits
from aims.authorization.services.redeeming import AT_ONCE, Redemption, redeem_code
from aims.credentials import services as credentials
from aims.identifier import services as identifier
from aims.kit import clock
from aims.kit.ids import digest
from aims.policy.services import load_policy
from tests.protocol.refresh.test_races import ALL, client_of
from tests.support.codes import CODE, REDIRECT, Agreed, agreed, claims, error, granted, introspected
from tests.support.dpop import Key
from tests.support.oauth_client import BY, PAY, POLICY, Machine, Stage, payment, stage
from tests.unit.authorization.entries import entries

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
RFC = "RFC 6749"


@pytest.fixture
def ada(db: None) -> Agreed:
    return agreed(stage())


@pytest.mark.spec(RFC, "4.1.3", "a code is redeemed for what the person agreed to")
def test_a_code_becomes_a_token_that_speaks_for_the_person(ada: Agreed) -> None:
    body = granted(ada.redeem(ada.code()))
    said, row = claims(body["access_token"]), AuthorizationCode.objects.get()
    assert (said["sub"], said["client_id"], said["aud"]) == (ada.on.ada.ref, ada.on.courier.client_id, PAY)
    assert (said["scope"], said["txn"], said["acr"]) == ("accounts.read", row.txn, "phr")
    assert row.auth_time is not None
    assert said["auth_time"] == int(row.auth_time.timestamp())
    assert set(body) == {
        "access_token", "token_type", "expires_in", "scope", "refresh_token", "id_token",
    }  # fmt: skip
    (entry,) = entries("authorization.token.issued")
    assert (entry["subject"], entry["action"], entry["txn"]) == (ada.on.ada.ref, "accounts.read", row.txn)
    assert GrantUse.objects.get().grant == row.grant


@pytest.mark.spec("RFC 7662", "2.2", "introspection shows a person's token with who signed in and how")
def test_the_resource_server_sees_whose_token_it_is(ada: Agreed) -> None:
    body = granted(ada.redeem(ada.code()))
    seen, said = introspected(ada, body["access_token"]), claims(body["access_token"])
    assert seen["active"]
    assert {name: seen[name] for name in said} == said


@pytest.mark.spec(RFC, "4.1.2", "a second use is denied and ends what the first one made")
def test_a_second_use_fails_and_ends_the_family(ada: Agreed) -> None:
    code = ada.code()
    first = granted(ada.redeem(code))
    AuthorizationCode.objects.update(consumed_at=clock.now() - AT_ONCE - timedelta(seconds=1))
    assert error(ada.redeem(code)) == "invalid_grant"
    assert introspected(ada, first["access_token"]) == {"active": False}
    assert error(ada.refresh(first["refresh_token"])) == "invalid_grant"
    (reused,), (ended,) = entries("authorization.code.reused"), entries("authorization.family.ended")
    assert (ended["data"]["reason"], ended["data"]["tokens"]) == ("code_reused", 1)
    assert reused["data"]["code"] == ended["data"]["code"] == AuthorizationCode.objects.get().ref


def test_a_second_use_after_its_minute_still_ends_the_family(ada: Agreed) -> None:
    code = ada.code()
    first = granted(ada.redeem(code))
    long_ago = clock.now() - timedelta(hours=1)
    AuthorizationCode.objects.update(expires=long_ago, consumed_at=long_ago)
    assert error(ada.redeem(code)) == "invalid_grant"
    assert introspected(ada, first["access_token"]) == {"active": False}


@pytest.mark.spec(RFC, "4.1.2", "a client that sends its request twice at once is refused, and loses nothing")
def test_the_same_request_again_at_once_ends_nothing(ada: Agreed) -> None:
    code = ada.code()
    first = granted(ada.redeem(code))
    assert error(ada.redeem(code)) == "invalid_grant"
    assert introspected(ada, first["access_token"])["active"]
    assert AccessToken.objects.count() == 1


@pytest.mark.spec(RFC, "4.1.2", "a second use within 2 seconds ends nothing, a moment later it ends the family")
@pytest.mark.parametrize(("later", "live"), [(AT_ONCE, True), (AT_ONCE + timedelta(microseconds=1), False)])
def test_at_once_is_two_seconds_and_not_a_moment_more(ada: Agreed, rf: Any, later: timedelta, live: bool) -> None:
    assert timedelta(seconds=2) == AT_ONCE
    code = ada.code()
    first = granted(ada.redeem(code))
    used_at = AuthorizationCode.objects.get().consumed_at
    assert used_at is not None
    asked = Redemption(code=code, redirect_uri=REDIRECT, code_verifier=ada.verifier, narrower=ALL)
    client = client_of(ada.on.courier, rf)
    if live:
        with pytest.raises(InvalidGrant):
            redeem_code(client, asked, now=used_at + later)
    else:
        assert isinstance(redeem_code(client, asked, now=used_at + later), InvalidGrant)
    assert introspected(ada, first["access_token"])["active"] is live
    assert len(entries("authorization.code.reused")) == int(not live)


@pytest.mark.spec("RFC 9700", "4.5.3", "who has only seen a used code can end nothing with it")
def test_a_thief_without_the_verifier_ends_nothing(ada: Agreed) -> None:
    code = ada.code()
    first = granted(ada.redeem(code))
    assert error(ada.redeem(code, code_verifier="x" * 43)) == "invalid_grant"
    assert introspected(ada, first["access_token"])["active"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        pytest.param({"code_verifier": "y" * 43}, "invalid_grant", id="another verifier"),
        pytest.param({"code_verifier": None}, "invalid_request", id="no verifier"),
        pytest.param({"code_verifier": "x" * 42}, "invalid_request", id="a verifier too short"),
        pytest.param({"code_verifier": "x" * 129}, "invalid_request", id="a verifier too long"),
        pytest.param({"code_verifier": "é" * 43}, "invalid_request", id="a verifier of other characters"),
        pytest.param({"redirect_uri": "https://courier.example/cb/"}, "invalid_grant", id="another redirect_uri"),
        pytest.param({"redirect_uri": None}, "invalid_grant", id="no redirect_uri"),
        pytest.param({"code": "x" * 43}, "invalid_grant", id="an unknown code"),
        pytest.param({"code": None}, "invalid_request", id="no code"),
        pytest.param({"resource": "https://other.example/"}, "invalid_target", id="another resource"),
        pytest.param({"resource": [PAY, "https://other.example/"]}, "invalid_target", id="a resource more"),
        pytest.param({"authorization_details": payment()}, "invalid_authorization_details", id="details more"),
        pytest.param({"authorization_details": "{"}, "invalid_authorization_details", id="details that are none"),
    ],
)
@pytest.mark.spec("RFC 7636", "4.6", "whatever does not fit the code is refused, and does not burn it")
def test_what_does_not_fit_is_refused_and_burns_nothing(ada: Agreed, changed: dict[str, Any], code: str) -> None:
    good = ada.code()
    assert error(ada.redeem(**({"code": good} | changed))) == code
    assert not AccessToken.objects.exists()
    granted(ada.redeem(good))


def test_the_reference_and_the_hash_of_a_code_buy_nothing(ada: Agreed) -> None:
    code = ada.code()
    for tried in (AuthorizationCode.objects.get().ref, digest(code)):
        assert error(ada.redeem(tried)) == "invalid_grant"


@pytest.mark.spec(RFC, "4.1.3", "a code was issued to the client that redeems it")
def test_another_client_can_neither_use_nor_burn_it(ada: Agreed) -> None:
    now, other = clock.now(), Machine("spiffe://acme.example/other")
    agent = identifier.register_agent(
        identifier.RegisterAgent(
            identifier=other.client_id, name="Other", purpose="-", contact="a@b.example", owner=ada.on.ada
        ),
        by=BY,
        now=now,
    )
    credentials.register_keys(agent.ref, other.jwks, by=BY, now=now)
    code = ada.code()
    form = {"grant_type": CODE, "code": code, "redirect_uri": "https://courier.example/cb"}
    unregistered = other.post("/oauth/token", other.signed(form | {"code_verifier": ada.verifier}))
    assert error(unregistered) == "unauthorized_client"
    stranger = agreed(Stage(ada.on.ada, agent, ada.on.pay, other, ada.on.server))
    stranger.verifier = ada.verifier
    assert error(stranger.redeem(code)) == "invalid_grant"
    granted(ada.redeem(code))
    assert error(stranger.redeem(code)) == "invalid_grant"
    assert AuthorizationCode.objects.get().ended_at is None  # a stranger's second use is no second use


@pytest.mark.spec(RFC, "4.1.2", "a code that has expired is refused")
def test_an_expired_code_is_refused(ada: Agreed) -> None:
    code = ada.code()
    AuthorizationCode.objects.update(expires=clock.now())
    assert error(ada.redeem(code)) == "invalid_grant"


@pytest.mark.spec("RFC 9449", "10", "a code bound to a key is redeemed with that key alone")
def test_a_code_bound_to_a_key_wants_that_key(ada: Agreed) -> None:
    key = Key()
    code = ada.code(jkt=key.jkt)
    assert error(ada.redeem(code)) == "invalid_grant"
    assert error(ada.redeem(code, dpop=Key().proof())) == "invalid_grant"
    body = granted(ada.redeem(code, dpop=key.proof()))
    assert body["token_type"] == "DPoP"
    assert claims(body["access_token"])["cnf"] == {"jkt": key.jkt}


@pytest.mark.spec("RFC 9449", "8", "a proof that is refused costs no code")
def test_a_bad_proof_does_not_burn_the_code(ada: Agreed) -> None:
    code, key = ada.code(), Key()
    assert error(ada.redeem(code, dpop=key.proof(htm="GET"))) == "invalid_dpop_proof"
    used = key.proof()
    ada.on.courier.post("/oauth/token", ada.on.courier.signed({"grant_type": "x"}), headers={"DPoP": used})
    assert error(ada.redeem(code, dpop=used)) == "invalid_dpop_proof"
    granted(ada.redeem(code, dpop=key.proof()))


def _suspended(ada: Agreed) -> str:
    suspend_agent(ada.on.agent, reason="test", by=BY, now=clock.now())
    return "invalid_client"


def _shut_out(ada: Agreed) -> str:
    type(ada.on.ada).objects.filter(pk=ada.on.ada.pk).update(is_active=False)
    return "invalid_grant"


def _revoked(ada: Agreed) -> str:
    revoke_grant(DelegationGrant.objects.get(), by=BY, now=clock.now())
    return "invalid_grant"


def _run_out(ada: Agreed) -> str:
    DelegationGrant.objects.update(until_at=clock.now() + timedelta(seconds=1))
    return "invalid_grant"


def _narrowed(ada: Agreed) -> str:
    grant = DelegationGrant.objects.get()
    terms = NarrowGrant(
        actions=("drafts.write",), detail_types=(), until_at=grant.until_at, budget={}, depth=grant.depth
    )
    narrow_grant(grant, terms, by=BY, now=clock.now())
    return "invalid_grant"


def _forbidden(ada: Agreed) -> str:
    rule = '@id("none") @says("No.") forbid (principal, action, resource);'
    load_policy(POLICY + rule, by=BY, now=clock.now())
    return "access_denied"


def _asking(ada: Agreed) -> str:
    rule = '@id("ask") @says("Ask.") @ask("subject") permit (principal, action == Action::"use", resource);'
    load_policy(POLICY + rule, by=BY, now=clock.now())
    return "interaction_required"


@pytest.mark.parametrize("change", [_suspended, _shut_out, _revoked, _run_out, _narrowed, _forbidden, _asking])
@pytest.mark.spec("draft-klrc-aiagent-auth", "10.7", "what ended between consent and redemption is not issued any more")
def test_what_was_agreed_to_is_asked_anew(ada: Agreed, change: Any) -> None:
    code = ada.code()
    expected = change(ada)
    answer = ada.redeem(code)
    assert error(answer, 401 if expected == "invalid_client" else 400) == expected
    assert not AccessToken.objects.exists()
    assert not RefreshToken.objects.exists()


def test_a_budget_without_room_costs_no_code(ada: Agreed) -> None:
    grant = DelegationGrant.objects.get()
    grant.budget = {"count": 1}
    grant.save(update_fields=["budget"])
    set_limits(grant)
    granted(ada.redeem(ada.code()))
    code = ada.code()
    assert error(ada.redeem(code)) == "access_denied"
    assert AuthorizationCode.objects.filter(consumed_at=None).count() == 1


@pytest.mark.parametrize("scope", ["accounts.read", "accounts.read openid"])
def test_without_offline_access_there_is_no_refresh_token(ada: Agreed, scope: str) -> None:
    body = granted(ada.redeem(ada.code(scope=scope)))
    assert "refresh_token" not in body
    assert ("id_token" in body) == ("openid" in scope)


def test_a_client_without_the_grant_type_gets_no_refresh_token(ada: Agreed) -> None:
    Application.objects.update(grant_types=[CODE])
    assert "refresh_token" not in granted(ada.redeem(ada.code()))


@pytest.mark.spec("RFC 8707", "2.2", "the token request narrows to one of the resources agreed to")
def test_the_same_resource_may_be_named_again(ada: Agreed) -> None:
    assert claims(granted(ada.redeem(ada.code(), resource=PAY))["access_token"])["aud"] == PAY


@pytest.mark.parametrize("name", ["code", "redirect_uri", "code_verifier"])
@pytest.mark.spec(RFC, "3.2", "no parameter may be included more than once")
def test_a_repeated_parameter_is_refused(ada: Agreed, name: str) -> None:
    twice: dict[str, Any] = {"code": ada.code(), name: ["x", "x"]}
    assert error(ada.redeem(**twice)) == "invalid_request"
