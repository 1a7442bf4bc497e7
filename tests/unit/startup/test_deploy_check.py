"""A database that does not wait for its disk fails the deploy check, by an id of its own."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import OperationalError, connection

from aims.console import checks

ON_POSTGRES = connection.vendor == "postgresql"


class Answering:
    """PostgreSQL as far as the check asks it: the outside that the test makes up. settings: None where it is away."""

    vendor = "postgresql"

    def __init__(self, *settings: str | None) -> None:
        self.settings = settings

    def cursor(self) -> Answering:
        if None in self.settings:
            raise OperationalError("connection refused")
        return self

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def execute(self, sql: str) -> None:
        assert "'fsync'" in sql and "'synchronous_commit'" in sql

    def fetchone(self) -> tuple[str | None, ...]:
        return self.settings


def ids(*settings: str | None, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(checks, "connection", Answering(*settings))
    return [str(found.id) for found in run_checks(tags=[checks.TAG], include_deployment_checks=True)]


@pytest.mark.parametrize(
    ("fsync", "waits", "found"),
    [
        ("on", "on", []),
        ("on", "local", []),
        ("on", "remote_write", []),
        ("on", "remote_apply", []),
        ("off", "on", ["aims.E001"]),
        ("on", "off", ["aims.E002"]),
        ("off", "off", ["aims.E001", "aims.E002"]),
        (None, None, ["aims.E003"]),
    ],
)
def test_a_database_that_does_not_wait_is_named(
    monkeypatch: pytest.MonkeyPatch, fsync: str | None, waits: str | None, found: list[str]
) -> None:
    assert ids(fsync, waits, monkeypatch=monkeypatch) == found


def test_the_command_fails_and_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "connection", Answering("off", "on"))
    with pytest.raises(SystemCheckError, match=r"aims\.E001.*fsync is off"):
        call_command("check", "--deploy", "--tag", checks.TAG)
    assert not run_checks(tags=[checks.TAG])  # where nothing is deployed nothing is asked


@pytest.mark.django_db
def test_the_real_database_is_asked() -> None:
    found = [str(each.id) for each in run_checks(tags=[checks.TAG], include_deployment_checks=True)]
    # The suite's own PostgreSQL runs without fsync, for speed.
    assert found == ([checks.UNSYNCED] if ON_POSTGRES else [])
    if ON_POSTGRES:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
        assert [each.id for each in checks.check_durability()] == [checks.UNSYNCED, checks.UNWAITED]
