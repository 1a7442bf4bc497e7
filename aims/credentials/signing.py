"""Our signing keys, ready to use. Kept in the process for a minute, so that signing asks neither database nor KEK."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from aims.credentials.errors import NoSigningKey
from aims.credentials.models import KeyPurpose, SigningKey
from aims.credentials.wrapping import unwrap
from aims.kit import jose

CACHED_S = 60.0  # services/signing_keys.py keeps the private part of a key for longer than this after its turn


@dataclass(frozen=True, kw_only=True)
class Signer:
    """A key that signs now."""

    kid: str
    algorithm: str
    _key: jose.JoseKey = field(repr=False)

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """Return a compact JWS over the claims. typ: without ``application/``."""
        return self.sign_spelled(jose.spelled(claims), typ)

    def sign_spelled(self, payload: str, typ: str) -> str:
        """Return a compact JWS over claims that are written as ``jose.spelled`` writes them."""
        return jose.sign_spelled(payload, key=self._key, typ=typ, kid=self.kid, algorithm=self.algorithm)


_cache: dict[tuple[str, str], tuple[float, Signer]] = {}
_lock = threading.Lock()


def current(purpose: KeyPurpose) -> Signer:
    """Return the signer of a purpose; no I/O while cached. Raises NoSigningKey."""
    slot = (str(settings.DATABASES["default"]["NAME"]), str(purpose))
    cached = _cache.get(slot)
    if cached is not None and cached[0] > time.monotonic():
        return cached[1]
    with _lock:
        signer = _load(purpose)
        _cache[slot] = (time.monotonic() + CACHED_S, signer)
    return signer


def forget() -> None:
    """Drop the cached signers of this process: after rotation, and between tests."""
    _cache.clear()


def _load(purpose: KeyPurpose) -> Signer:
    row = SigningKey.objects.filter(purpose=purpose, state=SigningKey.State.SIGNING).first()
    if row is None or row.wrapped_private is None:
        raise NoSigningKey(detail=str(purpose))
    key = unwrap(bytes(row.wrapped_private), purpose=row.purpose, kid=row.kid)
    return Signer(kid=row.kid, algorithm=row.algorithm, _key=key)
