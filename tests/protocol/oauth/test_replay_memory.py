"""The replay memory: one for every endpoint, and what happens where a crash of the database has emptied its beginning."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from aims.authentication.models import SpentProof
from aims.kit import clock
from audit.models import InboxRow
from tests.protocol.ciba.conftest import CIBA, Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.support.oauth_client import ASSERTION_TYPE, PAY

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.urls("aims.authorization.urls"),
    pytest.mark.spec("RFC 7523", "3", "a jti counts once"),
]
GRANT = {"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}


def with_proof(assertion: str, **form: Any) -> dict[str, Any]:
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion} | form


def crash() -> None:
    """Do to the memory what a crash of PostgreSQL does to an unlogged table."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM authentication_memory")


def logged(word: bytes) -> int:
    return sum(word in bytes(row.payload) for row in InboxRow.objects.all())


def test_the_proof_of_a_poll_in_vain_is_good_nowhere_else(door: Door) -> None:
    poll = with_proof(door.courier.assertion(), grant_type=CIBA, auth_req_id=door.asked())
    assert error_of(door.courier.post("/oauth/token", poll)) == (400, "authorization_pending")
    for path, form in (("/oauth/token", GRANT), ("/oauth/token", {}), ("/oauth/bc-authorize", door.form())):
        answer = door.courier.post(path, poll | form)
        assert error_of(answer) == (401, "invalid_client")
    assert door.request().polls == 1


def test_a_proof_used_elsewhere_is_no_poll_and_makes_nobody_early(door: Door) -> None:
    auth_req_id, assertion = door.asked(), door.courier.assertion()
    assert door.courier.post("/oauth/token", with_proof(assertion, **GRANT)).status_code == 200
    poll = with_proof(assertion, grant_type=CIBA, auth_req_id=auth_req_id)
    assert error_of(door.courier.post("/oauth/token", poll)) == (401, "invalid_client")
    assert error_of(door.poll(auth_req_id)) == (400, "authorization_pending")
    assert door.request().polls == 1


def test_a_proof_from_a_clock_ahead_of_ours_polls_once_too(door: Door) -> None:
    ahead = door.courier.assertion(iat=clock.epoch_s() + 20)
    poll = with_proof(ahead, grant_type=CIBA, auth_req_id=door.asked())
    answers = [error_of(door.courier.post("/oauth/token", poll)) for _ in range(2)]
    assert answers == [(400, "authorization_pending"), (401, "invalid_client")]


def test_a_resource_server_that_repeats_a_proof_is_refused_and_recorded(door: Door) -> None:
    server = door.stage.server
    form = server.signed({"token": "unknown"})
    assert [server.post("/oauth/introspect", form).status_code for _ in range(2)] == [200, 401]
    assert logged(b'"reason":"replayed"') == 1


def test_what_was_made_before_the_memory_begins_anew_is_refused_everywhere(door: Door) -> None:
    auth_req_id = door.asked()
    old = [door.courier.assertion(iat=clock.epoch_s() - 30) for _ in range(4)]
    crash()
    remembered = SpentProof.objects.count()
    poll = {"grant_type": CIBA, "auth_req_id": auth_req_id}
    forms = [("token", GRANT), ("token", poll), ("bc-authorize", door.form()), ("revoke", {"token": auth_req_id})]
    for (path, form), assertion in zip(forms, old, strict=True):
        answer = door.courier.post(f"/oauth/{path}", with_proof(assertion, **form))
        assert error_of(answer) == (401, "invalid_client")
    assert (SpentProof.objects.count(), door.request().state) == (remembered, "pending")
    assert logged(b'"reason":"forgotten"') == 4


def test_a_memory_that_began_anew_takes_what_is_made_from_then_on(door: Door) -> None:
    auth_req_id = door.asked()
    crash()
    assert error_of(door.poll(auth_req_id)) == (401, "invalid_client")
    with clock.shifted(timedelta(seconds=2)):
        assert error_of(door.poll(auth_req_id)) == (400, "authorization_pending")
        assert door.courier.token(scope="accounts.read").status_code == 200
