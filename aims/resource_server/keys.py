"""The issuer's public keys, read from its ``jwks_uri`` and looked up by ``kid``. Spec: RFC 7517 §5."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from . import jws
from .errors import Unavailable

FRESH_FOR_S = 300
# A kid that is not there: a rotation is seen soon, and whoever makes up kids can't make us hammer the issuer.
ASK_AGAIN_AFTER_S = 10
# An issuer that is away for a while must not stop everybody; but a key that it took back must not live on for days.
STALE_MAX_S = 3600
TIMEOUT_S = 5
READ_MAX_S = 10
MAX_BYTES = 256 * 1024
KEYS_MAX = 100
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

Read = Callable[[str], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class _Set:
    """Keys by ``kid``, and when they were read."""

    keys: Mapping[str, jws.Key]
    read_at: float


class IssuerKeys:
    """Keys by ``kid``: read again when they are old, and once when somebody names one that is not there."""

    def __init__(self, jwks_uri: str, *, read: Read | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        parts = urlsplit(jwks_uri)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("keys are read over https only: whoever is between could put in their own")
        self._url, self._read, self._clock = jwks_uri, read or fetch, clock
        self._set: _Set | None = None
        self._tried_at: float | None = None
        self._lock = threading.Lock()

    def __call__(self, kid: str) -> jws.Key | None:
        """Return the key of this id, None where the issuer has no such key. Raises Unavailable where we can't tell."""
        known = self._known(STALE_MAX_S)
        if known is None or kid not in known.keys:
            with self._lock:  # whoever needs a key waits for the one who asks
                self._refresh(kid)
        elif self._known(FRESH_FOR_S) is None and self._lock.acquire(blocking=False):
            try:  # whoever only has an old one does not
                self._refresh(kid)
            finally:
                self._lock.release()
        known = self._known(STALE_MAX_S)
        if known is None:
            raise Unavailable("the issuer's keys can't be read")
        return known.keys.get(kid)

    def _known(self, within_s: float) -> _Set | None:
        known = self._set
        return known if known and self._clock() - known.read_at < within_s else None

    def _refresh(self, kid: str) -> None:
        fresh = self._known(FRESH_FOR_S)
        if fresh and kid in fresh.keys:  # somebody asked while we waited
            return
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < ASK_AGAIN_AFTER_S:
            return
        self._tried_at = now
        try:
            self._set = _Set(keys=keys_of(self._read(self._url)), read_at=now)
        except (OSError, ValueError):
            return  # what is known goes on, for STALE_MAX_S


def keys_of(document: Mapping[str, Any]) -> Mapping[str, jws.Key]:
    """Return the verification keys of a JWK Set by ``kid``. Raises ValueError for what is no set.

    Keys of unknown kinds and for other uses are passed over (RFC 7517 §5); a ``kid`` that two keys have is nobody's.
    """
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise ValueError("not a JWK Set")
    named = [jwk.get("kid") for jwk in listed if isinstance(jwk, dict)]
    found: dict[str, jws.Key] = {}
    for jwk in listed:
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        key = _verification_key(jwk) if isinstance(kid, str) and named.count(kid) == 1 else None
        if isinstance(kid, str) and key is not None:
            found[kid] = key
    return found


def _verification_key(jwk: Mapping[str, Any]) -> jws.Key | None:
    operations = jwk.get("key_ops", ["verify"])
    # RFC 7517 §4.2, §4.3: a key for something else verifies nothing.
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        key = jws.public_key(jwk)
    except jws.NotAcceptable:
        return None
    if "alg" not in jwk:
        return key
    # RFC 7517 §4.4; EdDSA and Ed25519 (RFC 9864) are two names of one algorithm.
    names = frozenset({"EdDSA", "Ed25519"}) if jwk["alg"] in ("EdDSA", "Ed25519") else frozenset({str(jwk["alg"])})
    return jws.Key(material=key.material, algorithms=key.algorithms & names, thumbprint=key.thumbprint)


def fetch(url: str) -> Mapping[str, Any]:
    """Return the JSON object at an address. Raises OSError, ValueError. Follows no redirect, reads no endless answer."""
    deadline = time.monotonic() + READ_MAX_S
    body = b""
    with requests.get(url, timeout=TIMEOUT_S, allow_redirects=False, stream=True) as answer:
        if answer.status_code != 200:
            raise ValueError(f"the issuer's keys answer {answer.status_code}")
        for chunk in answer.iter_content(16 * 1024):
            body += chunk
            if len(body) > MAX_BYTES or time.monotonic() > deadline:
                raise ValueError("the issuer's keys are too large or too slow")
    found = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("not a JWK Set")
    return found
