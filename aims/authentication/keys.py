"""Taking tokens apart and checking who signed them, so that a refusal never tells which key exists."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from joserfc.jwk import ECKey, OKPKey, RSAKey

from aims.authentication.errors import InvalidClient
from aims.credentials.jwks import PublicKey
from aims.kit.jose import RSA_MIN_BITS, JoseKey, JoseRefused, Unverified, parse, verify


def parsed(token: str, *, algorithms: frozenset[str], typ: Collection[str | None]) -> Unverified:
    """Return a token taken apart, its form checked and its signature not. Raises InvalidClient."""
    try:
        return parse(token, algorithms=algorithms, typ=typ)
    except JoseRefused as error:
        raise InvalidClient(error.public, reason=error.code) from error


def is_signed(token: Unverified, key: PublicKey | None) -> bool:
    """Return whether this key signed it; without a key, after the same work, that none did."""
    try:
        verify(token, key=key.key() if key else _nobodys_key(str(token.header["alg"])))
    except JoseRefused:
        return False
    return key is not None  # nobody can sign with nobody's key; this is for the reader


@cache
def _nobodys_key(algorithm: str) -> JoseKey:
    """Return a key of the algorithm's kind, so that refusing an unknown client takes as long as a known one."""
    match algorithm:
        case "PS256":
            return RSAKey.generate_key(RSA_MIN_BITS)
        case "EdDSA" | "Ed25519":
            return OKPKey.generate_key("Ed25519")
    return ECKey.generate_key("P-384" if algorithm == "ES384" else "P-256")
