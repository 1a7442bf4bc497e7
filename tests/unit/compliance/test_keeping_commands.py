"""Keeping from the command line: the same verbs, and no way around the second person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from pytest_django import Settings

from aims.compliance.kinds import ConsentKind
from aims.compliance.services import consents
from aims.kit import clock
from aims.people import services as people
from audit.keeping import keystore, state
from audit.keeping.models import Erasure, Hold
from tests.support.log import written_once
from tests.unit.compliance.test_consents import confirm, somebody
from tests.unit.people.driver import Somebody

__all__ = ["written_once"]


@pytest.fixture(autouse=True)
def _apart(tmp_path: Path, settings: Settings) -> Iterator[None]:
    settings.PERSON_KEYS = str(tmp_path / "keys.sqlite3")
    settings.EXPORT_DIR = str(tmp_path / "exports")
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def adm(db: None) -> Somebody:
    return somebody("adm", "admin")


@pytest.fixture
def bo(db: None) -> Somebody:
    return somebody("bo", "admin")


def _agreed(kind: ConsentKind, params: dict[str, Any], asker: Somebody, other: Somebody) -> str:
    consent = consents.ask(kind, params, reason="policy", note="", by=asker.person, now=clock.now())
    confirm(consent, other)
    return consent.ref


def test_a_hold_is_placed_listed_and_released_with_a_consent_only(
    adm: Somebody, bo: Somebody, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("hold", "--person", "usr_1", "--reason", "Case 17")
    ref = capsys.readouterr().out.strip()
    call_command("hold")
    assert ref in capsys.readouterr().out
    for wrong in ([], ["--consent", "con_none"]):
        with pytest.raises(CommandError, match="consent of a second person"):
            call_command("hold", "--release", ref, *wrong)
    call_command("hold", "--release", ref, "--consent", _agreed(ConsentKind.HOLD_RELEASE, {"hold": ref}, adm, bo))
    hold = Hold.objects.get(ref=ref)
    assert hold.placed_by.startswith("cli:") and hold.released_by.startswith("cli:")
    with pytest.raises(CommandError, match="needs a reason"):
        call_command("hold", "--all")


def test_the_log_is_kept_longer_at_once_and_shorter_with_a_consent_only(
    adm: Somebody, bo: Somebody, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("retention", "24")
    assert "Kept for 24 months" in capsys.readouterr().out
    with pytest.raises(CommandError, match="consent of a second person"):
        call_command("retention", "6")
    with pytest.raises(CommandError, match="6 to 240 months"):
        call_command("retention", "241")
    params = {"months_before": 24, "months": 6}
    call_command("retention", "6", "--consent", _agreed(ConsentKind.RETENTION_SHORTEN, params, adm, bo))
    assert state.current().months == 6


def test_a_person_is_erased_with_a_consent_only(
    adm: Somebody, bo: Somebody, capsys: pytest.CaptureFixture[str]
) -> None:
    zoe = people.create_person(email="zoe@example.org", name="Zoe", by="cli:op", now=clock.now())
    with pytest.raises(CommandError, match="consent of a second person"):
        call_command("erase", zoe.ref, "--basis", "request", "--consent", "con_none")
    consent = _agreed(ConsentKind.PERSON_ERASE, {"person": zoe.ref, "basis": "request"}, adm, bo)
    with pytest.raises(CommandError, match="consent of a second person"):
        call_command("erase", zoe.ref, "--basis", "law", "--consent", consent)
    call_command("erase", zoe.ref, "--basis", "request", "--consent", consent)
    assert "2 values erased." in capsys.readouterr().out
    assert Erasure.objects.get().by.startswith("cli:")
    assert keystore.key_of(zoe.ref) is None


def test_keys_of_people_are_sealed_again_with_the_others(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    people.create_person(email="zoe@example.org", name="Zoe", by="cli:op", now=clock.now())
    call_command("rewrap")
    assert "and those of 1 people" in capsys.readouterr().out
