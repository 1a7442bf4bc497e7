"""The machine endpoints. What has no line here answers 404: the toolkit's own doors are not mounted."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpResponse
from django.urls import path

from aims.authorization import views
from aims.authorization.endpoints.bc_authorize import bc_authorize
from aims.authorization.endpoints.cross_origin import from_anywhere
from aims.authorization.endpoints.introspect import introspect
from aims.authorization.endpoints.jwks import jwks
from aims.authorization.endpoints.metadata import metadata
from aims.authorization.endpoints.par import par
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


published_metadata, published_keys = from_anywhere(metadata, methods="GET"), from_anywhere(jwks, methods="GET")


def well_known(issuer: str) -> list[str]:
    """Return the routes at which the metadata of an issuer is looked for.

    Where it has a path, the well-known part goes before it (RFC 8414 §3.1), and OpenID's after it as well.
    """
    path = urlsplit(issuer).path.strip("/")
    inserted = [f".well-known/{name}" for name in ("openid-configuration", "oauth-authorization-server")]
    if not path:
        return inserted
    return inserted + [f"{route}/{path}" for route in inserted] + [f"{path}/.well-known/openid-configuration"]


urlpatterns = [
    *(path(route, published_metadata) for route in well_known(settings.ISSUER)),
    path("oauth/jwks", published_keys),
    path("oauth/token", from_anywhere(token, methods="POST")),
    path("oauth/bc-authorize", backchannel),
    path("oauth/par", par),
    path("oauth/authorize", views.authorize, name="authorize"),
    path("oauth/authorize/decide", views.decide, name="authorize-decide"),
    path("oauth/authorize/go-on/<str:ref>/", views.go_on, name="authorize-go-on"),
    path("oauth/authorize/go-on/<str:ref>/part/", views.waiting_part, name="authorize-waiting"),
    path("oauth/authorize/go-on/<str:ref>/withdraw/", views.withdraw, name="authorize-withdraw"),
    path("oauth/introspect", introspect),
    path("oauth/revoke", from_anywhere(revoke, methods="POST")),
    path("oauth/userinfo", from_anywhere(userinfo, methods="GET, POST")),
    path("oauth/register", from_anywhere(register, methods="POST")),
    path("oauth/register/<slug:ref>", from_anywhere(registration, methods="GET, PUT, DELETE")),
]
