"""An approval redeemed in the one statement that writes its token, against the same in the ordinary transaction."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import patch
from urllib.parse import urlencode

from django.test import RequestFactory

from aims.authorization.endpoints.token import token
from aims.authorization.models import ApprovalRequest, BackchannelRequest
from aims.authorization.services import redemption_row
from aims.kit import clock
from aims.kit.ids import digest, new_ref, new_secret
from tests.bench.cases import Case, case
from tests.bench.polls import CIBA
from tests.bench.rate import ROUNDS, compare
from tests.bench.tokens import on
from tests.protocol.ciba.conftest import door_at
from tests.support.oauth_client import ASSERTION_TYPE, MEDIA_TYPE

CALLS = 25
GOOD_FOR_S = 290  # of assertions that are signed before anything is timed
_factory = RequestFactory()
_originals: list[ApprovalRequest] = []


def _approved() -> ApprovalRequest:
    """Return a request that Ada has really signed; what is redeemed are copies of it."""
    if not _originals:
        door = door_at(on())
        door.asked(requested_expiry="3600")
        door.approve()
        _originals.append(door.request())
    return _originals[0]


def redeeming() -> Callable[[], None]:
    """Return a call that redeems one approval."""
    request = _approved()
    bodies = iter([_body(request) for _ in range((ROUNDS + 1) * CALLS)])

    def call() -> None:
        response = token(_factory.post("/oauth/token", next(bodies), content_type=MEDIA_TYPE))
        assert response.status_code == 200, response.content

    return call


def ordinary() -> Callable[[], None]:
    """Return the same, locked, judged and written one after the other."""
    call = redeeming()

    def locked() -> None:
        with patch.object(redemption_row, "redeem", lambda *said, **more: None):
            call()

    return locked


def _body(approved: ApprovalRequest) -> str:
    eligible = list(approved.eligible.all())
    copy = ApprovalRequest.objects.get(pk=approved.pk)
    copy.pk, copy.ref, copy.opened_at = None, new_ref("req"), clock.now()
    copy.save(force_insert=True)
    copy.eligible.set(eligible)
    auth_req_id = new_secret()
    BackchannelRequest.objects.create(request=copy, auth_req_id_hash=digest(auth_req_id), mode="poll")
    assertion = on().courier.assertion(exp=clock.epoch_s() + GOOD_FOR_S)
    return urlencode(
        {
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
            "grant_type": CIBA,
            "auth_req_id": auth_req_id,
        }
    )


case(
    Case(
        name="CIBA redemption",
        baseline="in a transaction",
        bar=1.5,
        measure=lambda: compare(redeeming(), ordinary(), calls=CALLS),
        profiled=redeeming,
    )
)
