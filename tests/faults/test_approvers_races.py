"""Approvers against each other, against time, and against who shuts them out: one winner, one record, nothing half-done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from aims.authorization.models import ApprovalRequest
from aims.authorization.request_errors import AlreadyDecided, NotYours, RequestOver
from aims.authorization.services.requests import expire_due
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.models import Passkey, User
from aims.people.services import create_group, deactivate, end_passkey, end_role, join_group
from aims.policy.services import load_policy
from approvals import services
from approvals.errors import AlreadyYours, AssertionRefused, ContextUnknown, PasskeyEnded
from approvals.models import Decision, PreparedContext, Receipt
from audit.sequencer import Sequencer
from audit.verify import verify_log
from tests.support.log import written_once
from tests.support.racing import ROUNDS, at_once, overtaken
from tests.unit.approvals import stage as stages
from tests.unit.approvals.stage import DEFAULT_POLICY, LOG_KEY, Stage
from tests.unit.authorization.entries import entries

__all__ = ["written_once"]
pytestmark = [pytest.mark.scaled, pytest.mark.django_db(transaction=True)]
Verb = Callable[[], Any]
BY = "cli:test"


@pytest.fixture
def stage(written_once: None) -> Iterator[Stage]:
    """After each race every entry is numbered, and the log verifies."""
    yield stages.build()
    Sequencer(key=LOG_KEY).run_once()
    verdict = verify_log()
    assert verdict.is_good, verdict


def seen() -> ApprovalRequest:
    """Return the request as one thread reads it."""
    return ApprovalRequest.objects.select_related("agent", "agent__owner", "subject").get()


def yes(stage: Stage, person: User, passkey: Passkey, *, session_key: str = "s1") -> Verb:
    """Return a yes that was signed before the race begins."""
    request = seen()
    response = stage.sign(stage.prepare(request, person=person, session_key=session_key), passkey)
    return lambda: services.approve(request, person=person, session_key=session_key, response=response, now=clock.now())


def no(stage: Stage, person: User, passkey: Passkey) -> Verb:
    request = seen()
    response = stage.sign(stage.prepare(request, person=person, decision="deny"), passkey)
    return lambda: services.deny(request, person=person, session_key="s1", response=response, now=clock.now())


def adas_yes(stage: Stage, *, session_key: str = "s1") -> Verb:
    return yes(stage, stage.ada, stage.passkey, session_key=session_key)


def one_decision(state: str) -> Decision:
    """Return the one decision; request, receipt and log say the same, and nothing is left half-done."""
    request, decision = seen(), Decision.objects.get()
    assert (request.state, request.decided_by) == (state, [decision.person.ref])
    assert state in ({"approved", "expired"} if decision.decision == "approve" else {"denied"})
    assert Receipt.objects.count() == (decision.decision == "approve")
    assert len(entries("approvals.decision.approved", "approvals.decision.denied")) == 1
    assert len(entries("authorization.request.approved", "authorization.request.denied")) == 1
    return decision


def nothing_decided(state: str) -> None:
    assert seen().state == state
    assert not Decision.objects.exists()
    assert not Receipt.objects.exists()
    assert PreparedContext.objects.count() == 1  # and the assertion is not spent
    assert not entries("approvals.decision.approved", "authorization.request.approved")


# -- two approvers of one group -----------------------------------------------------------------------------


def group_of_two(stage: Stage) -> tuple[User, Passkey]:
    """Let a group decide instead of the subject; return Ada's colleague and her key."""
    before = clock.now() - timedelta(days=1)
    bea = stages.person("Bea", "approver", since=before)
    finance = create_group("finance", "Finance", by=BY, now=before)
    for person in (stage.ada, bea):
        join_group(finance, person, by=BY, now=before)
    load_policy(DEFAULT_POLICY.replace('@ask("subject")', '@ask("group:finance")'), by=BY, now=before)
    return bea, stages.enrol(bea, stage.authenticator, at=before)


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize(("mine", "hers"), [(yes, yes), (yes, no), (no, no)], ids=["yes-yes", "yes-no", "no-no"])
def test_two_of_a_group_at_once_are_one_decision(stage: Stage, mine: Any, hers: Any, round_: int) -> None:
    bea = group_of_two(stage)
    stage.open()
    answers = at_once(mine(stage, stage.ada, stage.passkey), hers(stage, *bea))
    [lost] = [answer for answer in answers if isinstance(answer, AimsError)]
    assert isinstance(lost, AlreadyDecided)
    [won] = [answer for answer in answers if answer is not lost]
    assert one_decision("approved" if won.decision == "approve" else "denied") == won
    [refusal] = entries("approvals.decision.refused")
    assert refusal["data"]["reason"] == "already_decided"
    # What the slower one signed is spent by nobody, and worth nothing.
    assert PreparedContext.objects.count() == 1


