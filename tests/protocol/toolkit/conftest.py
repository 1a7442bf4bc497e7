"""The toolkit's own views, called as if somebody had mounted them, against our models and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.settings import oauth2_settings
from oauthlib.common import Request as OAuthRequest

from aims.authorization.endpoints.jwks import jwks
from aims.authorization.endpoints.metadata import metadata
from aims.authorization.models import Application
from tests.protocol.ciba.conftest import Door
from tests.protocol.ciba.conftest import door as door
from tests.support.oauth_client import MEDIA_TYPE

validator: Any = OAuth2Validator()
toolkit: Any = oauth2_settings
ENDPOINTS = ("/oauth/token", "/oauth/bc-authorize", "/oauth/introspect", "/oauth/revoke")


@pytest.fixture(autouse=True)
def _nothing_published_yet(db: None) -> None:
    jwks.forget()
    metadata.forget()


@pytest.fixture
def shadow(door: Door) -> Application:
    """The toolkit's view of the agent."""
    return Application.objects.get(agent=door.stage.agent)


def mounted(view: Any, form: Mapping[str, str] | Sequence[tuple[str, str]], **extra: Any) -> HttpResponse:
    """POST a form to a view of the toolkit, as if it had an address."""
    request = RequestFactory().post("/", urlencode(form), content_type=MEDIA_TYPE, **extra)
    answer: HttpResponse = view.as_view()(request)
    return answer


def oauth_request(client: Application | None = None, **values: Any) -> OAuthRequest:
    """Return what oauthlib hands to a validator."""
    request = OAuthRequest("https://pay.example/", http_method="POST", body=urlencode(values))
    request.client = client
    return request


def sent_to(door: Door, path: str) -> tuple[Any, dict[str, Any]]:
    """Return who may call an endpoint, and a form that it accepts."""
    read = {"grant_type": "client_credentials", "resource": "https://pay.example/", "scope": "accounts.read"}
    forms: dict[str, tuple[Any, dict[str, Any]]] = {
        "/oauth/token": (door.courier, read),
        "/oauth/bc-authorize": (door.courier, door.form()),
        "/oauth/introspect": (door.stage.server, {"token": "unknown"}),
        "/oauth/revoke": (door.courier, {"token": "unknown"}),
    }
    return forms[path]
