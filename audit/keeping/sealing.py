"""Encryption of what is kept beside the log: AES-256-GCM, always for a named purpose, which is part of the seal.

People's keys are sealed under ``AIMS_KEK`` (several: the first seals, all open), values under their person's key.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from audit.keeping.errors import KeyBroken

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"


def new_key() -> bytes:
    """Return a new key."""
    return secrets.token_bytes(KEY_BYTES)


def seal(plain: bytes, *, key: bytes, purpose: str) -> bytes:
    """Return the bytes encrypted. purpose: names table, row and use; they open with the same."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _VERSION + nonce + AESGCM(key).encrypt(nonce, plain, purpose.encode())


def unseal(sealed: bytes, *, keys: Sequence[bytes], purpose: str) -> bytes:
    """Return the plain bytes, trying every key. Raises: KeyBroken."""
    nonce, body = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    if sealed[:1] != _VERSION or len(nonce) != _NONCE_BYTES:
        raise KeyBroken("not sealed bytes")
    for key in keys:
        try:
            return AESGCM(key).decrypt(nonce, body, purpose.encode())
        except InvalidTag:
            continue
    raise KeyBroken(f"no key opens {purpose.partition(':')[0]}")


def keks() -> list[bytes]:
    """Return the key encryption keys, the first of which seals. Raises: KeyBroken where there is none."""
    try:
        found = [base64.b64decode(text, validate=True) for text in settings.KEKS]
    except binascii.Error as error:
        raise KeyBroken("AIMS_KEK is not base64") from error
    if not found or any(len(kek) != KEY_BYTES for kek in found):
        raise KeyBroken("AIMS_KEK is missing or is not 32 bytes")
    return found
