"""The life of our signing keys, as whoever verifies with them sees it: over HTTP, with a library that is not ours."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from jwcrypto.common import JWException  # type: ignore[import-untyped]
from jwcrypto.jwk import JWKSet  # type: ignore[import-untyped]
from jwcrypto.jwt import JWT, JWTExpired  # type: ignore[import-untyped]

from aims.authorization.endpoints.jwks import jwks
from aims.authorization.services.grants import GiveGrant, give_grant
from aims.credentials import services, signing
from aims.credentials.models import KeyPurpose, SigningKey
from aims.credentials.services import signing_keys as life
from aims.credentials.tasks import rotate_keys
from aims.kit import clock
from approvals.models import Receipt
from tests.protocol.api.conftest import recorded
from tests.protocol.ciba.conftest import Door
from tests.protocol.ciba.conftest import door as door
from tests.support.log import written_once
from tests.support.oauth_client import BY
from tests.support.racing import ROUNDS, at_once

__all__ = ["written_once"]
pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
MINUTE = timedelta(minutes=1)
BORN, STARTED, RETIRED = (f"credentials.signing_key.{what}" for what in ("born", "started", "retired"))
PURPOSES = len(KeyPurpose)


@pytest.fixture(autouse=True)
def _as_if_everything_was_read_anew() -> Iterator[None]:
    yield
    jwks.forget()
    signing.forget()


@pytest.fixture
def lasting(door: Door) -> Door:
    """The door, with a grant that outlasts the keys."""
    terms = GiveGrant(
        from_person=door.stage.ada,
        agent=door.stage.agent,
        resource=door.stage.pay,
        actions=("accounts.read", "payments.create"),
        detail_types=("payment_initiation",),
        until_at=clock.now() + timedelta(days=365),
    )
    give_grant(terms, by=BY, now=clock.now())
    return door


def published(door: Door) -> JWKSet:
    """Fetch our keys as a resource server does."""
    jwks.forget()  # what any process made of it is 30 s old at most
    answer = door.courier.http.get("/oauth/jwks")
    assert answer.status_code == 200
    return JWKSet.from_json(answer.content.decode())


def kids(door: Door) -> set[str]:
    return {str(key["kid"]) for key in published(door)}


def signing_kid(purpose: KeyPurpose = KeyPurpose.ACCESS_TOKEN) -> str:
    return SigningKey.objects.get(purpose=purpose, state="signing").kid


def a_token(door: Door) -> str:
    answer = door.courier.token(scope="accounts.read")
    assert answer.status_code == 200, answer.content
    return str(answer.json()["access_token"])


def verified(token: str, keys: JWKSet) -> dict[str, Any]:
    """Return the claims of a token that counts now. Raises JWTExpired, JWException."""
    checked = JWT(jwt=token, key=keys, algs=["ES256"], check_claims={"exp": clock.epoch_s()})
    return dict(json.loads(checked.claims))


def header_kid(token: str) -> str:
    reading = JWT()
    reading.deserialize(token)
    return str(reading.token.jose_header["kid"])


def counted() -> Counter[str]:
    return Counter({kind: len(recorded(kind)) for kind in (BORN, STARTED, RETIRED) if recorded(kind)})


def at(moment: datetime) -> Any:
    return clock.shifted(moment - clock.now())


def turn_ends() -> datetime:
    return SigningKey.objects.get(purpose=KeyPurpose.ACCESS_TOKEN, state="signing").signs_until_at


def test_nothing_is_due_while_a_key_signs(door: Door) -> None:
    for moment in (clock.now(), turn_ends() - life.CACHE_LIFETIME - MINUTE):
        with at(moment):
            assert rotate_keys() == 0
    assert len(kids(door)) == PURPOSES
    assert counted() == {BORN: PURPOSES}


@pytest.mark.spec("RFC 7517", "5", "a key is published one cache lifetime before it signs")
def test_the_next_key_is_published_one_cache_lifetime_before_it_signs(lasting: Door) -> None:
    old = signing_kid()
    with at(turn_ends() - life.CACHE_LIFETIME):
        before = clock.now()
        assert rotate_keys() == PURPOSES
        coming = SigningKey.objects.get(purpose=KeyPurpose.ACCESS_TOKEN, state="published")
        assert coming.signs_from_at >= before + life.CACHE_LIFETIME
        assert {old, coming.kid} <= kids(lasting)
        assert header_kid(a_token(lasting)) == old
    with at(coming.signs_from_at - MINUTE):
        assert rotate_keys() == 0
        assert header_kid(a_token(lasting)) == old
    with at(coming.signs_from_at):
        assert rotate_keys() == PURPOSES
        assert header_kid(a_token(lasting)) == coming.kid
        assert {old, coming.kid} <= kids(lasting)
    assert counted() == {BORN: 2 * PURPOSES, STARTED: PURPOSES}


def test_a_token_of_the_old_key_verifies_until_it_expires(lasting: Door) -> None:
    with at(turn_ends() - life.CACHE_LIFETIME):
        rotate_keys()
    with at(turn_ends() + MINUTE):
        token = a_token(lasting)  # the last moment of the old key
        expires = verified(token, published(lasting))["exp"]
        rotate_keys()
        assert header_kid(token) != signing_kid()
    with at(turn_ends_before() + timedelta(minutes=4)):
        rotate_keys()
        assert not SigningKey.objects.get(kid=header_kid(token)).wrapped_private
        assert verified(token, published(lasting))["exp"] == expires
    with at(turn_ends_before() + timedelta(minutes=10)), pytest.raises(JWTExpired):
        verified(token, published(lasting))


def turn_ends_before() -> datetime:
    """Return when the turn of the key ended that now follows another: when its successor was to start."""
    return SigningKey.objects.get(purpose=KeyPurpose.ACCESS_TOKEN, state="signing").signs_from_at


def rotated(moment: datetime) -> datetime:
    """Play one rotation from its beginning; return when the new keys started."""
    with at(moment - life.CACHE_LIFETIME):
        rotate_keys()
    with at(moment + MINUTE):
        rotate_keys()
        return clock.now()


def test_the_private_part_stays_while_another_process_may_hold_its_signer(lasting: Door) -> None:
    elsewhere = signing.current(KeyPurpose.ACCESS_TOKEN)  # what another process read just before the switch
    started = rotated(turn_ends())
    with at(started + timedelta(seconds=signing.CACHED_S)):
        rotate_keys()
        row = SigningKey.objects.get(kid=elsewhere.kid)
        assert (row.state, counted()[RETIRED]) == ("ending", 0)
        assert row.wrapped_private, "what the log calls destroyed must not sign any more"
        late = elsewhere.sign({"exp": clock.epoch_s() + 300}, "at+jwt")
        assert verified(late, published(lasting))
        assert signing.current(KeyPurpose.ACCESS_TOKEN).kid != elsewhere.kid
    with at(started + life.ENDS_FOR + timedelta(seconds=1)):
        assert rotate_keys() == PURPOSES
        row.refresh_from_db()
        assert str(row.state) == "retired"
        assert SigningKey.objects.filter(pk=row.pk, wrapped_private=None).exists()
        assert {entry["data"]["kid"] for entry in recorded(RETIRED)} >= {elsewhere.kid}
        assert counted()[RETIRED] == PURPOSES
        assert verified(late, published(lasting))
        assert rotate_keys() == 0


def test_a_signer_is_never_kept_longer_than_its_key_waits_to_be_destroyed() -> None:
    assert timedelta(seconds=signing.CACHED_S) + MINUTE <= life.ENDS_FOR


def test_a_retired_key_leaves_the_set_when_nothing_of_it_can_live_and_receipt_keys_stay_for_ever(lasting: Door) -> None:
    auth_req_id = lasting.asked()
    lasting.approve()
    assert lasting.poll(auth_req_id).status_code == 200
    receipt = Receipt.objects.get().jws
    old = {purpose: signing_kid(purpose) for purpose in KeyPurpose}
    started = rotated(turn_ends())
    with at(started + life.ENDS_FOR + MINUTE):
        rotate_keys()
    with at(started + life.ENDS_FOR + life.PUBLISHED_AFTER):
        rotate_keys()
        assert set(old.values()) <= kids(lasting)
    with at(started + life.ENDS_FOR + life.PUBLISHED_AFTER + 2 * MINUTE):
        assert rotate_keys() == PURPOSES - 1
        assert kids(lasting) & set(old.values()) == {old[KeyPurpose.RECEIPT]}
    for _year in range(3):
        started = rotated(turn_ends())
        with at(started + timedelta(days=3)):
            rotate_keys()
    with at(started + timedelta(days=10 * 365)):
        rotate_keys()
        assert header_kid(receipt) == old[KeyPurpose.RECEIPT]
        keys = published(lasting)
        read = JWT(jwt=receipt, key=keys, algs=["ES256"], check_claims={})
        assert json.loads(read.claims)["decision"] == "approve"
        newest = keys.get_key(signing_kid(KeyPurpose.RECEIPT))
        with pytest.raises(JWException):
            JWT(jwt=receipt, key=newest, algs=["ES256"])
    told = counted()
    assert told[BORN] - told[RETIRED] == SigningKey.objects.exclude(wrapped_private=None).count()


def test_each_birth_start_and_retirement_is_one_entry_and_a_rewrap_covers_what_ends(door: Door) -> None:
    started = rotated(turn_ends())
    assert services.rewrap(by=BY) == 2 * PURPOSES  # signing and ending
    for _again in range(2):
        with at(started + life.ENDS_FOR + MINUTE):
            rotate_keys()
    assert counted() == {BORN: 2 * PURPOSES, STARTED: PURPOSES, RETIRED: PURPOSES}
    assert services.rewrap(by=BY) == PURPOSES
    for kind in (BORN, STARTED, RETIRED):
        named = [entry["data"]["kid"] for entry in recorded(kind)]
        assert len(named) == len(set(named))


def test_keys_go_on_signing_while_no_sweep_runs(lasting: Door) -> None:
    with at(turn_ends() + timedelta(days=20)):
        token = a_token(lasting)
        assert verified(token, published(lasting))
        rotate_keys()  # the sweep is back: the next key is published, and waits its cache lifetime
        assert header_kid(a_token(lasting)) == header_kid(token)


@pytest.mark.scaled
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", ROUNDS[:3])
def test_two_workers_at_once_take_each_step_once(door: Door, round_: int) -> None:
    ends = turn_ends()
    steps = []
    for after in (-life.CACHE_LIFETIME, MINUTE, life.ENDS_FOR + 2 * MINUTE):
        with at(ends + after):
            steps.append(sum(at_once(rotate_keys, rotate_keys)))
    assert steps == [PURPOSES] * 3
    assert counted() == {BORN: 2 * PURPOSES, STARTED: PURPOSES, RETIRED: PURPOSES}
    assert SigningKey.objects.filter(state="signing").count() == PURPOSES