@pytest.mark.parametrize("first", ["ada", "bea"])
def test_the_slower_of_a_group_is_told_that_it_was_decided(stage: Stage, first: str) -> None:
    bea = group_of_two(stage)
    stage.open()
    verbs = [adas_yes(stage), yes(stage, *bea)]
    won, lost = overtaken(*(verbs if first == "ada" else reversed(verbs)))
    assert isinstance(lost, AlreadyDecided)
    assert one_decision("approved") == won
    assert won.person == (stage.ada if first == "ada" else bea[0])


# -- one approver, twice ------------------------------------------------------------------------------------


def is_too_late(answer: object) -> bool:
    """Return whether the slower of two signatures was told so, by the first check that saw the faster one.

    The key counted one for each of them. Where the faster one has the higher count, the slower one looks like a clone's.
    """
    if isinstance(answer, AssertionRefused):
        return answer.reason == "clone_suspected"
    return isinstance(answer, (AlreadyDecided, AlreadyYours, ContextUnknown))


@pytest.mark.parametrize("round_", ROUNDS)
def test_two_signatures_over_one_context_count_once(stage: Stage, round_: int) -> None:
    stage.open()
    answers = at_once(adas_yes(stage), adas_yes(stage))  # the same challenge, signed twice
    [won] = [answer for answer in answers if not is_too_late(answer)]
    assert one_decision("approved") == won
    assert not PreparedContext.objects.exists()


@pytest.mark.parametrize("round_", ROUNDS)
def test_yes_in_two_sessions_counts_once(stage: Stage, round_: int) -> None:
    stage.open()
    answers = at_once(adas_yes(stage), adas_yes(stage, session_key="s2"))
    [won] = [answer for answer in answers if not is_too_late(answer)]
    assert one_decision("approved") == won
    assert PreparedContext.objects.count() == 1  # the other session's


# -- preparing twice in one session -------------------------------------------------------------------------


@pytest.mark.parametrize("round_", ROUNDS)
def test_two_reloads_at_once_share_one_context(stage: Stage, round_: int) -> None:
    stage.open()
    pages = [seen(), seen()]
    challenges = at_once(*[lambda page=page: bytes(stage.prepare(page).challenge) for page in pages])
    assert len(set(challenges)) == PreparedContext.objects.count() == 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_two_reloads_at_once_replace_a_stale_context_once(stage: Stage, round_: int) -> None:
    stage.open()
    stale = bytes(stage.prepare(seen(), now=clock.now() - timedelta(minutes=9, seconds=30)).challenge)
    pages = [seen(), seen()]
    challenges = at_once(*[lambda page=page: bytes(stage.prepare(page).challenge) for page in pages])
    assert len(set(challenges)) == PreparedContext.objects.count() == 1
    assert stale not in challenges


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_reload_against_a_yes_neither_spends_nor_revives_its_context(stage: Stage, round_: int) -> None:
    stage.open()
    sign, page = adas_yes(stage), seen()
    used = bytes(PreparedContext.objects.get().challenge)
    decision, prepared = at_once(sign, lambda: stage.prepare(page))
    assert one_decision("approved") == decision
    # Either the reload still saw the context that was being spent, or it made one that opens nothing any more.
    left = [bytes(context.challenge) for context in PreparedContext.objects.all()]
    assert used not in left
    assert left in ([], [bytes(prepared.challenge)])


# -- against time -------------------------------------------------------------------------------------------


def over_at() -> datetime:
    return seen().expires_at


