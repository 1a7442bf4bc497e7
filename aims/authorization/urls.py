"""The machine endpoints. What has no line here answers 404: the toolkit's own doors are not mounted."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import path

from aims.authorization import views
from aims.authorization.endpoints.bc_authorize import bc_authorize
from aims.authorization.endpoints.introspect import introspect
from aims.authorization.endpoints.jwks import jwks
from aims.authorization.endpoints.metadata import metadata
from aims.authorization.endpoints.par import par
from aims.authorization.endpoints.register import register, registration
from aims.authorization.endpoints.revoke import revoke
from aims.authorization.endpoints.token import token
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
    path("oauth/par", par),
    path("oauth/authorize", views.authorize, name="authorize"),
    path("oauth/authorize/decide", views.decide, name="authorize-decide"),
    path("oauth/authorize/go-on/<str:ref>/", views.go_on, name="authorize-go-on"),
    path("oauth/authorize/go-on/<str:ref>/part/", views.waiting_part, name="authorize-waiting"),
    path("oauth/authorize/go-on/<str:ref>/withdraw/", views.withdraw, name="authorize-withdraw"),
    path("oauth/introspect", introspect),
    path("oauth/revoke", revoke),
    path("oauth/register", register),
    path("oauth/register/<slug:ref>", registration),
]
