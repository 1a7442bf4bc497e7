"""private_key_jwt at the token endpoint, from outside. RFC 7523 §3, RFC 6749 §5.2, rfc7523bis."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings

from aims.authentication.models import SpentProof
from aims.authentication.services import drop_spent
from aims.identifier import services as identifier
from aims.kit import clock
from audit.models import FailureCount, InboxRow
from tests.support.oauth_client import ASSERTION_TYPE, Machine, Stage, stage

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
GRANT = {"grant_type": "client_credentials", "resource": "https://pay.example/", "scope": "accounts.read"}


@pytest.fixture
def on(db: None) -> Stage:
    return stage()


def ask(machine: Machine, assertion: str, **form: Any) -> Any:
    auth = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return machine.post("/oauth/token", GRANT | auth | form)


def logged(part: bytes) -> int:
    """How many entries hold these bytes."""
    return sum(part in bytes(row.payload) for row in InboxRow.objects.all())


def is_refused(response: Any) -> bool:
    assert response.status_code == 401, response.content
    assert response.json()["error"] == "invalid_client"
    assert response["WWW-Authenticate"].startswith("private_key_jwt realm=")
    assert response["Cache-Control"] == "no-store"
    return True


@pytest.mark.spec("RFC 7523", "3", "a right assertion authenticates")
@pytest.mark.parametrize("typ", ["JWT", "client-authentication+jwt"])
def test_a_right_assertion_is_accepted(on: Stage, typ: str) -> None:
    assert ask(on.courier, on.courier.assertion(typ=typ, aud=[settings.ISSUER])).status_code == 200


@pytest.mark.spec("RFC 7523", "3", "iss, sub, aud, exp, jti are checked")
@pytest.mark.parametrize(
    "change",
    [
        {"iss": "spiffe://acme.example/other"},
        {"sub": "spiffe://acme.example/other"},
        {"iss": None},
        {"sub": None},
        {"aud": None},
        {"aud": "http://localhost:8000/oauth/token"},
        {"aud": "http://localhost:8000/"},
        {"aud": []},
        {"aud": ["http://localhost:8000", "https://other.example"]},
        {"exp": None},
        {"iat": None},
        {"jti": None},
        {"jti": ""},
        {"jti": 5},
        {"jti": "x" * 256},
        {"jti": "a\x00b"},
        {"exp": True},
        {"exp": "9999999999"},
        {"exp": 1e30},
        {"nbf": 4102444800},
        {"sub": "", "iss": ""},
        {"sub": ["x"], "iss": ["x"]},
    ],
)
def test_an_assertion_with_a_wrong_claim_is_refused(on: Stage, change: dict[str, Any]) -> None:
    assert is_refused(ask(on.courier, on.courier.assertion(**change)))
    assert not SpentProof.objects.exists()
    assert FailureCount.objects.filter(code="invalid_client").exists()


@pytest.mark.spec("RFC 7523", "3", "exp is at most 300 s ahead, skew 30 s")
@pytest.mark.parametrize(
    ("iat", "exp", "status"),
    [
        (0, 300, 200),
        (0, 332, 401),
        (0, 400, 401),
        (-60, -28, 200),
        (-60, -31, 401),
        (29, 60, 200),
        (35, 60, 401),
        (10, 10, 401),
    ],
)
def test_the_lifetime_is_held_at_its_edges(on: Stage, iat: int, exp: int, status: int) -> None:
    now = clock.epoch_s()
    assert ask(on.courier, on.courier.assertion(iat=now + iat, exp=now + exp)).status_code == status


@pytest.mark.spec("RFC 7523", "3", "a jti counts once")
def test_an_assertion_counts_once_and_the_replay_is_in_the_log(on: Stage) -> None:
    assertion = on.courier.assertion()
    assert ask(on.courier, assertion).status_code == 200
    assert is_refused(ask(on.courier, assertion))
    assert logged(b'"reason":"replayed"') == 1


@pytest.mark.spec("RFC 7523", "3", "a jti is spent by a refusal too")
def test_a_refused_request_spends_its_assertion(on: Stage) -> None:
    assertion = on.courier.assertion()
    assert ask(on.courier, assertion, scope="nothing.known").json()["error"] == "invalid_scope"
    assert is_refused(ask(on.courier, assertion))


@pytest.mark.spec("RFC 6749", "5.2", "an unknown client and a wrong key get one answer")
def test_unknown_client_and_wrong_key_look_the_same(on: Stage) -> None:
    ghost, thief = Machine("spiffe://acme.example/ghost"), Machine(on.courier.client_id)
    answers = [ask(each, each.assertion()) for each in (ghost, thief)]
    assert all(is_refused(answer) for answer in answers)
    assert answers[0].json() == answers[1].json()


@pytest.mark.spec("draft-ietf-wimse-aims", "7", "a suspended or retired agent gets nothing, and the log says so")
@pytest.mark.parametrize("end", ["suspend", "retire"])
def test_an_agent_that_is_not_active_is_refused(on: Stage, end: str) -> None:
    getattr(identifier, end)(on.agent, reason="test", by="cli:test", now=clock.now())
    assert is_refused(ask(on.courier, on.courier.assertion()))
    assert SpentProof.objects.count() == 1
    assert logged(b'"reason":"agent_') == 1


@pytest.mark.spec("RFC 6749", "2.3", "one method a request")
def test_two_methods_at_once_are_refused(on: Stage) -> None:
    assert ask(on.courier, on.courier.assertion(), client_secret="x").json()["error"] == "invalid_request"
    form = on.courier.signed(GRANT)
    response = on.courier.post("/oauth/token", form, HTTP_AUTHORIZATION="Basic YTpi")
    assert response.json()["error"] == "invalid_request"


@pytest.mark.spec("RFC 6749", "5.2", "the challenge matches the scheme that was tried")
def test_basic_is_answered_with_basic(on: Stage) -> None:
    response = on.courier.post("/oauth/token", GRANT, HTTP_AUTHORIZATION="Basic YTpi")
    assert (response.status_code, response["WWW-Authenticate"][:6]) == (401, "Basic ")


@pytest.mark.spec("RFC 7521", "4.2", "client_id must agree with the assertion")
def test_another_client_id_is_refused(on: Stage) -> None:
    assert is_refused(ask(on.courier, on.courier.assertion(), client_id="spiffe://acme.example/other"))
    assert ask(on.courier, on.courier.assertion(), client_id=on.courier.client_id).status_code == 200


@pytest.mark.spec("RFC 6749", "5.2", "no authentication at all")
def test_no_assertion_or_nonsense_is_refused(on: Stage) -> None:
    assert is_refused(on.courier.post("/oauth/token", GRANT))
    for nonsense in ("a.b.c", "x" * 20_000, "…", ".."):
        assert is_refused(ask(on.courier, nonsense))


def test_spent_proofs_are_forgotten_only_when_they_could_not_be_accepted(on: Stage) -> None:
    ask(on.courier, on.courier.assertion())
    assert drop_spent(now=clock.now() + timedelta(seconds=60)) == 0
    assert drop_spent(now=clock.now() + timedelta(seconds=92)) == 1
