"""A policy that is put in force, and those who grant at the same moment: on PostgreSQL, with real connections."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from aims.authorization.models import AccessToken
from aims.console.configuration.change import Applying
from aims.console.configuration.run import apply
from aims.kit import clock
from aims.kit.prepared import PREPARED_AFTER
from aims.policy import latch, queries
from aims.policy.models import PolicyVersion
from aims.policy.services import DEFAULT_POLICY, load_policy
from tests.protocol.api.conftest import recorded
from tests.protocol.ciba.conftest import Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.protocol.ciba.test_poll import DENY_ALL
from tests.support.log import written_once
from tests.support.oauth_client import BY, PAY
from tests.support.racing import ROUNDS, at_once, overtaken
from tests.unit.authorization.entries import entries

__all__ = ["door", "written_once"]
pytestmark = [
    pytest.mark.scaled,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("aims.authorization.urls"),
]
ISSUED, ACTIVATED = "authorization.token.issued", "policy.version.activated"
Way = Callable[[Door], Callable[[], Any]]


def reading(door: Door) -> Callable[[], Any]:
    return lambda: door.courier.token(scope="accounts.read")


def reading_from_memory(door: Door) -> Callable[[], Any]:
    assert door.courier.token(scope="accounts.read").status_code == 200
    return reading(door)


def redeeming(door: Door) -> Callable[[], Any]:
    auth_req_id = door.asked()
    door.approve()
    return lambda: door.poll(auth_req_id)


WAYS = pytest.mark.parametrize("way", [reading, reading_from_memory, redeeming])


def forbid() -> PolicyVersion:
    return load_policy(DENY_ALL, by=BY, now=clock.now())


def told() -> list[str]:
    """Return what was issued and put in force last, in the order of the log."""
    return [entry["type"] for entry in entries(ISSUED, ACTIVATED)]


@WAYS
def test_who_grants_waits_for_a_policy_that_is_being_put_in_force_and_obeys_it(door: Door, way: Way) -> None:
    grant = way(door)
    held = AccessToken.objects.count()
    _version, answer = overtaken(forbid, grant)
    assert error_of(answer) == (400, "access_denied")
    assert AccessToken.objects.count() == held
    assert told()[-1] == ACTIVATED


@WAYS
def test_a_policy_comes_into_force_after_who_grants_under_the_one_before(door: Door, way: Way) -> None:
    answer, version = overtaken(way(door), forbid)
    assert answer.status_code == 200
    assert version.is_active
    assert told()[-2:] == [ISSUED, ACTIVATED]


@pytest.mark.parametrize("round_", ROUNDS)
def test_no_token_is_logged_after_the_version_that_forbids_it(door: Door, round_: int) -> None:
    reads = [reading_from_memory(door) for _ in range(3)]
    *answers, version = at_once(*reads, forbid)
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert version.is_active
    assert told()[-1] == ACTIVATED
    assert error_of(door.courier.token(scope="accounts.read")) == (400, "access_denied")


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_configuration_that_changes_policy_and_agent_never_deadlocks_with_issuing(door: Door, round_: int) -> None:
    agent = door.stage.agent
    document = {
        "policies": [{"name": "default", "text": DENY_ALL}],
        "grants": [
            {"agent": agent.identifier, "resource": PAY, "actions": ["accounts.read"], "until": "2027-03-01T00:00:00Z"}
        ],
    }
    raw = json.dumps(document).encode()
    reads = [reading_from_memory(door) for _ in range(3)]
    *answers, changes = at_once(*reads, lambda: apply(raw, Applying(by=BY, now=clock.now())))
    assert {answer.status_code for answer in answers} <= {200, 400}
    assert len(changes) == 2


def test_the_statement_that_issues_takes_the_lock_also_once_its_plan_is_kept(door: Door) -> None:
    for _ in range(PREPARED_AFTER + 10):  # PostgreSQL keeps a plan after five executions more
        assert door.courier.token(scope="accounts.read").status_code == 200
    with transaction.atomic(), connection.cursor() as cursor:
        assert door.courier.token(scope="accounts.read").status_code == 200
        cursor.execute(
            "SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'policy_policyversion'::regclass"
        )
        modes = {mode for (mode,) in cursor.fetchall()}
        cursor.execute("SELECT max(generic_plans) FROM pg_prepared_statements")
        (generic,) = cursor.fetchone()
    assert "RowShareLock" in modes
    assert generic, "the plan was kept"


def test_reading_the_policy_goes_on_while_another_is_put_in_force(door: Door) -> None:
    with transaction.atomic():
        latch.hold()
        (found,) = at_once(queries.active)
    assert found is not None


@pytest.mark.parametrize("round_", ROUNDS)
def test_the_first_two_versions_ever_are_numbered_one_after_the_other(db: None, round_: int) -> None:
    texts = (DEFAULT_POLICY.read_text(), DENY_ALL)
    versions = at_once(*[lambda text=text: load_policy(text, by=BY, now=clock.now()) for text in texts])
    assert sorted(version.number for version in versions) == [1, 2]
    active = PolicyVersion.objects.get(is_active=True)
    said = [entry["data"] for entry in recorded(ACTIVATED)]
    assert [each["version_before"] for each in said] == [None, said[0]["version"]]
    assert said[-1]["version"] == active.number


@pytest.mark.parametrize("round_", ROUNDS)
def test_one_text_loaded_twice_at_once_is_one_version(db: None, round_: int) -> None:
    versions = at_once(*[lambda: load_policy(DENY_ALL, by=BY, now=clock.now())] * 3)
    assert {version.number for version in versions} == {1}
    assert (PolicyVersion.objects.count(), len(recorded(ACTIVATED))) == (1, 1)
