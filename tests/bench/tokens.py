"""Client credentials, metadata and key set, against their baselines. Design section 10."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlencode

from django.test import RequestFactory

from aims.authorization.endpoints.jwks import jwks
from aims.authorization.endpoints.metadata import metadata
from aims.authorization.endpoints.token import token
from tests.bench import stock
from tests.bench.cases import Case, case
from tests.bench.rate import CALLS, ROUNDS, compare
from tests.support.oauth_client import MEDIA_TYPE, PAY, Stage, stage

_stage: list[Stage] = []
_factory = RequestFactory()


def on() -> Stage:
    """Return the one stage of this run."""
    if not _stage:
        _stage.append(stage())
    return _stage[0]


def _bodies(form: dict[str, str]) -> Iterator[str]:
    """Return bodies signed before anything is timed: making assertions is the client's work, on neither side."""
    courier = on().courier
    signed = [urlencode(courier.signed(form)) for _ in range((ROUNDS + 1) * CALLS)]
    return iter(signed)


def ours() -> Callable[[], None]:
    """Return a call that issues one token."""
    bodies = _bodies({"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"})

    def call() -> None:
        response = token(_factory.post("/oauth/token", next(bodies), content_type=MEDIA_TYPE))
        assert response.status_code == 200, response.content

    return call


def bare() -> Callable[[], None]:
    """Return the same for the bare view."""
    view, bodies = stock.bare_view(on().courier.key), _bodies({"grant_type": "client_credentials"})

    def call() -> None:
        assert view(_factory.post("/", next(bodies), content_type=MEDIA_TYPE)).status_code == 200

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
        profiled=ours,
    )
)
case(Case(name="client credentials", baseline="bare view", bar=1.0, measure=lambda: compare(ours(), bare())))
case(Case(name="metadata", baseline="empty view", bar=0.8, measure=lambda: _published(metadata)))
case(Case(name="JWKS", baseline="empty view", bar=0.8, measure=lambda: _published(jwks)))
