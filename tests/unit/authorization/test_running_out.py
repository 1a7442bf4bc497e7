"""The sweeps of grants: notice beforehand, once, and the end, once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail

from aims.authorization import tasks
from aims.authorization.models import DelegationGrant
from aims.authorization.queries import NOTICE_BEFORE
from aims.authorization.request_errors import AlreadyDecided, GrantChanged
from aims.authorization.services.grants import narrow_grant, revoke_grant
from aims.authorization.services.running_out import expire_due, told_of, warn_due
from aims.kit import clock
from aims.people.models import User
from tests.protocol.ciba.conftest import Door
from tests.protocol.ciba.conftest import door as door
from tests.support.oauth_client import BY
from tests.unit.authorization.entries import entries, types_since
from tests.unit.authorization.test_budgets import EVERYTHING, only
from tests.unit.authorization.test_grants import give, take_back, wide
from tests.unit.authorization.test_narrowing import narrow, narrower

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
EXPIRING, EXPIRED = "authorization.grant.expiring", "authorization.grant.expired"


def lasting(door: Door, **lasts: float) -> DelegationGrant:
    grant = give(door, until_at=clock.now() + timedelta(**lasts), **EVERYTHING)
    take_back(wide(door))
    return grant


def test_notice_comes_once_to_the_giver_and_to_who_answers_for_the_agent(door: Door) -> None:
    olga = User.objects.create(email="olga@acme.example", name="Olga")
    grant = lasting(door, days=30)
    type(door.stage.agent).objects.update(owner=olga)
    assert warn_due(now=grant.until_at - NOTICE_BEFORE - timedelta(seconds=1)) == 0
    before, at = len(entries()), grant.until_at - NOTICE_BEFORE
    assert [warn_due(now=at), warn_due(now=at + timedelta(hours=1))] == [1, 0]
    assert types_since(before) == [EXPIRING]
    assert entries(EXPIRING)[-1]["data"] == {
        "grant": grant.ref,
        "from_person": door.stage.ada.ref,
        "until": int(grant.until_at.timestamp()),
    }
    assert sorted(message.to[0] for message in mail.outbox) == ["ada@acme.example", "olga@acme.example"]
    assert f"/grants/{grant.ref}/" in mail.outbox[0].body and "Courier" in mail.outbox[0].subject


def test_one_who_is_both_is_told_once_and_one_who_left_not_at_all(door: Door) -> None:
    grant = lasting(door, days=30)
    assert told_of(grant) == [door.stage.ada]
    User.objects.update(is_active=False)
    grant = DelegationGrant.objects.select_related("agent__owner", "from_person").get(pk=grant.pk)
    assert told_of(grant) == []


@pytest.mark.parametrize(
    ("lasts", "left", "is_told"),
    [
        ({"hours": 8}, {"hours": 2, "seconds": -1}, True),
        ({"hours": 8}, {"hours": 2, "seconds": 1}, False),
        ({"hours": 1}, {"minutes": 1}, False),
        ({"days": 30}, {"seconds": 0}, False),
    ],
)
def test_a_short_grant_has_its_notice_in_its_last_quarter_and_a_very_short_one_none(
    door: Door, lasts: dict[str, float], left: dict[str, float], is_told: bool
) -> None:
    grant = lasting(door, **lasts)
    assert (warn_due(now=grant.until_at - timedelta(**left)) == 1) is is_told


def test_a_new_end_gets_a_notice_of_its_own(door: Door) -> None:
    grant = lasting(door, days=30)
    assert warn_due(now=grant.until_at - timedelta(days=1)) == 1
    narrow(grant, until_at=grant.until_at - timedelta(days=10))
    assert warn_due(now=grant.until_at - timedelta(hours=1)) == 1
    take_back(grant)
    assert warn_due(now=grant.until_at - timedelta(minutes=30)) == 0


def test_a_mail_that_can_not_be_sent_stops_nothing(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    grant = lasting(door, days=30)
    give(door, until_at=grant.until_at, **EVERYTHING)

    def refuse(*_: Any) -> None:
        raise OSError("nobody answers")

    monkeypatch.setattr("django.core.mail.backends.locmem.EmailBackend.send_messages", refuse)
    assert warn_due(now=grant.until_at - timedelta(days=1)) == 2
    assert len(entries(EXPIRING)) == 2


def test_a_name_with_a_line_break_can_not_add_a_header(door: Door) -> None:
    grant = lasting(door, days=30)
    type(door.stage.agent).objects.update(name="Courier\nBcc: x@evil.example")
    assert warn_due(now=grant.until_at - timedelta(days=1)) == 1
    assert "\n" not in mail.outbox[0].subject


def test_a_grant_that_ran_out_is_recorded_once_and_withdraws_what_waits(door: Door) -> None:
    grant = lasting(door, hours=2)
    door.asked(requested_expiry="259200")
    before, end = len(entries()), grant.until_at
    assert expire_due(now=end - timedelta(seconds=1)) == 0
    assert [expire_due(now=end), expire_due(now=end)] == [1, 0]
    assert types_since(before) == [EXPIRED, "authorization.request.cancelled"]
    assert entries("authorization.request.cancelled")[-1]["data"]["reason"] == "grant_expired"


def test_the_tasks_are_the_sweeps(door: Door) -> None:
    grant = lasting(door, days=30)
    with clock.shifted(timedelta(days=29)):
        assert (tasks.warn_of_grants(), tasks.expire_grants()) == (1, 0)
    with clock.shifted(timedelta(days=31)):
        assert (tasks.warn_of_grants(), tasks.expire_grants()) == (0, 1)
    grant.refresh_from_db()
    assert grant.warned_at is not None and grant.expired_at is not None


def test_who_decided_on_an_older_grant_changes_nothing(door: Door) -> None:
    grant = only(door, depth=1)
    seen = grant.version
    narrow(grant, depth=0)
    before = len(entries())
    with pytest.raises(GrantChanged):
        narrow_grant(grant, narrower(grant, actions=("accounts.read",)), by=BY, now=clock.now(), seen_version=seen)
    with pytest.raises(GrantChanged):
        revoke_grant(grant, by=BY, now=clock.now(), seen_version=seen)
    assert types_since(before) == []
    revoke_grant(grant, by=BY, now=clock.now(), seen_version=grant.version)
    with pytest.raises(AlreadyDecided):
        revoke_grant(grant, by=BY, now=clock.now(), seen_version=grant.version)
