"""Both writers of uses write the same: one contract, for the statement on PostgreSQL and for its twin of the ORM."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.test import RequestFactory

from aims.authentication.errors import ProofForgotten, ProofReplayed
from aims.authentication.models import SpentProof
from aims.authorization.authenticating import authenticated
from aims.authorization.models import AccessToken
from aims.authorization.services import gathering, introspection, using
from aims.authorization.services.using import STALE, Spent, Use
from aims.identifier.models import Agent
from aims.kit import clock
from audit.models import InboxRow
from tests.support.oauth_client import PAY, Machine, Stage, stage

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.spec("AIMS Console", "authorization", "a proof that grants nothing counts once as well"),
]
Write = Callable[[Sequence[Use]], list[Spent]]
RECORDED, UNRECORDED = Spent(True, True), Spent(True, False)


@pytest.fixture(
    params=[using.in_one_transaction] + ([using.in_one_statement] if connection.vendor == "postgresql" else [])
)
def write(request: pytest.FixtureRequest) -> Write:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def on(db: None) -> Stage:
    return stage()


@pytest.fixture
def token(on: Stage) -> str:
    return str(on.courier.token(scope="accounts.read").json()["access_token"])


def asked(machine: Machine, token: str) -> Use:
    """Return what is to be written when a machine asks about a token."""
    form = {name: (value,) for name, value in machine.signed({"token": token}).items()}
    client = authenticated(form, RequestFactory().post("/oauth/introspect"), now=clock.now())
    row = introspection._live(token, audience=PAY, now=clock.now())
    return introspection._use_of(row, client, now=clock.now())


def counts() -> tuple[int, int]:
    return SpentProof.objects.count(), InboxRow.objects.count()


def test_it_spends_the_proof_and_records_the_use(on: Stage, token: str, write: Write) -> None:
    before = counts()
    assert write([asked(on.server, token)]) == [RECORDED]
    assert counts() == (before[0] + 1, before[1] + 1)
    told = json.loads(bytes(InboxRow.objects.latest("pk").payload))
    assert (told["type"], told["by"]) == ("authorization.token.used", PAY)


def test_about_nothing_it_spends_the_proof_alone(on: Stage, write: Write) -> None:
    before = counts()
    assert write([asked(on.server, "nothing")]) == [UNRECORDED]
    assert counts() == (before[0] + 1, before[1])


def test_a_proof_counts_once_whatever_it_asks(on: Stage, token: str, write: Write) -> None:
    one, other = asked(on.server, token), asked(on.server, token)
    nothing = Use(proof=one.proof, now=one.now)
    before = counts()
    assert write([one, other, nothing, one]) == [RECORDED, RECORDED, STALE, STALE]
    assert write([one]) == [STALE]
    assert counts() == (before[0] + 2, before[1] + 2)
    with pytest.raises(ProofReplayed):
        gathering.use(nothing)


@pytest.mark.parametrize("what", ["revoked", "expired", "suspended"])
def test_of_a_token_that_ended_no_use_is_recorded(on: Stage, token: str, write: Write, what: str) -> None:
    use, before = asked(on.server, token), counts()
    if what == "suspended":
        Agent.objects.update(state="suspended")
    else:
        field = "revoked_at" if what == "revoked" else "expires"
        AccessToken.objects.update(**{field: clock.now() - timedelta(seconds=1)})
    assert write([use]) == [UNRECORDED]
    assert counts() == (before[0] + 1, before[1])


def test_a_proof_from_before_our_memory_is_not_spent(on: Stage, token: str, write: Write) -> None:
    use = asked(on.server, token)
    with connection.cursor() as cursor:  # what a crash of PostgreSQL leaves
        cursor.execute("DELETE FROM authentication_memory")
    before = counts()
    assert write([use]) == [STALE]
    assert counts() == before
    with pytest.raises(ProofForgotten):
        gathering.use(use)
