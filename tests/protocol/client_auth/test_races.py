"""One proof sent twice at once, on two connections: one token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aims.authorization.models import AccessToken
from tests.protocol.client_auth.conftest import READ, SPIFFE, Town
from tests.support.racing import at_once
from tests.support.workload import Workload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("aims.authorization.urls")]


@pytest.mark.spec("draft-ietf-oauth-spiffe-client-auth", "jwt-spiffe", "of one JWT-SVID sent twice at once, one counts")
@pytest.mark.spec("draft-ietf-wimse-wpt", "3.2", "of one proof sent twice at once, one counts")
@pytest.mark.parametrize("method", ["spiffe_jwt", "wimse_wit_wpt", "wimse_http_signature"])
def test_a_proof_sent_twice_at_once_counts_once(town: Town, method: str) -> None:
    town.trusts(town.domain.bundle(use="jwt-svid" if method == "spiffe_jwt" else "wit-svid"))
    town.registers(method)
    send = _sending(town, method)
    statuses = sorted(answer.status_code for answer in at_once(send, send, send))
    assert statuses == [200, 401, 401]
    assert AccessToken.objects.count() == 1


def _sending(town: Town, method: str) -> Callable[[], Any]:
    work = Workload(domain=town.domain, name=town.me)
    svid = {"client_assertion_type": SPIFFE, "client_assertion": town.domain.jwt_svid(town.me)}
    form = READ | (svid if method == "spiffe_jwt" else {})
    headers = {"wimse_wit_wpt": work.proved, "wimse_http_signature": lambda: work.signed(READ)}.get(method, dict)()
    return lambda: town.post(form, **headers)
