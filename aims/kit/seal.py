"""Encryption at rest: AES-256-GCM under ``AIMS_KEK``. What it was sealed for is part of the seal."""

from __future__ import annotations

import base64
import binascii
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from aims.kit.errors import AimsError

KEK_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


class SealBroken(AimsError):
    """Sealed bytes that no key of ours opens for this purpose: changed, moved, or sealed under a key that is gone."""

    code = "seal_broken"
    public = "Stored data can't be decrypted. Check AIMS_KEK."


def seal(plain: bytes, *, purpose: str) -> bytes:
    """Return the bytes encrypted under the first ``AIMS_KEK``. purpose: names table, use and key; opens with the same."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _VERSION + nonce + AESGCM(_keks()[0]).encrypt(nonce, plain, purpose.encode())


def unseal(sealed: bytes, *, purpose: str) -> bytes:
    """Return the plain bytes, trying every ``AIMS_KEK``. Raises SealBroken."""
    raw = bytes(sealed)
    if raw[:1] != _VERSION or len(raw) < 1 + _NONCE_BYTES + 16:
        raise SealBroken(detail="not sealed bytes")
    nonce, body = raw[1 : 1 + _NONCE_BYTES], raw[1 + _NONCE_BYTES :]
    for kek in _keks():
        try:
            return AESGCM(kek).decrypt(nonce, body, purpose.encode())
        except InvalidTag:
            continue
    raise SealBroken(detail=f"no key opens {purpose.split(':', 1)[0]}")


def _keks() -> list[bytes]:
    """Return the key encryption keys, the first of which encrypts. Raises SealBroken where there is none."""
    try:
        keks = [base64.b64decode(text, validate=True) for text in settings.KEKS]
    except binascii.Error as error:
        raise SealBroken(detail="AIMS_KEK is not base64") from error
    if not keks or any(len(kek) != KEK_BYTES for kek in keks):
        raise SealBroken(detail="AIMS_KEK is missing or is not 32 bytes")
    return keks
