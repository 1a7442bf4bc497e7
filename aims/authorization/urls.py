"""The machine endpoints. What has no line here answers 404: the toolkit's own doors are not mounted."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import path

from aims.authorization.endpoints.bc_authorize import bc_authorize
from aims.authorization.endpoints.introspect import introspect
from aims.authorization.endpoints.jwks import jwks
from aims.authorization.endpoints.metadata import metadata
from aims.authorization.endpoints.register import register, registration
from aims.authorization.endpoints.revoke import revoke
from aims.authorization.endpoints.token import token
from aims.authorization.endpoints.userinfo import userinfo
from aims.authorization.pipeline import Call, Endpoint, endpoint


@endpoint(Endpoint.BC_AUTHORIZE)
def backchannel(call: Call) -> HttpResponse:
    """Hand a form that passed the table to the backchannel endpoint, which settles its own refusals."""
    call.is_settling = True
    return bc_authorize(call.request, form=call.form, now=call.now)


urlpatterns = [
    path(".well-known/openid-configuration", metadata),
    path(".well-known/oauth-authorization-server", metadata),
    path("oauth/jwks", jwks),
    path("oauth/token", token),
    path("oauth/bc-authorize", backchannel),
    path("oauth/introspect", introspect),
    path("oauth/revoke", revoke),
    path("oauth/userinfo", userinfo),
    path("oauth/register", register),
    path("oauth/register/<slug:ref>", registration),
]
