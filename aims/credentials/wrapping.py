"""Wrapping of private keys. Table, purpose and kid are associated data: a wrapped key moved elsewhere does not open."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from joserfc.jwk import ECKey

from aims.kit.seal import seal, unseal


def wrap(key: ECKey, *, purpose: str, kid: str) -> bytes:
    """Return the private key, encrypted under the first ``AIMS_KEK``."""
    der = key.as_der(private=True)
    return seal(der, purpose=_context(purpose, kid))


def unwrap(wrapped: bytes, *, purpose: str, kid: str) -> ECKey:
    """Return the private key. Raises SealBroken."""
    der = unseal(wrapped, purpose=_context(purpose, kid))
    private = serialization.load_der_private_key(der, password=None)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return ECKey.import_key(pem)


def rewrap(wrapped: bytes, *, purpose: str, kid: str) -> bytes:
    """Return the same key encrypted under the first ``AIMS_KEK``. Raises SealBroken."""
    context = _context(purpose, kid)
    return seal(unseal(wrapped, purpose=context), purpose=context)


def _context(purpose: str, kid: str) -> str:
    return f"credentials.SigningKey:{purpose}:{kid}"
