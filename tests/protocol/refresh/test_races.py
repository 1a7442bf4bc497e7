"""Codes and refresh tokens on several connections at once: one use, whoever comes second."""

from __future__ import annotations

from typing import Any

import pytest

from aims.authentication.client import Client
from aims.authorization.authenticating import authenticated
from aims.authorization.models import AccessToken, AuthorizationCode, DelegationGrant, RefreshToken
from aims.authorization.services.agreed import Narrower
from aims.authorization.services.families import live_families
from aims.authorization.services.grants import revoke_grant
from aims.authorization.services.redeeming import Redemption, redeem_code
from aims.authorization.services.refreshing import Refresh, refresh
from aims.kit import clock
from tests.support.codes import REDIRECT, Agreed, agreed
from tests.support.oauth_client import BY, Machine, stage
from tests.support.racing import ROUNDS, at_once
from tests.unit.authorization.entries import entries

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("aims.authorization.urls")]
ALL = Narrower(resources=(), scope=None, details=None)


def client_of(machine: Machine, rf: Any) -> Client:
    form = {name: (str(value),) for name, value in machine.signed({}).items()}
    return authenticated(form, rf.post("/oauth/token"), now=clock.now())


def redeeming(ada: Agreed, code: str, rf: Any) -> Any:
    client = client_of(ada.on.courier, rf)
    asked = Redemption(code=code, redirect_uri=REDIRECT, code_verifier=ada.verifier, narrower=ALL)
    return lambda: redeem_code(client, asked, now=clock.now())


def refreshing(ada: Agreed, token: str, rf: Any) -> Any:
    client = client_of(ada.on.courier, rf)
    return lambda: refresh(client, Refresh(refresh_token=token, narrower=ALL), now=clock.now())


def winners(answers: list[Any]) -> list[dict[str, Any]]:
    return [answer for answer in answers if isinstance(answer, dict)]


@pytest.mark.spec("django-oauth-toolkit 3.4.1", "trap 7", "six redemptions of one code at once leave one family")
def test_six_redemptions_of_one_code_make_one_family(transactional_db: None, rf: Any) -> None:
    ada = agreed(stage())
    code = ada.code()
    won = winners(at_once(*(redeeming(ada, code, rf) for _ in range(6))))
    assert len(won) == 1
    assert (AccessToken.objects.count(), RefreshToken.objects.count()) == (1, 1)
    assert live_families(now=clock.now()).count() == 1
    assert AccessToken.objects.filter(revoked_at=None).count() == 1


@pytest.mark.spec("RFC 6749", "4.1.2", "six clients with one code and without its verifier leave its family alone")
def test_one_of_six_has_the_verifier_and_keeps_what_it_got(transactional_db: None, rf: Any) -> None:
    ada = agreed(stage())
    code = ada.code()
    right, verifier = redeeming(ada, code, rf), ada.verifier
    ada.verifier = "x" * 43
    wrong = [redeeming(ada, code, rf) for _ in range(5)]
    ada.verifier = verifier
    assert len(winners(at_once(right, *wrong))) == 1
    assert live_families(now=clock.now()).count() == 1
    assert AccessToken.objects.filter(revoked_at=None).count() == 1


@pytest.mark.parametrize("_round", ROUNDS)
@pytest.mark.spec("RFC 9700", "4.14.2", "of two uses of a refresh token at once one wins, and the family ends")
def test_two_uses_of_a_refresh_token_have_one_winner_and_end_the_family(
    transactional_db: None, rf: Any, _round: int
) -> None:
    ada = agreed(stage())
    first = redeeming(ada, ada.code(), rf)()
    answers = at_once(*(refreshing(ada, first["refresh_token"], rf) for _ in range(2)))
    assert len(winners(answers)) == 1
    assert not AccessToken.objects.filter(revoked_at=None).exists()
    assert not live_families(now=clock.now()).exists()
    assert len(entries("authorization.refresh_token.reused")) == 1


@pytest.mark.parametrize("_round", ROUNDS)
@pytest.mark.parametrize("verb", ["redeem", "refresh"])
@pytest.mark.spec("draft-klrc-aiagent-auth", "10.7", "nothing is added to a family whose grant is taken back meanwhile")
def test_nothing_outlives_a_grant_that_is_taken_back_meanwhile(
    transactional_db: None, rf: Any, verb: str, _round: int
) -> None:
    ada = agreed(stage())
    code, grant = ada.code(), DelegationGrant.objects.get()
    going = redeeming(ada, code, rf)
    if verb == "refresh":
        going = refreshing(ada, going()["refresh_token"], rf)
    at_once(going, lambda: revoke_grant(grant, by=BY, now=clock.now()))
    assert not AccessToken.objects.filter(revoked_at=None).exists()
    assert not live_families(now=clock.now()).exists()
    assert AuthorizationCode.objects.get().ended_at is not None
