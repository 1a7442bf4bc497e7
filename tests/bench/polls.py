"""A poll for a request that nobody has decided yet, against the bare view. Design section 10."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlencode

from django.test import RequestFactory

from aims.authorization.endpoints.token import token
from aims.authorization.models import BackchannelRequest
from aims.kit import clock
from aims.people.models import Role, RoleHolding
from tests.bench.cases import Case, case
from tests.bench.rate import CALLS, ROUNDS, compare
from tests.bench.tokens import bare, on
from tests.support.oauth_client import MEDIA_TYPE, PAY, payment

CIBA = "urn:openid:params:grant-type:ciba"
_factory = RequestFactory()


def pending() -> Callable[[], None]:
    """Return a call that polls once. The interval is 0: what is measured is the pending path, not ``slow_down``."""
    played, courier = on(), on().courier
    RoleHolding.objects.get_or_create(
        person=played.ada, role=Role.APPROVER, until_at=None, defaults={"since_at": clock.now() - timedelta(days=1)}
    )
    form = {
        "scope": "openid",
        "login_hint": played.ada.ref,
        "resource": PAY,
        "authorization_details": payment(),
        "requested_expiry": "3600",
    }
    asked = courier.post("/oauth/bc-authorize", courier.signed(form))
    assert asked.status_code == 200, asked.content
    BackchannelRequest.objects.update(interval_s=0)
    poll = {"grant_type": CIBA, "auth_req_id": asked.json()["auth_req_id"]}
    bodies = iter([urlencode(courier.signed(poll)) for _ in range((ROUNDS + 1) * CALLS)])

    def call() -> None:
        response = token(_factory.post("/oauth/token", next(bodies), content_type=MEDIA_TYPE))
        assert b"authorization_pending" in response.content, response.content

    return call


case(
    Case(
        name="pending CIBA poll",
        baseline="bare view",
        bar=1.5,
        measure=lambda: compare(pending(), bare()),
        profiled=pending,
    )
)
