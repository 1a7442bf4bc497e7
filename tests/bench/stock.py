"""The baselines: the stock toolkit with a fast secret hasher, the bare view, an empty view."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.contrib.auth.hashers import BasePasswordHasher
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import RequestFactory
from joserfc.jwk import ECKey
from oauth2_provider.models import get_application_model
from oauth2_provider.oauth2_backends import OAuthLibCore
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauthlib.oauth2 import Server

from aims.kit import clock, jose
from aims.kit.ids import digest

MEDIA_TYPE = "application/x-www-form-urlencoded"


class FastHasher(BasePasswordHasher):
    """One SHA-256: what the stock toolkit could do at best for a random secret."""

    algorithm = "fast"

    def salt(self) -> str:
        return "s"

    def encode(self, password: str, salt: str) -> str:
        return f"fast${digest(password)}"

    def verify(self, password: str, encoded: str) -> bool:
        return encoded == self.encode(password, "")


class StockValidator(OAuth2Validator):
    """Unchanged but for the secret: hashed by one SHA-256."""

    def _check_secret(self, provided_secret: str, stored_secret: str) -> bool:
        return FastHasher().verify(provided_secret, stored_secret)


def stock_core() -> Any:
    """Return the toolkit's core, its client registered."""
    Application = get_application_model()
    if Application.objects.filter(client_id="stock").exists():
        return OAuthLibCore(Server(StockValidator()))
    application = Application(
        client_id="stock",
        client_secret="fast$" + digest("s3cret"),
        client_type="confidential",
        authorization_grant_type="client-credentials",
        grant_types=["client-credentials"],
        name="stock",
        token_endpoint_auth_method="client_secret_basic",
        hash_client_secret=False,
    )
    application.save()
    return OAuthLibCore(Server(StockValidator()))


def stock() -> Any:
    """Return a call that issues one token through the toolkit."""
    core = stock_core()
    basic = "Basic " + base64.b64encode(b"stock:s3cret").decode()
    factory = RequestFactory()

    def call() -> None:
        request = factory.post(
            "/o/token", "grant_type=client_credentials&scope=read", content_type=MEDIA_TYPE, HTTP_AUTHORIZATION=basic
        )
        _, _, body, status = core.create_token_response(request)
        assert status == 200, body

    return call


def bare_view(key: ECKey) -> Any:
    """Return a view: verify the assertion, sign the JWT, jti and token row in one statement, one commit."""
    public = jose.import_public(key.as_dict(private=False))
    signer = ECKey.generate_key("P-256")
    statement = (
        "WITH j AS (INSERT INTO authentication_spentproof (client_ref, jti_hash, expires_at) VALUES ('bare', %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING 1)"
        " INSERT INTO authorization_accesstoken (token, token_checksum, expires, scope, resource, created, updated, jti,"
        " subject_ref, txn, audience) SELECT '', %s, %s, '', '[]', now(), now(), %s, '', '', '' FROM j"
    )

    def view(request: HttpRequest) -> HttpResponse:
        form = dict(parse_qsl(request.body.decode()))
        claims = jose.decode(
            form["client_assertion"], keys=lambda header: public, algorithms=jose.ALGORITHMS, typ=("jwt",)
        ).claims
        now = clock.now()
        expires = now + timedelta(seconds=300)
        jti = secrets.token_hex(16)
        token = jose.sign(
            {"iss": settings.ISSUER, "sub": claims["sub"], "jti": jti, "exp": int(expires.timestamp())},
            key=signer,
            typ="at+jwt",
            kid="k",
            algorithm="ES256",
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, [digest(str(claims["jti"])), expires, digest(token), expires, jti])
            assert cursor.rowcount == 1
        return JsonResponse({"access_token": token, "token_type": "Bearer", "expires_in": 300})

    return view


def empty_view(request: HttpRequest) -> HttpResponse:
    """Answer nothing, as fast as Django can."""
    return HttpResponse(json.dumps({}), content_type="application/json")
