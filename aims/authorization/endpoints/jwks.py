"""Our public keys. Spec: RFC 7517 §5."""

from __future__ import annotations

from aims.authorization.endpoints.published import Published
from aims.credentials.queries import published_jwks

jwks = Published(published_jwks, media_type="application/jwk-set+json")
