"""A compact JWS, strictly: one way to write it, no duplicate member, nothing critical. Pure.

joserfc does the arithmetic. Nothing in a header is ever followed: ``jku``, ``x5u``, ``x5c`` and ``jwk`` find no key here.
Spec: RFC 7515, RFC 7518 §6, RFC 8725.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeGuard

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

MAX_CHARACTERS = 16 * 1024
DATE_MAX = 1e11
RSA_MIN_BITS = 2048
RSA_MAX_BITS = 8192
KEYS_KEPT = 1024
# What FAPI 2.0 §5.4 takes. RFC 9068 §4 wants RS256 too: whoever needs it adds it. none and HMAC can't be named at all.
ALGORITHMS = frozenset({"ES256", "ES384", "PS256", "EdDSA", "Ed25519"})
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

Material = ECKey | RSAKey | OKPKey
_KINDS: dict[str, tuple[type[Material], tuple[str, ...]]] = {
    "EC": (ECKey, ("crv", "x", "y")),
    "RSA": (RSAKey, ("n", "e")),
    "OKP": (OKPKey, ("crv", "x")),
}
# (algorithms, octets of a coordinate)
_CURVES = {
    ("EC", "P-256"): (frozenset({"ES256"}), 32),
    ("EC", "P-384"): (frozenset({"ES384"}), 48),
    ("OKP", "Ed25519"): (frozenset({"EdDSA", "Ed25519"}), 32),
}
_RSA = frozenset({"PS256", "RS256"})


class NotAcceptable(ValueError):
    """A JWS or JWK that is not taken. Its text says why and holds nothing of it."""


class BadSignature(NotAcceptable):
    """A JWS that this key did not sign."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A public key, and what it may verify. thumbprint: RFC 7638, SHA-256, 43 characters."""

    material: Material
    algorithms: frozenset[str]
    thumbprint: str


@dataclass(frozen=True, kw_only=True)
class Jws:
    """A JWS taken apart. Nobody has checked its signature yet: call ``verify``."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signing_input: bytes
    signature: bytes


def parse(text: str, *, typ: str, algorithms: Collection[str]) -> Jws:
    """Return a compact JWS taken apart. Raises NotAcceptable.

    typ: compared without case and without ``application/`` (RFC 7515 §4.1.9); a JWS without one is not taken.
    """
    parts = text.split(".", 3) if len(text) <= MAX_CHARACTERS else []
    if len(parts) != 3:
        raise NotAcceptable("it is not a compact JWS")
    header = _object(parts[0])
    _guard_header(header, typ=typ, algorithms=algorithms)
    return Jws(
        header=header,
        claims=_object(parts[1]),
        signing_input=f"{parts[0]}.{parts[1]}".encode(),
        signature=octets(parts[2]),
    )


def verify(jws: Jws, *, key: Key) -> None:
    """Raise BadSignature unless this key made the signature. Spec: RFC 7515 §5.2."""
    algorithm = jws.header["alg"]
    if algorithm not in key.algorithms:  # RFC 8725 §3.1: the key says what it is for, the header only picks
        raise BadSignature("its algorithm does not fit the key")
    try:
        is_right = JWSRegistry.algorithms[algorithm].verify(jws.signing_input, jws.signature, key.material)
    except (JoseError, ValueError):
        is_right = False
    if not is_right:
        raise BadSignature("its signature does not verify")


def public_key(jwk: object) -> Key:
    """Return a public key. Raises NotAcceptable: for a private one too. Spec: RFC 7517 §4, RFC 7518 §6."""
    if not isinstance(jwk, dict) or PRIVATE_MEMBERS & jwk.keys():
        raise NotAcceptable("it is not a public key")
    _, names = _KINDS.get(str(jwk.get("kty")), (None, ()))
    numbers = [jwk.get(name) for name in names]
    if not numbers or not all(isinstance(value, str) for value in numbers):
        raise NotAcceptable("it is no key of an accepted kind")
    # Only the numbers go in: who may use a key for what is not the key's to say.
    return _imported(str(jwk["kty"]), *map(str, numbers))


@lru_cache(maxsize=KEYS_KEPT)  # an agent proves with one key over and over, and reading it costs more than verifying
def _imported(kty: str, *values: str) -> Key:
    kind, names = _KINDS[kty]
    numbers = dict(zip(names, values, strict=True))
    algorithms = _algorithms(kty, numbers)
    try:
        material = kind.import_key({"kty": kty, **numbers})
        return Key(material=material, algorithms=algorithms, thumbprint=material.thumbprint())
    except (JoseError, ValueError, TypeError, KeyError):
        raise NotAcceptable("its numbers are no key") from None


def octets(part: str) -> bytes:
    """Return what is written in base64url. Raises NotAcceptable for padding, white space and any other spelling."""
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise NotAcceptable("it is not base64url") from None
    if base64url(raw) != part:  # RFC 7515 §2: one way to write it
        raise NotAcceptable("it is not canonical base64url")
    return raw


def base64url(raw: bytes) -> str:
    """Return octets in base64url without padding. Spec: RFC 7515 §2."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def is_date(value: object) -> TypeGuard[int | float]:
    """Return whether a claim is a NumericDate of a year that a clock can show. Spec: RFC 7519 §2."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < DATE_MAX


def _guard_header(header: Mapping[str, Any], *, typ: str, algorithms: Collection[str]) -> None:
    if str(header.get("typ")).lower().removeprefix("application/") != typ:
        raise NotAcceptable("its typ is not the one wanted here")
    if not isinstance(header.get("alg"), str) or header["alg"] not in algorithms:
        raise NotAcceptable("its algorithm is not accepted")
    if "crit" in header or "b64" in header:  # RFC 7515 §4.1.11: what is not understood must be refused
        raise NotAcceptable("it has a critical header")


def _algorithms(kty: str, numbers: Mapping[str, str]) -> frozenset[str]:
    """Return what a key may verify; its numbers must be written in full and in one way, or one key had many names."""
    sizes = {name: octets(value) for name, value in numbers.items() if name != "crv"}
    if kty == "RSA":
        bits = int.from_bytes(sizes["n"]).bit_length()
        if not RSA_MIN_BITS <= bits <= RSA_MAX_BITS or any(raw[:1] in (b"", b"\0") for raw in sizes.values()):
            raise NotAcceptable("its size is not accepted")
        return _RSA
    algorithms, size = _CURVES.get((kty, numbers["crv"]), (frozenset[str](), 0))
    if not algorithms or any(len(raw) != size for raw in sizes.values()):
        raise NotAcceptable("its curve or size is not accepted")
    return algorithms


def _object(part: str) -> dict[str, Any]:
    try:
        # As text: given bytes, json would take UTF-16 too.
        value = json.loads(octets(part).decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise NotAcceptable("it is not strict JSON") from None
    if not isinstance(value, dict):
        raise NotAcceptable("it is not an object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate member")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)
