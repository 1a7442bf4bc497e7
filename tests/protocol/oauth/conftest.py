"""A stage on which requests have plans, and whether they had one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aims.authorization.endpoints import plans
from aims.authorization.endpoints.plans import Again, Asked
from aims.authorization.services import gathering
from aims.kit import kept
from tests.support.oauth_client import Stage, stage
from tests.support.planned import Seen, warm


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    watched, ordinary = Seen(), plans.again

    def again(asked: Asked, **said: Any) -> Again | None:
        found = None if watched.is_off else ordinary(asked, **said)
        watched.of.append(found is not None)
        return found

    monkeypatch.setattr(plans, "again", again)
    return watched


@pytest.fixture
def cold(db: None, seen: Seen) -> Iterator[Stage]:
    kept.forget_all()
    gathering.start()
    yield stage()
    gathering.stop()


@pytest.fixture
def planned(cold: Stage, seen: Seen) -> Stage:
    """A stage on which Courier's request has a plan."""
    assert warm(cold.courier, seen) == [False, False, True]
    return cold
