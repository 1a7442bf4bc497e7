"""A grant that runs out by itself: no token outlives it, to the second."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from joserfc import jws

from aims.authorization.models import AccessToken, DelegationGrant
from aims.authorization.tokens import LEAST, LIFETIME_S
from aims.kit import clock
from aims.policy.services import load_policy
from audit.canonical import decode
from tests.protocol.ciba.conftest import Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.support.oauth_client import BY
from tests.unit.authorization.test_grants import give, is_active, take_back, wide

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
EVERYTHING = {"actions": ("accounts.read", "payments.create"), "detail_types": ("payment_initiation",)}
ASK_ALWAYS = '@id("asks") @ask("subject") permit (principal, action, resource);'


def only(door: Door, *, lasts_s: float, **changed: Any) -> DelegationGrant:
    """Give a grant that lasts so long, and take back the one that the stage begins with."""
    grant = give(door, until_at=clock.now() + timedelta(seconds=lasts_s), **(EVERYTHING | changed))
    take_back(wide(door))
    return grant


def exp_of(token: str) -> int:
    return int(decode(jws.extract_compact(token.encode()).payload)["exp"])


def bought(door: Door) -> Any:
    auth_req_id = door.asked()
    door.approve()
    return door.poll(auth_req_id)


def a_token(door: Door, way: str) -> str:
    answer = bought(door) if way == "redemption" else door.courier.token(scope="accounts.read")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    lasts_s = exp_of(body["access_token"]) - clock.now().timestamp()
    assert lasts_s - 1 <= body["expires_in"] <= lasts_s + 1
    return str(body["access_token"])


@pytest.mark.spec("draft-ietf-wimse-aims", "10", "no token outlives the authority that it rests on")
@pytest.mark.parametrize("way", ["client credentials", "redemption"])
def test_a_token_ends_with_the_grant_that_it_rests_on(door: Door, way: str) -> None:
    grant = only(door, lasts_s=60)
    token = a_token(door, way)
    end = grant.until_at.replace(microsecond=0)
    assert exp_of(token) == int(end.timestamp())
    assert AccessToken.objects.latest("pk").expires == end
    assert is_active(door, token)
    with clock.shifted(grant.until_at - clock.now()):
        assert not is_active(door, token)


@pytest.mark.parametrize("way", ["client credentials", "redemption"])
def test_a_grant_that_lasts_longer_changes_nothing(door: Door, way: str) -> None:
    only(door, lasts_s=LIFETIME_S + 60)
    before = int(clock.now().timestamp())
    end = exp_of(a_token(door, way))
    assert before + LIFETIME_S <= end <= int(clock.now().timestamp()) + LIFETIME_S


@pytest.mark.parametrize("way", ["client credentials", "redemption"])
def test_of_two_grants_the_longer_one_counts(door: Door, way: str) -> None:
    longer = give(door, until_at=clock.now() + timedelta(seconds=120), **EVERYTHING)
    only(door, lasts_s=60)
    assert exp_of(a_token(door, way)) == int(longer.until_at.timestamp())


def test_of_two_actions_the_one_whose_grant_ends_first_ends_the_token(door: Door) -> None:
    brief = give(door, until_at=clock.now() + timedelta(seconds=60), actions=("accounts.read",))
    paying = {"actions": ("payments.create",), "detail_types": ("payment_initiation",)}
    give(door, until_at=clock.now() + timedelta(seconds=120), **paying)
    take_back(wide(door))
    auth_req_id = door.asked(scope="openid accounts.read")
    door.approve()
    assert exp_of(door.poll(auth_req_id).json()["access_token"]) == int(brief.until_at.timestamp())


def test_who_speaks_for_a_person_by_their_grant_does_so_until_it_ends(door: Door) -> None:
    give(door, from_person=None, **EVERYTHING)
    only(door, lasts_s=60)
    auth_req_id = door.asked()
    door.approve()
    request = door.request()
    request.subject_signed = None  # as if a colleague had signed: then her grant alone makes her the subject
    request.save(update_fields=["subject_signed"])
    token = door.poll(auth_req_id).json()["access_token"]
    row = AccessToken.objects.latest("pk")
    assert row.subject_ref == door.stage.ada.ref
    brief = DelegationGrant.objects.get(from_person=door.stage.ada, revoked_at=None)
    assert exp_of(token) == int(brief.until_at.timestamp())


def test_a_yes_that_needs_no_grant_is_not_cut_short(door: Door) -> None:
    load_policy(ASK_ALWAYS, by=BY, now=clock.now())
    take_back(wide(door))
    before = int(clock.now().timestamp())
    assert exp_of(bought(door).json()["access_token"]) >= before + LIFETIME_S - 1


@pytest.mark.parametrize("left", [timedelta(), LEAST / 2, LEAST], ids=["over", "half", "least"])
def test_a_grant_about_to_end_gives_no_token_that_would_be_over_on_arrival(door: Door, left: timedelta) -> None:
    grant = only(door, lasts_s=250)
    auth_req_id = door.asked()
    door.approve()
    with clock.shifted(grant.until_at - clock.now() - left):
        assert error_of(door.courier.token(scope="accounts.read")) == (400, "access_denied")
        assert error_of(door.poll(auth_req_id)) == (400, "access_denied")
        assert not AccessToken.objects.exists()


def test_the_last_token_of_a_grant_still_lives_for_a_moment(door: Door) -> None:
    grant = only(door, lasts_s=250)
    with clock.shifted(grant.until_at - clock.now() - LEAST - timedelta(seconds=20)):
        answer = door.courier.token(scope="accounts.read")
        assert answer.status_code == 200
        assert 0 < answer.json()["expires_in"] <= LEAST.total_seconds() + 20
