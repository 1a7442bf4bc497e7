"""Each durable step of a decision fails, before and after; then a race on two real connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aims.authorization.models import ApprovalRequest
from aims.authorization.request_errors import AlreadyDecided
from aims.authorization.services import requests
from aims.kit import clock
from aims.kit.errors import AimsError
from approvals import services
from approvals.models import Decision, PreparedContext, Receipt
from approvals.services import decisions
from audit.models import InboxRow
from tests.support.log import written_once
from tests.support.racing import at_once
from tests.unit.approvals import stage as stages
from tests.unit.approvals.stage import Stage

__all__ = ["written_once"]
STEPS = ["_lock", "_consume", "_insert", "_touch", "record"]


class Broken(Exception):
    """The step that was made to fail."""


@pytest.fixture
def stage(written_once: None) -> Stage:
    return stages.build()


def breaking(what: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    def broken(*args: Any, **kwargs: Any) -> Any:
        if after:
            what(*args, **kwargs)
        raise Broken

    return broken


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_fails_leaves_nothing_behind(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    entries = InboxRow.objects.count()
    with monkeypatch.context() as patch:
        patch.setattr(decisions, step, breaking(getattr(decisions, step), after=after))
        with pytest.raises(Broken):
            stage.approve(request, response=response)
    request.refresh_from_db()
    assert (request.state, request.receipt_ref) == ("pending", "")
    assert not Decision.objects.exists()
    assert not Receipt.objects.exists()
    assert PreparedContext.objects.count() == 1
    assert InboxRow.objects.count() == entries
    stage.passkey.refresh_from_db()
    assert stage.passkey.sign_count == 0
    # The same assertion is still good: nothing was spent.
    stage.approve(request, response=response)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_the_move_itself_failing_leaves_nothing_behind(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    with monkeypatch.context() as patch:
        patch.setattr(requests, "approve", breaking(requests.approve, after=after))
        with pytest.raises(Broken):
            stage.approve(request, response=response)
    assert ApprovalRequest.objects.get().state == "pending"
    assert not Receipt.objects.exists()


@pytest.mark.scaled
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(5))
def test_yes_against_withdrawal_has_one_winner(stage: Stage, round_: int) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    mine, theirs = ApprovalRequest.objects.get(), ApprovalRequest.objects.get()
    outcomes = at_once(
        lambda: stage.approve(mine, response=response),
        lambda: requests.cancel(theirs, by=stage.agent.identifier, reason="client", now=clock.now()),
    )
    request.refresh_from_db()
    # A yes may be withdrawn before it is used; a withdrawal can't be answered with a yes.
    assert request.state == "cancelled"
    assert Receipt.objects.count() == Decision.objects.count() == (0 if isinstance(outcomes[0], AlreadyDecided) else 1)


@pytest.mark.scaled
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(5))
def test_yes_against_no_has_one_winner_and_one_record(stage: Stage, round_: int) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    yes, no = ApprovalRequest.objects.get(), ApprovalRequest.objects.get()
    outcomes = at_once(
        lambda: stage.approve(yes, response=response),
        lambda: services.deny(no, person=stage.ada, session_key="s2", response=None, now=clock.now()),
    )
    request.refresh_from_db()
    assert sum(isinstance(outcome, AimsError) for outcome in outcomes) == 1
    assert request.state in ("approved", "denied")
    assert Decision.objects.get().decision == ("approve" if request.state == "approved" else "deny")
    assert Receipt.objects.count() == (request.state == "approved")


@pytest.mark.scaled
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(5))
def test_one_assertion_sent_twice_counts_once(stage: Stage, round_: int) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    twice = [ApprovalRequest.objects.get(), ApprovalRequest.objects.get()]
    outcomes = at_once(*[lambda each=each: stage.approve(each, response=response) for each in twice])
    assert sum(isinstance(outcome, AimsError) for outcome in outcomes) == 1
    assert Decision.objects.count() == Receipt.objects.count() == 1
    request.refresh_from_db()
    assert request.state == "approved"
