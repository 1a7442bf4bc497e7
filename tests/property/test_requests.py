"""The life of an approval request as a state machine: only lawful moves, an end is an end, at most one token."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from aims.authorization.models import AccessToken, ApprovalRequest
from aims.authorization.services.agents import resume_agent, suspend_agent
from aims.authorization.services.requests import cancel, expire_due, reconsider
from aims.authorization.states import LAWFUL, TERMINAL, RequestState
from aims.identifier.models import AgentState
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.policy.services import load_policy
from tests.protocol.ciba.conftest import Door
from tests.protocol.ciba.conftest import door as door
from tests.protocol.ciba.test_poll import DENY_ALL
from tests.support.oauth_client import BY, POLICY

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]


def test_whatever_happens_in_whatever_order(door: Door) -> None:
    class Life(RuleBasedStateMachine):
        """One request; every rule may fail with one of our errors, and then nothing may have moved unlawfully."""

        @initialize()
        def opens(self) -> None:
            self.point = transaction.savepoint()
            self.later = clock.shifted(timedelta())
            self.later.__enter__()
            self.passed: list[Any] = []
            self.auth_req_id = door.asked()
            self.seen, self.granted = RequestState.PENDING, 0

        @rule()
        def ada_says_yes(self) -> None:
            with contextlib.suppress(AimsError, ValueError):
                door.approve()

        @rule()
        def ada_says_no(self) -> None:
            with contextlib.suppress(AimsError):
                door.deny()

        @rule()
        def the_agent_polls(self) -> None:
            answer = door.poll(self.auth_req_id)
            assert answer.status_code in (200, 400, 401)
            self.granted += answer.status_code == 200

        @rule()
        def the_agent_withdraws(self) -> None:
            door.courier.post("/oauth/revoke", door.courier.signed({"token": self.auth_req_id}))

        @rule()
        def an_admin_withdraws(self) -> None:
            with contextlib.suppress(AimsError):
                cancel(door.request(), by=BY, reason="client", now=clock.now())

        @rule()
        def the_agent_is_stopped_and_let_on(self) -> None:
            door.stage.agent.refresh_from_db()
            verb = suspend_agent if door.stage.agent.state == AgentState.ACTIVE else resume_agent
            verb(door.stage.agent, reason="test", by=BY, now=clock.now())

        @rule()
        def the_policy_changes(self) -> None:
            load_policy(DENY_ALL, by=BY, now=clock.now())
            reconsider(door.request(), now=clock.now())
            load_policy(POLICY, by=BY, now=clock.now())

        @rule()
        def time_passes(self) -> None:
            self.passed.append(clock.shifted(timedelta(seconds=130)))
            self.passed[-1].__enter__()
            expire_due(now=clock.now())

        @invariant()
        def it_moved_lawfully(self) -> None:
            if not hasattr(self, "seen"):
                return
            state = RequestState(ApprovalRequest.objects.latest("pk").state)
            assert state == self.seen or state in reachable(self.seen)
            assert self.seen not in TERMINAL or state == self.seen
            self.seen = state

        @invariant()
        def there_is_at_most_one_token_and_only_for_a_redeemed_request(self) -> None:
            if not hasattr(self, "seen"):
                return
            tokens = AccessToken.objects.filter(request=ApprovalRequest.objects.latest("pk")).count()
            assert tokens == self.granted == (self.seen == RequestState.REDEEMED)

        def teardown(self) -> None:
            for passed in reversed(getattr(self, "passed", [])):
                passed.__exit__(None, None, None)
            if hasattr(self, "point"):
                self.later.__exit__(None, None, None)
                transaction.savepoint_rollback(self.point)
                door.stage.agent.refresh_from_db()

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=15, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def reachable(state: RequestState) -> set[RequestState]:
    """Return every state that lawful moves lead to, in any number of steps."""
    found: set[RequestState] = set()
    edge = set(LAWFUL[state])
    while edge:
        found |= edge
        edge = {after for each in edge for after in LAWFUL[each]} - found
    return found
