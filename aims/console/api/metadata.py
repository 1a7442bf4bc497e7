"""The protected resource metadata of the management API itself. Spec: RFC 9728 §3."""

from __future__ import annotations

from urllib.parse import urlsplit

from aims.authorization.endpoints.cross_origin import from_anywhere
from aims.authorization.endpoints.published import Published
from aims.console.management import audience, describe
from aims.resource_server.metadata import well_known_url

ADDRESS = well_known_url(audience())
ROUTE = urlsplit(ADDRESS).path.lstrip("/")
protected_resource = from_anywhere(Published(describe, media_type="application/json"), methods="GET")
