"""Public references and secrets: what leaves the process instead of primary keys."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [high + low for high in _CROCKFORD for low in _CROCKFORD]  # by ten bits: half as many steps for every token
SECRET_BYTES = 32


def new_ref(prefix: str) -> str:
    """Return a fresh public reference such as ``apr_06f…``: 48 bits of milliseconds, then 80 random bits, base32."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(secrets.token_bytes(10))
    pairs = [_PAIRS[(value >> shift) & 1023] for shift in range(120, -10, -10)]
    return f"{prefix}_{''.join(pairs)}"


def new_secret() -> str:
    """Return 256 random bits as 43 characters of unpadded base64url (CIBA 1.0 §7.3 asks for 160)."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> str:
    """Return the lookup key of a random secret: SHA-256, hex. Enough for 256-bit secrets, never for chosen ones."""
    return hashlib.sha256(secret.encode()).hexdigest()


def b64url(raw: bytes) -> str:
    """Return unpadded base64url. Spec: RFC 7515 §2."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64url(text: str) -> bytes:
    """Return the bytes of canonical, unpadded base64url; ValueError for any other spelling of them."""
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if b64url(raw) != text:
        raise ValueError("not canonical base64url")
    return raw


def tagged_hash(raw: bytes) -> str:
    """Return ``sha-256:`` and the unpadded base64url digest, as statements, receipts and entries spell a hash."""
    return "sha-256:" + b64url(hashlib.sha256(raw).digest())