@pytest.mark.parametrize("round_", ROUNDS)
def test_yes_against_the_sweep_has_one_winner(stage: Stage, round_: int) -> None:
    stage.open()
    sign, end = adas_yes(stage), over_at()
    answer, swept = at_once(sign, lambda: expire_due(now=end))
    if isinstance(answer, RequestOver):
        assert swept == 1
        nothing_decided("expired")
    else:
        # A sweep that looks after the yes finds an approval that nobody used in time, which ends as well.
        assert one_decision("expired" if swept else "approved") == answer


def test_a_yes_that_the_sweep_overtakes_is_told_that_time_is_over(stage: Stage) -> None:
    stage.open()
    sign, end = adas_yes(stage), over_at()
    swept, answer = overtaken(lambda: expire_due(now=end), sign)
    assert swept == 1
    assert isinstance(answer, RequestOver)
    nothing_decided("expired")


def test_the_sweep_leaves_a_yes_that_overtakes_it(stage: Stage) -> None:
    stage.open()
    sign, end = adas_yes(stage), over_at()
    decision, swept = overtaken(sign, lambda: expire_due(now=end))
    assert swept == 0
    assert one_decision("approved") == decision
    assert not entries("authorization.request.expired")


# -- against who shuts the approver out ---------------------------------------------------------------------

OUT: dict[str, tuple[Callable[[Stage], object], type[AimsError]]] = {
    "deactivated": (lambda stage: deactivate(User.objects.get(pk=stage.ada.pk), by=BY, now=clock.now()), NotYours),
    "role ended": (lambda stage: end_role(stage.ada, "approver", by=BY, now=clock.now()), NotYours),
    "key ended": (lambda stage: end_passkey(stage.passkey, by=BY, now=clock.now()), PasskeyEnded),
}


@pytest.mark.parametrize("how", OUT)
def test_a_yes_that_is_overtaken_by_the_end_of_its_right_decides_nothing(stage: Stage, how: str) -> None:
    stage.open()
    sign, (shut_out, refusal) = adas_yes(stage), OUT[how]
    _done, answer = overtaken(lambda: shut_out(stage), sign)
    assert isinstance(answer, refusal)
    nothing_decided("pending")


@pytest.mark.parametrize("how", OUT)
def test_the_end_of_a_right_waits_for_the_yes_before_it(stage: Stage, how: str) -> None:
    stage.open()
    sign, (shut_out, _refusal) = adas_yes(stage), OUT[how]
    decision, _done = overtaken(sign, lambda: shut_out(stage))
    assert one_decision("approved") == decision
    # The log tells it in the order in which it happened.
    ending = {"people.person.deactivated", "people.role.ended", "people.passkey.ended"}
    told = [entry["type"] for entry in entries("approvals.decision.approved", *ending)]
    assert told[0] == "approvals.decision.approved"
    assert len(told) == 2


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("verb", [yes, no], ids=["yes", "no"])
def test_a_decision_against_the_end_of_its_key_never_deadlocks(stage: Stage, verb: Any, round_: int) -> None:
    stage.open()
    answer, _done = at_once(
        verb(stage, stage.ada, stage.passkey), lambda: end_passkey(stage.passkey, by=BY, now=clock.now())
    )
    if isinstance(answer, AimsError):
        assert isinstance(answer, PasskeyEnded)
        nothing_decided("pending")
    else:
        assert one_decision("approved" if verb is yes else "denied") == answer


# -- one key, two requests ------------------------------------------------------------------------------------


def test_an_assertion_that_a_later_one_overtook_is_refused_and_may_be_signed_again(stage: Stage) -> None:
    first, second = stage.open(), stage.open()
    early, late = (stage.sign(stage.prepare(request)) for request in (first, second))  # the key counts: 1, then 2
    _decision, refusal = overtaken(
        lambda: stage.approve(second, response=late), lambda: stage.approve(first, response=early)
    )
    assert isinstance(refusal, AssertionRefused)
    assert refusal.reason == "clone_suspected"
    assert Passkey.objects.get(pk=stage.passkey.pk).sign_count == 2
    first.refresh_from_db()
    assert (first.state, PreparedContext.objects.get().request) == ("pending", first)
    stage.approve(first)
