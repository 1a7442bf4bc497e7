"""SPIFFE trust bundles: the keys that vouch for the workloads of one trust domain. Pure.

A bundle does not name its domain: whoever holds one keeps it with the domain that it was configured for, and never
merges two. Spec: SPIFFE Trust Domain and Bundle §4, X509-SVID §6, JWT-SVID §5, WIT-SVID §5.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from aims.credentials.errors import BundleRefused
from aims.credentials.jwks import KID_MAX, PublicKey, default_algorithm
from aims.kit.ids import b64url
from aims.kit.jose import ALGORITHMS, PRIVATE_MEMBERS, JoseRefused, algorithms_of, import_public

BUNDLE_KEYS_MAX = 100
SEQUENCE_MAX = 2**63 - 1
HINT_S = 300  # §4.1.3: where a bundle gives none
_PUBLIC = ("kty", "crv", "x", "y", "n", "e")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What one trust domain vouches with. authorities: certificates (DER) that X.509-SVIDs lead to.

    sequence: rises with every change, None where it does not say. refresh_hint_s: how often it may change.
    """

    authorities: tuple[bytes, ...]
    jwt_keys: tuple[PublicKey, ...]
    wit_keys: tuple[PublicKey, ...]
    sequence: int | None
    refresh_hint_s: int

    @property
    def is_empty(self) -> bool:
        """Whether every earlier key is revoked: no identity of the domain can be trusted. Spec: §4.1.1."""
        return not (self.authorities or self.jwt_keys or self.wit_keys)

    def thumbprints(self) -> list[str]:
        """Return a name of each key that says nothing about anybody: of a certificate its SHA-256, else RFC 7638."""
        certificates = [b64url(hashlib.sha256(der).digest()) for der in self.authorities]
        return sorted([*certificates, *(key.thumbprint for key in (*self.jwt_keys, *self.wit_keys))])


def read_bundle(document: object) -> Bundle:
    """Return the keys of a bundle that we can use; what is of another kind is passed over, as §4.2 asks of readers.

    Raises BundleRefused.
    """
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise BundleRefused('A trust bundle is an object with a list named "keys".')
    if len(document["keys"]) > BUNDLE_KEYS_MAX:
        raise BundleRefused(f"A trust bundle may have at most {BUNDLE_KEYS_MAX} keys.")
    items = [_object(item) for item in document["keys"]]
    jwt_keys = _keys(items, "jwt-svid")
    wit_keys = _keys(items, "wit-svid")
    kids = [key.kid for key in (*jwt_keys, *wit_keys)]
    if len(set(kids)) != len(kids):  # WIT-SVID §5: unique across both kinds
        raise BundleRefused("Two keys have the same kid.")
    return Bundle(
        authorities=tuple(der for item in items if (der := _authority(item)) is not None),
        jwt_keys=jwt_keys,
        wit_keys=wit_keys,
        sequence=_number(document, "spiffe_sequence"),
        refresh_hint_s=_number(document, "spiffe_refresh_hint") or HINT_S,
    )


def check_sequence(before: int | None, after: int | None) -> None:
    """Raise BundleRefused where a changed bundle is not newer than the one that we hold. Spec: §4.1.2."""
    if before is not None and (after is None or after <= before):
        raise BundleRefused(f"Its spiffe_sequence is not above {before}, which is the one we hold.", reason="sequence")


def _object(item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise BundleRefused("A key is not an object.")
    if PRIVATE_MEMBERS & item.keys():  # whoever made it must know
        raise BundleRefused("A key has private members.", reason="private_key")
    return item


def _number(document: Mapping[str, Any], name: str) -> int | None:
    value = document.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= SEQUENCE_MAX:
        raise BundleRefused(f"{name} is not a whole number of 64 bits.")
    return value


def _authority(item: Mapping[str, Any]) -> bytes | None:
    """Return the certificate of an X.509 authority; None of any other key. Spec: X509-SVID §6.2: the first value only."""
    chain = item.get("x5c")
    if item.get("use") != "x509-svid" or not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        return None
    try:
        der = base64.b64decode(chain[0], validate=True)
        certificate = x509.load_der_x509_certificate(der)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (binascii.Error, ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise BundleRefused("An authority's x5c can't be read as the certificate of a CA.") from error
    if not constraints.ca:
        raise BundleRefused("An authority's certificate is not that of a CA.")
    return der


def _keys(items: list[dict[str, Any]], use: str) -> tuple[PublicKey, ...]:
    return tuple(key for item in items if item.get("use") == use and (key := _key(item)) is not None)


def _key(item: Mapping[str, Any]) -> PublicKey | None:
    """Return a key for signatures; None where its kind is not one of ours. JWT-SVID §5.2.2: kid must be set."""
    kid = item.get("kid")
    if not isinstance(kid, str) or not 1 <= len(kid) <= KID_MAX:
        raise BundleRefused("A key for tokens has no kid.")
    try:
        key = import_public(item)
    except JoseRefused:
        return None
    algorithm = item.get("alg") or default_algorithm(key)
    if algorithm not in ALGORITHMS or algorithm not in algorithms_of(key):
        return None
    public = {name: item[name] for name in _PUBLIC if name in item}
    return PublicKey(kid=kid, algorithm=str(algorithm), jwk={**public, "kid": kid, "alg": algorithm, "use": "sig"})
