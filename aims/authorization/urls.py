"""The machine endpoints. What has no line here answers 404: the toolkit's own doors are not mounted."""

from __future__ import annotations

from django.urls import path

from aims.authorization.endpoints.introspect import introspect
from aims.authorization.endpoints.jwks import jwks
from aims.authorization.endpoints.metadata import metadata
from aims.authorization.endpoints.revoke import revoke
from aims.authorization.endpoints.token import token

urlpatterns = [
    path(".well-known/openid-configuration", metadata),
    path(".well-known/oauth-authorization-server", metadata),
    path("oauth/jwks", jwks),
    path("oauth/token", token),
    path("oauth/introspect", introspect),
    path("oauth/revoke", revoke),
]
