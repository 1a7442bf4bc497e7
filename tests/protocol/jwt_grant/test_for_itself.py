"""The JWT authorization grant of an agent about itself. Spec: RFC 7523 §2.1, draft-klrc-aiagent-auth §10.4."""

from __future__ import annotations

from typing import Any

import pytest

from aims.authorization.models import AccessToken
from aims.identifier import services as identifier
from aims.kit import clock
from tests.support.chains import claims, entries, error
from tests.support.dpop import Key
from tests.support.foreign import JWT_BEARER, present
from tests.support.oauth_client import BY, PAY, Machine, Stage, payment, stage

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
ASK: dict[str, Any] = {"resource": PAY, "scope": "accounts.read"}


@pytest.fixture
def on(db: None) -> Stage:
    return stage()


@pytest.mark.spec("draft-klrc-aiagent-auth", "10.4", "an agent is the subject of its own assertion")
@pytest.mark.parametrize("typ", ["JWT", "authorization-grant+jwt"])
def test_an_agent_gets_a_token_for_itself(on: Stage, typ: str) -> None:
    key = Key()
    answer = present(on.courier, on.courier.assertion(typ=typ), dpop=key.proof(), **ASK)
    said, body = claims(answer), answer.json()
    assert (said["sub"], said["client_id"], said["cnf"]) == (
        on.courier.client_id,
        on.courier.client_id,
        {"jkt": key.jkt},
    )
    assert (body["scope"], body["token_type"], "refresh_token" in body) == ("accounts.read", "DPoP", False)
    assert entries("authorization.token.issued")[0]["data"]["jti"] == said["jti"]


@pytest.mark.spec("RFC 7523", "3", "the claims of the assertion")
@pytest.mark.parametrize(
    "changed",
    [
        {"sub": "spiffe://acme.example/other"},
        {"sub": None},
        {"iss": None},
        {"aud": None},
        {"aud": "http://localhost:8000/oauth/token"},
        {"aud": ["http://localhost:8000", "https://b.example"]},
        {"aud": "http://localhost:8000/"},
        {"aud": 7},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 256},
        {"exp": None},
        {"exp": 1},
        {"exp": True},
        {"exp": 9_999_999_999},
        {"iat": None},
        {"iat": 9_999_999_999},
        {"nbf": 9_999_999_999},
        {"typ": "at+jwt"},
        {"typ": "client-authentication+jwt"},
        {"typ": "txntoken+jwt"},
        {"typ": "oauth-id-jag+jwt"},
        {"iss": "https://nobody.example"},
    ],
)
def test_an_assertion_that_is_not_right_is_refused(on: Stage, changed: dict[str, Any]) -> None:
    assert error(present(on.courier, on.courier.assertion(**changed), **ASK)) == "invalid_grant"
    assert not AccessToken.objects.exists()


@pytest.mark.spec("RFC 7523", "3", "exp and iat within the skew of 30 seconds, and not beyond")
@pytest.mark.parametrize(
    ("iat", "exp", "status"),
    [(25, 60, 200), (35, 60, 400), (-100, -25, 200), (-100, -35, 400), (0, 325, 200), (0, 335, 400)],
)
def test_clocks_may_differ_a_little(on: Stage, iat: int, exp: int, status: int) -> None:
    now = clock.epoch_s()
    assertion = on.courier.assertion(iat=now + iat, exp=now + exp)
    assert present(on.courier, assertion, **ASK).status_code == status


@pytest.mark.spec("RFC 7523", "3", "each assertion once, and never the one that authenticates")
def test_an_assertion_counts_once(on: Stage) -> None:
    assertion = on.courier.assertion()
    assert present(on.courier, assertion, **ASK).status_code == 200
    assert error(present(on.courier, assertion, **ASK)) == "invalid_grant"
    both = {"grant_type": JWT_BEARER, "assertion": (one := on.courier.assertion()), "client_assertion": one} | ASK
    assert error(on.courier.post("/oauth/token", on.courier.signed(both))) == "invalid_grant"
    assert AccessToken.objects.count() == 1


@pytest.mark.spec("RFC 7521", "4.1", "the assertion is there once, and signed by the agent's own key")
def test_another_key_or_none_is_refused(on: Stage) -> None:
    forged = Machine(on.courier.client_id).assertion()
    assert error(present(on.courier, forged, **ASK)) == "invalid_grant"
    assert error(present(on.courier, "x.y.z", **ASK)) == "invalid_grant"
    missing = on.courier.signed({"grant_type": JWT_BEARER} | ASK)
    assert error(on.courier.post("/oauth/token", missing)) == "invalid_request"
    twice = [*on.courier.signed({"grant_type": JWT_BEARER} | ASK).items(), ("assertion", "a"), ("assertion", "b")]
    assert error(on.courier.post("/oauth/token", twice)) == "invalid_request"


@pytest.mark.spec("draft-klrc-aiagent-auth", "10.4", "the policy decides as with client credentials")
def test_the_policy_decides(on: Stage) -> None:
    asked = {"resource": PAY, "authorization_details": payment()}
    assert error(present(on.courier, on.courier.assertion(), **asked)) == "interaction_required"
    unknown = ASK | {"scope": "accounts.none"}
    assert error(present(on.courier, on.courier.assertion(), **unknown)) == "invalid_scope"
    identifier.suspend(on.agent, reason="It stole.", by=BY, now=clock.now())
    assert error(present(on.courier, on.courier.assertion(), **ASK), 401) == "invalid_client"
