"""Questions about keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from aims.credentials.bundles import Bundle, read_bundle
from aims.credentials.jwks import PublicKey
from aims.credentials.models import KeyPurpose, KeySource, RegisteredKey, SigningKey, TrustBundle
from aims.kit.jose import ALGORITHMS, algorithms_of
from aims.kit.kept import Kept

_bundles: Kept[tuple[str, datetime | None], Bundle] = Kept()


def keys_of(holder_ref: str) -> list[PublicKey]:
    """Return the keys of a holder: the registered ones, and our copy of what it publishes."""
    return registered_keys_of(holder_ref) + _published_by(holder_ref)


def registered_keys_of(holder_ref: str) -> list[PublicKey]:
    """Return the keys that were registered for a holder and have not ended."""
    rows = RegisteredKey.objects.filter(holder_ref=holder_ref, ended_at=None).order_by("registered_at", "pk")
    return [PublicKey(kid=row.kid, algorithm=row.algorithm, jwk=row.jwk) for row in rows]


def key_for(holder_ref: str, kid: str | None, algorithm: str) -> PublicKey | None:
    """Return the holder's key of this kid and algorithm. Without a kid: the only one that fits, or None.

    Asks the database only; whoever gets None may call ``services.refresh_source`` and ask once more.
    """
    return one_of(keys_of(holder_ref), kid, algorithm)


def one_of(keys: Iterable[PublicKey], kid: str | None, algorithm: str) -> PublicKey | None:
    """Return the key of this kid and algorithm. Without a kid: the only one that fits, or None."""
    fitting = [key for key in keys if _fits(key, algorithm)]
    if kid is not None:
        return next((key for key in fitting if key.kid == kid), None)
    return fitting[0] if len(fitting) == 1 else None


def bundle_of(trust_domain: str) -> Bundle | None:
    """Return the bundle that we hold for exactly this trust domain; None where it has none. One question."""
    row = TrustBundle.objects.filter(trust_domain__name=trust_domain).exclude(document=None).first()
    if row is None:
        return None
    slot = (trust_domain, row.changed_at)  # reading one costs more than finding it
    return _bundles.get(slot) or _bundles.keep(slot, read_bundle(row.document))


def jwks_uri_of(holder_ref: str) -> str | None:
    """Return where a holder publishes its keys."""
    return KeySource.objects.filter(holder_ref=holder_ref).values_list("jwks_uri", flat=True).first()


def published_jwks() -> dict[str, Any]:
    """Return our JWK set: coming, signing and retired keys. Spec: RFC 7517 §5."""
    rows = SigningKey.objects.order_by("created_at", "pk")
    return {"keys": [row.public_jwk for row in rows]}


def own_key(kid: str, purpose: KeyPurpose) -> PublicKey | None:
    """Return one of our own public keys, for checking what we signed for exactly this purpose."""
    row = SigningKey.objects.filter(kid=kid, purpose=purpose).first()
    return None if row is None else PublicKey(kid=row.kid, algorithm=row.algorithm, jwk=row.public_jwk)


def _published_by(holder_ref: str) -> list[PublicKey]:
    jwks = KeySource.objects.filter(holder_ref=holder_ref).values_list("jwks", flat=True).first()
    return [PublicKey(kid=key["kid"], algorithm=key["alg"], jwk=key) for key in (jwks or {}).get("keys", [])]


def _fits(key: PublicKey, algorithm: str) -> bool:
    # EdDSA and Ed25519 (RFC 9864) are two names of one algorithm.
    if {key.algorithm, algorithm} <= {"EdDSA", "Ed25519"}:
        return True
    return algorithm == key.algorithm and algorithm in ALGORITHMS and algorithm in algorithms_of(key.key())
