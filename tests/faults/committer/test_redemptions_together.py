"""Approvals that are used up in a shared commit: one token each, whoever else comes at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from aims.authorization.models import AccessToken, ApprovalRequest
from aims.authorization.services import gathering, issuing
from aims.authorization.services.agents import suspend_agent
from aims.authorization.services.issuing import Issue, Outcome
from aims.kit import clock
from aims.kit import committer as kit
from tests.protocol.ciba.conftest import CIBA, Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.support.oauth_client import BY, Machine
from tests.support.racing import at_once
from tests.unit.authorization.entries import entries

__all__ = ["door"]
pytestmark = [
    pytest.mark.scaled,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("aims.authorization.urls"),
]
REDEEMED, ISSUED = "authorization.request.redeemed", "authorization.token.issued"


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many rows each commit had, while tokens gather."""
    monkeypatch.setattr(kit, "RETRY_S", 0.02)
    sizes, write = list[int](), issuing.in_one_statement

    def counted(batch: list[Issue], *, waits: bool) -> list[Outcome]:
        sizes.append(len(batch))
        return write(batch, waits=waits)

    monkeypatch.setattr(issuing, "in_one_statement", counted)
    gathering.start()
    yield sizes
    gathering.stop()


def polling(door: Door, auth_req_id: str) -> Callable[[], Any]:
    """Return a poll by a connection of its own, signed before."""
    machine = Machine(door.courier.client_id, key=door.courier.key)
    form = machine.signed({"grant_type": CIBA, "auth_req_id": auth_req_id})
    return lambda: machine.post("/oauth/token", form)


def approved(door: Door) -> str:
    auth_req_id = door.asked()
    door.approve()
    return auth_req_id


def test_many_redeem_one_approval_and_one_gets_the_token(door: Door, batches: list[int]) -> None:
    for round_ in range(1, 3):
        auth_req_id = approved(door)
        answers = at_once(*[polling(door, auth_req_id) for _ in range(8)])
        assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
        assert {error_of(answer)[1] for answer in answers if answer.status_code == 400} == {"invalid_grant"}
        assert AccessToken.objects.count() == len(entries(REDEEMED)) == len(entries(ISSUED)) == round_
    assert batches


def test_many_approvals_are_used_up_together(door: Door, batches: list[int]) -> None:
    waiting = [approved(door) for _ in range(4)]
    answers = at_once(*[polling(door, auth_req_id) for auth_req_id in waiting for _ in range(2)])
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [400] * 4
    assert set(ApprovalRequest.objects.values_list("state", flat=True)) == {"redeemed"}
    assert AccessToken.objects.count() == len(entries(REDEEMED)) == 4


def test_a_suspension_at_the_same_moment_leaves_no_token_that_counts(door: Door, batches: list[int]) -> None:
    auth_req_id = approved(door)
    agent = door.stage.agent
    poll, _done = at_once(
        polling(door, auth_req_id), lambda: suspend_agent(agent, reason="test", by=BY, now=clock.now())
    )
    live = AccessToken.objects.filter(revoked_at=None, agent__state="active").count()
    assert (poll.status_code, live) in {(200, 0), (400, 0), (401, 0)}
    assert len(entries(REDEEMED)) == (poll.status_code == 200)
    assert door.request().state == ("redeemed" if poll.status_code == 200 else "cancelled")


def test_a_request_that_somebody_is_changing_holds_no_batch_up(door: Door, batches: list[int]) -> None:
    held = approved(door)
    request, free = door.request(), approved(door)
    with transaction.atomic():
        ApprovalRequest.objects.select_for_update(no_key=True).get(pk=request.pk)
        (answer,) = at_once(polling(door, free))
        assert answer.status_code == 200
    assert polling(door, held)().status_code == 200


def test_who_withdraws_first_wins(door: Door, batches: list[int]) -> None:
    auth_req_id = approved(door)
    revoke = door.courier.signed({"token": auth_req_id})
    poll, _done = at_once(polling(door, auth_req_id), lambda: door.courier.post("/oauth/revoke", revoke))
    state = ApprovalRequest.objects.get().state
    assert (poll.status_code, state) in {(200, "redeemed"), (400, "cancelled")}
    assert AccessToken.objects.filter(revoked_at=None).count() == (poll.status_code == 200)
