"""JWK sets that others give us: checked, and reduced to public keys. Pure. Spec: RFC 7517 §5."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from aims.credentials.errors import KeysRefused
from aims.kit.jose import ALGORITHMS, JoseKey, JoseRefused, algorithms_of, import_public, thumbprint

KEYS_MAX = 20  # a holder
PUBLISHED_MAX = 100  # in one set that is fetched: an authorization server publishes those for other purposes too
KID_MAX = 255
# The algorithm a key of this kind has where the JWK names none.
_DEFAULT = ("ES256", "ES384", "PS256", "EdDSA")


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """A public key bound to a holder. jwk: only the members of the public key, with kid and alg."""

    kid: str
    algorithm: str
    jwk: Mapping[str, Any]

    def key(self) -> JoseKey:
        """Return the key in the form that ``kit.jose`` verifies with."""
        return self._key

    @cached_property
    def _key(self) -> JoseKey:
        # Reading one costs 15 µs, so it is kept by its text too: most rows say again what an earlier one said.
        return _imported(tuple(sorted((name, value) for name, value in self.jwk.items() if isinstance(value, str))))

    @property
    def thumbprint(self) -> str:
        """RFC 7638."""
        return thumbprint(self.jwk)


@lru_cache(maxsize=4096)
def _imported(members: tuple[tuple[str, str], ...]) -> JoseKey:
    return import_public(dict(members))


def default_algorithm(key: JoseKey) -> str:
    """Return the algorithm of a key whose JWK names none."""
    return next(name for name in _DEFAULT if name in algorithms_of(key))


def read_jwks(jwks: object, *, may_hold_others: bool) -> tuple[PublicKey, ...]:
    """Return the signature keys of a JWK set. Raises KeysRefused.

    may_hold_others: keys that we can't use are passed over, as RFC 7517 §5 asks of readers; else each is refused.
    """
    if not isinstance(jwks, dict) or not isinstance(jwks.get("keys"), list):
        raise KeysRefused('A JWK set is an object with a list named "keys".')
    most = PUBLISHED_MAX if may_hold_others else KEYS_MAX
    if len(jwks["keys"]) > most:
        raise KeysRefused(f"A JWK set may have at most {most} keys.")
    keys = tuple(key for item in jwks["keys"] if (key := _read(item, may_hold_others)) is not None)
    kids = [key.kid for key in keys]
    if len(set(kids)) != len(kids):
        raise KeysRefused("Two keys have the same kid.")
    prints = [key.thumbprint for key in keys]
    if len(set(prints)) != len(prints):
        raise KeysRefused("A key is listed twice.")
    return keys


def _read(item: object, may_hold_others: bool) -> PublicKey | None:
    if not isinstance(item, dict):
        raise KeysRefused("A key is not an object.")
    try:
        return _checked(item)
    except KeysRefused as error:
        # A private key in public is never passed over: whoever made it must know.
        if may_hold_others and error.code != "private_key":
            return None
        raise


def _checked(jwk: dict[str, Any]) -> PublicKey:
    try:
        key = import_public(jwk)
    except JoseRefused as error:
        refused = KeysRefused(f"A key can't be registered: {error.detail}.")
        refused.code = "private_key" if error.code == "private_key" else refused.code
        raise refused from error
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        raise KeysRefused("A key is not meant for signatures.")
    algorithm = jwk.get("alg") or default_algorithm(key)
    if algorithm not in ALGORITHMS or algorithm not in algorithms_of(key):
        raise KeysRefused(f"A key's algorithm is not one of {', '.join(sorted(ALGORITHMS))}, or does not fit the key.")
    public: dict[str, Any] = {name: jwk[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in jwk}
    kid = jwk.get("kid") or thumbprint(public)
    if not isinstance(kid, str) or len(kid) > KID_MAX:
        raise KeysRefused(f"A kid is a text of at most {KID_MAX} characters.")
    return PublicKey(kid=kid, algorithm=algorithm, jwk={**public, "kid": kid, "alg": algorithm, "use": "sig"})
