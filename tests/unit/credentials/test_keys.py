"""Registered keys, one key one holder."""

from __future__ import annotations

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from aims.credentials import queries, services
from aims.credentials.errors import KeysRefused
from aims.credentials.jwks import read_jwks
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
