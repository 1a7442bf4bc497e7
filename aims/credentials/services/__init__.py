"""Verbs on keys."""

from aims.credentials.services.bundles import drop_bundle, refresh_bundles, set_bundle, set_bundle_endpoint
from aims.credentials.services.registered import drop_jwks_uri, refresh_source, register_keys, set_jwks_uri
from aims.credentials.services.signing_keys import ensure_signing_keys, rewrap, rotate_due

__all__ = [
    "drop_bundle",
    "drop_jwks_uri",
    "ensure_signing_keys",
    "refresh_bundles",
    "refresh_source",
    "register_keys",
    "rewrap",
    "rotate_due",
    "set_bundle",
    "set_bundle_endpoint",
    "set_jwks_uri",
]
