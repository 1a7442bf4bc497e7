"""The public keys that we accept, as COSE_Key bytes: three algorithms, each with one type, one curve, one shape. Pure.

A key says what it is in three places, its algorithm, its type and its curve. A library that believes one of them lets
the others lie, so here they have to agree.
Spec: WebAuthn L3 §6.5.1.1 (the required members and no others), §5.8.5; RFC 9053 §7; RFC 8230 §4; RFC 8812 §2.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography

from aims.people.answer import UNREADABLE, WebAuthnRefused, cbor_map, refuse

ES256, EDDSA, RS256 = -7, -8, -257
ALGORITHMS = (ES256, EDDSA, RS256)  # in order of preference: what authenticators have, and py_webauthn verifies
RSA_MIN_BITS, RSA_MAX_BITS = 2048, 8192  # a longer signature is not even read
COORDINATE_BYTES = 32

KTY, ALG, CRV, X, Y = 1, 3, -1, -2, -3
_OKP, _EC2, _RSA = 1, 2, 3
_RSA_N, _RSA_E = -1, -2


@dataclass(frozen=True)
class _Shape:
    """What a key of one algorithm has to look like. curve: None where the type has none."""

    key_type: int
    curve: int | None
    coordinates: frozenset[int]
    members: frozenset[int]


_SHAPES = {
    ES256: _Shape(_EC2, 1, frozenset({X, Y}), frozenset({KTY, ALG, CRV, X, Y})),  # P-256
    EDDSA: _Shape(_OKP, 6, frozenset({X}), frozenset({KTY, ALG, CRV, X})),  # Ed25519
    RS256: _Shape(_RSA, None, frozenset(), frozenset({KTY, ALG, _RSA_N, _RSA_E})),
}
# Points of Ed25519 under which anybody can sign anything: whoever registers one can deny every signature (RFC 8032
# leaves them to the application). The y of each point of small order, and the two that are not reduced, little-endian.
_P = 2**255 - 19
_ORDER_8 = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
)
_SMALL_ORDER = {y.to_bytes(32, "little") for y in (0, 1, _P - 1, _P, _P + 1)} | {bytes.fromhex(y) for y in _ORDER_8}


def check_key(public_key: bytes) -> int:
    """Return the algorithm of a key that we offer. public_key: COSE_Key bytes.

    Raises WebAuthnRefused: ``algorithm_not_offered``, ``key_malformed``, ``cbor_malformed``.
    """
    key = cbor_map(public_key)
    algorithm = key.get(ALG)
    if not isinstance(algorithm, int) or algorithm not in ALGORITHMS:
        refuse("algorithm_not_offered", str(algorithm))
    _check_shape(key, _SHAPES[algorithm])
    try:
        loaded = decoded_public_key_to_cryptography(decode_credential_public_key(public_key))
    except UNREADABLE as error:
        raise WebAuthnRefused("key_malformed", type(error).__name__) from None
    if isinstance(loaded, RSAPublicKey) and not RSA_MIN_BITS <= loaded.key_size <= RSA_MAX_BITS:
        refuse("key_malformed", f"{loaded.key_size} bits")
    return algorithm


def _check_shape(key: dict[object, object], shape: _Shape) -> None:
    # To Python, true is 1 and 2.0 is 2; to others they are not.
    if any(type(name) is not int or type(value) not in (int, bytes) for name, value in key.items()):
        refuse("key_malformed", "members")
    if key.get(KTY) != shape.key_type:
        refuse("key_malformed", "type")
    if shape.curve is not None and key.get(CRV) != shape.curve:
        refuse("key_malformed", "curve")
    if key.keys() != shape.members:
        refuse("key_malformed", "members")
    for name in shape.coordinates:
        coordinate = key[name]
        if not isinstance(coordinate, bytes) or len(coordinate) != COORDINATE_BYTES:
            refuse("key_malformed", "coordinate")
        if shape.key_type == _OKP and _unsigned(coordinate) in _SMALL_ORDER:
            refuse("key_malformed", "small order")


def _unsigned(point: bytes) -> bytes:
    """Return an encoded point without the sign of its x. Spec: RFC 8032 §5.1.2."""
    return point[:-1] + bytes([point[-1] & 0x7F])
