"""The protected resource metadata of the management API itself. Spec: RFC 9728 §3."""

from __future__ import annotations

from urllib.parse import urlsplit

from aims.authorization.endpoints.cross_origin import from_anywhere
from aims.authorization.endpoints.published import Published
from aims.console.management import audience, describe
from aims.resource_server.metadata import WELL_KNOWN

# Made without judging the issuer: whether it may be one is said at the start (aims/startup.py), not at an import.
ROUTE = f"{WELL_KNOWN}{urlsplit(audience()).path}".lstrip("/")
protected_resource = from_anywhere(Published(describe, media_type="application/json"), methods="GET")
