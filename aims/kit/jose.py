"""JWS and JWK, strictly. joserfc does the cryptography (ES256: ``es256``); the form is checked here first.

Nothing in a header is ever followed: ``jku``, ``x5u``, ``jwk`` and ``x5c`` are ignored, ``crit`` and ``b64`` are
refused (RFC 7515 §4.1). Keys come from the caller, who found them by who must have signed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from aims.kit import es256
from aims.kit.errors import AimsError
from aims.kit.ids import b64url, unb64url

JWS_MAX_BYTES = 16 * 1024
HEADERS_KEPT = 1024  # of those read; a client writes the same one for as long as it has its key
HEADER_KEPT_MAX = 512  # characters; a longer one is read every time
RSA_MIN_BITS = 2048
RSA_MAX_BITS = 8192
# RS256 is off unless a deployment asks for it (FAPI 2.0 §5.4); none and HMAC can never be named.
ALGORITHMS = frozenset({"ES256", "ES384", "PS256", "EdDSA", "Ed25519"})
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KEY_TYPES: dict[str, type[ECKey | RSAKey | OKPKey]] = {
    "EC": ECKey,
    "RSA": RSAKey,
    "OKP": OKPKey,
}
_ALGORITHMS_OF_KEY = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA", "Ed25519"}),
    ("RSA", None): frozenset({"PS256", "RS256"}),
}

JoseKey = ECKey | RSAKey | OKPKey
Header = Mapping[str, Any]
KeyLookup = Callable[[Header], JoseKey | None]


class JoseRefused(AimsError):
    """A token or key that we do not accept. ``code`` names the rule; the token itself is never in the detail."""

    code = "malformed"
    public = "The token is not acceptable."

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"The token is not acceptable: {detail}.", detail=detail)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Unverified:
    """A token whose form is right and whose signature nobody has checked. Good for finding the key, nothing else."""

    header: Header
    claims: Mapping[str, Any]
    signing_input: bytes
    signature: bytes


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A token whose signature is right. Its claims still want checking."""

    header: Header
    claims: Mapping[str, Any]


def import_public(jwk: Mapping[str, Any]) -> JoseKey:
    """Return a public key that one of our algorithms can use. Raises JoseRefused. Spec: RFC 7517 §4, RFC 7518 §6."""
    if PRIVATE_MEMBERS & jwk.keys():
        raise JoseRefused("private_key", "the key has private members")
    kind = _KEY_TYPES.get(str(jwk.get("kty")))
    if kind is None:
        raise JoseRefused("key_type", "the key type is not one of EC, RSA, OKP")
    try:
        # joserfc wants use and key_ops to agree; who may use a key is ours to say, so only the numbers go in.
        key: JoseKey = kind.import_key({name: jwk[name] for name in _NUMBERS[kind] if name in jwk})
        algorithms = algorithms_of(key)
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise JoseRefused("malformed_key", "the key can't be read") from error
    if not algorithms:
        raise JoseRefused("weak_key", "the key's curve or size is not accepted")
    return key


def algorithms_of(key: JoseKey) -> frozenset[str]:
    """Return the JWS algorithms a key can serve; empty where its curve or size is not accepted."""
    if isinstance(key, RSAKey):
        size = key.public_key.key_size
        return _ALGORITHMS_OF_KEY["RSA", None] if RSA_MIN_BITS <= size <= RSA_MAX_BITS else frozenset()
    return _ALGORITHMS_OF_KEY.get((key.key_type, key.curve_name), frozenset())


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the SHA-256 thumbprint of a key, 43 characters. Private members don't count. Spec: RFC 7638 §3."""
    members = {name: value for name, value in jwk.items() if name not in PRIVATE_MEMBERS}
    return import_public(members).thumbprint()


def thumbprint_of_pem(pem: bytes) -> str:
    """Return the thumbprint of a public key in PEM, that of a certificate for example. Raises JoseRefused."""
    for kind in (ECKey, OKPKey, RSAKey):
        try:
            return thumbprint(kind.import_key(pem).as_dict(private=False))
        except (JoseError, ValueError, TypeError):
            continue
    raise JoseRefused("malformed_key", "the key can't be read")


def sign(claims: Mapping[str, Any], *, key: JoseKey, typ: str, kid: str, algorithm: str) -> str:
    """Return a compact JWS. Spec: RFC 7515 §3.1."""
    return sign_spelled(spelled(claims), key=key, typ=typ, kid=kid, algorithm=algorithm)


def sign_spelled(payload: str, *, key: JoseKey, typ: str, kid: str, algorithm: str) -> str:
    """Return a compact JWS over claims that ``spelled`` wrote, or that are written as it would."""
    signing_input = f"{_header_part(algorithm, typ, kid)}.{b64url(payload.encode())}"
    return f"{signing_input}.{b64url(_signature(signing_input.encode(), key, algorithm))}"


def spelled(claims: Mapping[str, Any]) -> str:
    """Return claims as JSON, as we spell it in what we sign."""
    return _encoder.encode(claims)


_encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def parse(token: str, *, algorithms: frozenset[str], typ: Collection[str | None]) -> Unverified:
    """Return a token taken apart, its form checked and its signature not. Raises JoseRefused.

    typ: the types accepted, compared without ``application/`` and without case (RFC 7515 §4.1.9); None: may be absent.
    """
    if len(token) > JWS_MAX_BYTES:
        raise JoseRefused("too_long", "it is longer than 16 KiB")
    parts = token.split(".")
    if len(parts) != 3:
        raise JoseRefused("malformed", "it is not a compact JWS")
    header = _header(parts[0]) if len(parts[0]) <= HEADER_KEPT_MAX else _json_object(parts[0], "header")
    _check_header(header, algorithms, typ)
    return Unverified(
        header=header,
        claims=_json_object(parts[1], "payload"),
        signing_input=f"{parts[0]}.{parts[1]}".encode(),
        signature=_raw(parts[2], "signature"),
    )


def verify(token: Unverified, *, key: JoseKey) -> Decoded:
    """Return the token if this key signed it. Raises JoseRefused(bad_signature). Spec: RFC 7515 §5.2."""
    algorithm = str(token.header["alg"])
    # The key says what it is for; the header only picks among that (RFC 8725 §3.1).
    if algorithm not in algorithms_of(key):
        raise JoseRefused("wrong_key", "the algorithm does not fit the key")
    try:
        is_right = _is_right(token, key, algorithm)
    except (JoseError, ValueError) as error:
        raise JoseRefused("bad_signature", "the signature does not verify") from error
    if not is_right:
        raise JoseRefused("bad_signature", "the signature does not verify")
    return Decoded(header=token.header, claims=token.claims)


def decode(
    token: str,
    *,
    keys: KeyLookup,
    algorithms: frozenset[str],
    typ: Collection[str | None],
) -> Decoded:
    """Return header and claims of a token whose signature is right. Raises JoseRefused.

    keys: finds the key for a header, or answers None.
    """
    unverified = parse(token, algorithms=algorithms, typ=typ)
    key = keys(unverified.header)
    if key is None:
        raise JoseRefused("unknown_key", "no key is registered for it")
    return verify(unverified, key=key)


def _signature(signing_input: bytes, key: JoseKey, algorithm: str) -> bytes:
    if (
        algorithm == es256.NAME
        and isinstance(key, ECKey)
        and (own := key.private_key)
        and algorithm in algorithms_of(key)
    ):
        return es256.sign(signing_input, own)
    return JWSRegistry.algorithms[algorithm].sign(signing_input, key)


def _is_right(token: Unverified, key: JoseKey, algorithm: str) -> bool:
    """Return whether the key signed it. The algorithm fits the key."""
    if algorithm == es256.NAME and isinstance(key, ECKey):
        return es256.is_signature(token.signature, token.signing_input, key.public_key)
    return JWSRegistry.algorithms[algorithm].verify(token.signing_input, token.signature, key)


_NUMBERS: dict[type[ECKey | RSAKey | OKPKey], tuple[str, ...]] = {
    ECKey: ("kty", "crv", "x", "y"),
    RSAKey: ("kty", "n", "e"),
    OKPKey: ("kty", "crv", "x"),
}


def _check_header(header: Header, algorithms: frozenset[str], typ: Collection[str | None]) -> None:
    """Raise JoseRefused for a header that asks for what we don't do."""
    if str(header.get("alg")) not in algorithms:
        raise JoseRefused("algorithm", "its algorithm is not accepted")
    # RFC 7515 §4.1.11: an extension that is not understood must be refused; we understand none.
    if "crit" in header or "b64" in header:
        raise JoseRefused("critical", "it has a critical header")
    if "kid" in header and not isinstance(header["kid"], str):
        raise JoseRefused("malformed", "its kid is not a string")
    if _plain_typ(header.get("typ")) not in typ:
        raise JoseRefused("typ", "its type is not the one wanted here")


def _plain_typ(typ: object) -> str | None:
    """Return a type in the spelling we compare: lower case, without ``application/``."""
    return None if typ is None else str(typ).lower().removeprefix("application/")


@lru_cache(maxsize=256)
def _header_part(algorithm: str, typ: str, kid: str) -> str:
    return b64url(spelled({"alg": algorithm, "typ": typ, "kid": kid}).encode())


def _raw(part: str, what: str) -> bytes:
    try:
        return unb64url(part)
    except ValueError as error:
        raise JoseRefused("malformed", f"its {what} is not canonical base64url") from error


@lru_cache(maxsize=HEADERS_KEPT)
def _header(part: str) -> Header:
    return MappingProxyType(_json_object(part, "header"))  # one for all who read it: nobody may change it


def _json_object(part: str, what: str) -> dict[str, Any]:
    """Return a JSON object; RFC 7515 §4: member names must be unique."""
    try:
        # As text: given bytes, json would take UTF-16 and UTF-32 too. RFC 7515 §3: UTF-8.
        value = _reader.decode(_raw(part, what).decode())
    except (ValueError, RecursionError) as error:
        raise JoseRefused("malformed", f"its {what} is not strict JSON") from error
    if not isinstance(value, dict):
        raise JoseRefused("malformed", f"its {what} is not an object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("duplicate member")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(name)


# json.loads would make one for each.
_reader = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
