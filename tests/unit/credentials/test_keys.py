"""Registered keys, and the life of our own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from aims.credentials import queries, services, signing
from aims.credentials.errors import KeysRefused
from aims.credentials.jwks import read_jwks
from aims.credentials.models import KeyPurpose, SigningKey
from aims.kit import clock

KEY = ECKey.generate_key("P-256")
PUBLIC = KEY.as_dict(private=False)


@pytest.mark.parametrize(
    "jwks",
    [
        None,
        {"keys": {}},
        {"keys": [KEY.as_dict(private=True)]},
        {"keys": [OctKey.generate_key(256).as_dict(private=True)]},
        {"keys": [RSAKey.generate_key(1024).as_dict(private=False)]},
        {"keys": [PUBLIC | {"alg": "RS256"}]},
        {"keys": [PUBLIC | {"use": "enc"}]},
        {"keys": [PUBLIC | {"kid": "a"}, PUBLIC | {"kid": "b"}]},
        {"keys": [PUBLIC | {"kid": 5}]},
    ],
)
def test_a_set_that_we_should_not_trust_is_refused(jwks: object) -> None:
    with pytest.raises(KeysRefused):
        read_jwks(jwks, may_hold_others=False)


@pytest.mark.django_db
def test_one_key_has_one_holder() -> None:
    services.register_keys("agt_one", {"keys": [PUBLIC]}, by="cli:test", now=clock.now())
    with pytest.raises(KeysRefused):
        services.register_keys("agt_two", {"keys": [PUBLIC]}, by="cli:test", now=clock.now())
    assert queries.keys_of("agt_two") == []


@pytest.mark.django_db
def test_our_keys_rotate_with_overlap_and_receipt_keys_stay_published() -> None:
    now = clock.now()
    services.ensure_signing_keys(now)
    assert signing.current(KeyPurpose.RECEIPT).sign({"a": 1}, "x+jwt").count(".") == 2
    due = now + timedelta(days=30)
    assert (services.rotate_due(due), services.rotate_due(due)) == (4, 0)
    assert len(queries.published_jwks()["keys"]) == 8
    assert services.rotate_due(due + timedelta(minutes=15)) == 4
    assert not SigningKey.objects.filter(state="retired").exclude(wrapped_private=None).exists()
    assert services.rotate_due(due + timedelta(days=2)) == 3
    assert SigningKey.objects.get(state="retired").purpose == KeyPurpose.RECEIPT
    assert services.rewrap(by="cli:test") == 4
