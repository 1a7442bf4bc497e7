"""The server dies by kill -9 in the middle of approvals: nothing answered is lost, nothing is granted twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.kill_nine.run import run
from tests.support.running import AimsServer

APPROVALS = 100  # `python -m tests.faults.kill_nine` does a thousand


@pytest.mark.first
def test_what_was_answered_survives_kills_and_nothing_is_granted_twice(start_aims: Callable[..., AimsServer]) -> None:
    outcome = run(start_aims(), approvals=APPROVALS, kills=3, agents=6, approvers=4)
    print(outcome)
    assert outcome.faults == []


@pytest.mark.scaled
def test_what_was_answered_survives_kills_on_postgresql(
    start_aims: Callable[..., AimsServer], own_database: str
) -> None:
    outcome = run(start_aims(AIMS_DATABASE_URL=own_database), approvals=APPROVALS, kills=2, agents=6, approvers=4)
    print(outcome)
    assert outcome.faults == []
