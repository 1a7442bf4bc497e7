"""What the log says about keys."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class KeysRegistered(Event, type="credentials.keys.registered", title="Registered keys", tone="info"):
    """added, ended: RFC 7638 thumbprints."""

    holder: str
    added: list[str]
    ended: list[str]


@dataclass(frozen=True, kw_only=True)
class KeySourceSet(Event, type="credentials.key_source.set", title="Set where keys are published", tone="info"):
    """uri_hash: SHA-256 of the address, which itself may name people."""

    holder: str
    uri_hash: str | None


@dataclass(frozen=True, kw_only=True)
class SigningKeyBorn(Event, type="credentials.signing_key.born", title="Made a signing key", tone="info"):
    kid: str
    purpose: str


@dataclass(frozen=True, kw_only=True)
class SigningKeyStarted(Event, type="credentials.signing_key.started", title="Began to sign with a key", tone="info"):
    kid: str
    purpose: str


@dataclass(frozen=True, kw_only=True)
class SigningKeyRetired(Event, type="credentials.signing_key.retired", title="Retired a signing key", tone="info"):
    """Its private part is destroyed in the same transaction."""

    kid: str
    purpose: str


@dataclass(frozen=True, kw_only=True)
class KeysRewrapped(Event, type="credentials.keys.rewrapped", title="Re-encrypted stored keys", tone="info"):
    count: int


@dataclass(frozen=True, kw_only=True)
class TrustBundleChanged(Event, type="credentials.trust_bundle.changed", title="Changed a trust bundle", tone="info"):
    """added, ended: of certificates the SHA-256, of keys the RFC 7638 thumbprint."""

    trust_domain: str
    sequence: int | None
    added: list[str]
    ended: list[str]


@dataclass(frozen=True, kw_only=True)
class TrustBundleDropped(Event, type="credentials.trust_bundle.dropped", title="Dropped a trust bundle", tone="no"):
    trust_domain: str


@dataclass(frozen=True, kw_only=True)
class TrustBundleSourceSet(
    Event, type="credentials.trust_bundle.source_set", title="Set where a trust bundle is fetched", tone="info"
):
    """uri_hash: SHA-256 of the address; none where it is not fetched any more."""

    trust_domain: str
    uri_hash: str | None


@dataclass(frozen=True, kw_only=True)
class TrustBundleNotFetched(
    Event, type="credentials.trust_bundle.not_fetched", title="Could not fetch a trust bundle", tone="no"
):
    """Once for each reason: what we hold stays in use."""

    trust_domain: str
    code: str
