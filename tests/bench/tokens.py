"""Client credentials, metadata and key set, against their baselines. Design section 10."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.test import RequestFactory

from aims.authorization.endpoints.jwks import jwks
from aims.authorization.endpoints.metadata import metadata
from aims.authorization.endpoints.token import token
from tests.bench import stock
from tests.bench.cases import Case, case
from tests.bench.rate import compare
from tests.support.oauth_client import MEDIA_TYPE, PAY, Stage, stage

_stage: list[Stage] = []
_factory = RequestFactory()


def on() -> Stage:
    """Return the one stage of this run."""
    if not _stage:
        _stage.append(stage())
    return _stage[0]


def ours() -> Callable[[], None]:
    """Return a call that issues one token. The assertion is signed inside: the same cost on both sides."""
    courier = on().courier

    def call() -> None:
        form = {"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}
        body = urlencode(courier.signed(form))
        response = token(_factory.post("/oauth/token", body, content_type=MEDIA_TYPE))
        assert response.status_code == 200, response.content

    return call


def bare() -> Callable[[], None]:
    """Return the same for the bare view."""
    courier, view = on().courier, stock.bare_view(on().courier.key)

    def call() -> None:
        body = urlencode(courier.signed({"grant_type": "client_credentials"}))
        assert view(_factory.post("/", body, content_type=MEDIA_TYPE)).status_code == 200

    return call


def _published(view: Callable[..., object]) -> tuple[float, float]:
    on()
    request = _factory.get("/")
    return compare(lambda: view(request), lambda: stock.empty_view(request), calls=5000)


case(
    Case(
        name="client credentials",
        baseline="stock toolkit",
        bar=5.0,
        measure=lambda: compare(ours(), stock.stock()),
        profiled=lambda: ours()(),
    )
)
case(Case(name="client credentials", baseline="bare view", bar=1.0, measure=lambda: compare(ours(), bare())))
case(Case(name="metadata", baseline="empty view", bar=0.8, measure=lambda: _published(metadata)))
case(Case(name="JWKS", baseline="empty view", bar=0.8, measure=lambda: _published(jwks)))
