"""Holds and retention: what takes one admin, what takes two, and how a hold is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from aims.compliance import errors
from aims.compliance.kinds import ConsentKind
from aims.compliance.services import keeping
from aims.kit import clock
from audit.keeping.models import Hold
from audit.models import InboxRow
from tests.support.log import written_once
from tests.unit.compliance.test_consents import somebody
from tests.unit.compliance.test_keeping import _agreed, _said
from tests.unit.people.driver import Somebody

__all__ = ["written_once"]
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def adm(db: None) -> Somebody:
    return somebody("adm", "admin")


@pytest.fixture
def bo(db: None) -> Somebody:
    return somebody("bo", "admin")


def test_shortening_needs_a_consent_to_exactly_these_numbers_and_lengthening_needs_none(
    adm: Somebody, bo: Somebody
) -> None:
    keeping.keep_longer(24, by=adm.person.ref)
    with pytest.raises(errors.RetentionRefused):
        keeping.keep_longer(12, by=adm.person.ref)
    consent = _agreed(ConsentKind.RETENTION_SHORTEN, {"months_before": 24, "months": 12}, adm, bo)
    keeping.keep_longer(36, by=adm.person.ref)
    with pytest.raises(errors.ConsentMissing):  # it is 36 now, which nobody agreed to shorten
        keeping.keep_shorter(12, consent=consent.ref, by=adm.person.ref, now=clock.now())
    again = _agreed(ConsentKind.RETENTION_SHORTEN, {"months_before": 36, "months": 12}, adm, bo)
    keeping.keep_shorter(12, consent=again.ref, by=adm.person.ref, now=clock.now())
    assert [(each["months_before"], each["months"]) for each in _said("audit.retention.changed")] == [
        (13, 24),
        (24, 36),
        (36, 12),
    ]


def test_a_hold_is_released_only_with_a_consent_and_once(adm: Somebody, bo: Somebody) -> None:
    hold = keeping.place_hold("all", reason="Case 17", by=adm.person.ref, now=clock.now())
    other = keeping.place_hold("all", reason="Case 18", by=adm.person.ref, now=clock.now())
    consent = _agreed(ConsentKind.HOLD_RELEASE, {"hold": hold.ref}, adm, bo)
    with pytest.raises(errors.ConsentMissing):
        keeping.release_hold(other.ref, consent=consent.ref, by=adm.person.ref, now=clock.now())
    keeping.release_hold(hold.ref, consent=consent.ref, by=adm.person.ref, now=clock.now())
    with pytest.raises(errors.ConsentMissing):
        keeping.release_hold(hold.ref, consent=consent.ref, by=adm.person.ref, now=clock.now())
    assert [each.ref for each in Hold.objects.filter(released_at=None)] == [other.ref]


@pytest.mark.parametrize(
    "told",
    [
        {"kind": "none"},
        {"kind": "person"},
        {"kind": "person", "person": "Zoe Q"},
        {"kind": "person", "person": "usr_1", "agent": "spiffe://a/b"},
        {"kind": "all", "person": "usr_1"},
        {"kind": "agent"},
        {"kind": "agent", "agent": "x" * 2049},
        {"kind": "period"},
    ],
)
def test_a_hold_is_told_by_what_its_kind_needs_and_nothing_else(adm: Somebody, told: dict[str, str]) -> None:
    with pytest.raises(errors.HoldRefused):
        keeping.place_hold(**told, reason="Case 17", by=adm.person.ref, now=clock.now())  # type: ignore[arg-type]
    assert not Hold.objects.exists()


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "a\x00b", "a\u202eb"])
def test_a_hold_has_a_reason_of_printable_words_and_it_stays_out_of_the_log(adm: Somebody, reason: str) -> None:
    with pytest.raises(errors.HoldRefused):
        keeping.place_hold("all", reason=reason, by=adm.person.ref, now=clock.now())
    keeping.place_hold("all", reason="Zoë against Acme", by=adm.person.ref, now=clock.now())
    assert not any("Acme" in bytes(row.payload).decode() for row in InboxRow.objects.all())
