"""The store of people's keys, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import CommandError
from pytest_django import Settings

from aims import startup


@pytest.fixture(autouse=True)
def store(settings: Settings, tmp_path: Path) -> None:
    settings.PERSON_KEYS = str(tmp_path / "person-keys.sqlite3")
    settings.IS_SQLITE = False


@pytest.mark.parametrize("is_scaled", [False, True])
def test_one_process_has_a_store_of_its_own_and_many_must_be_told_which(settings: Settings, is_scaled: bool) -> None:
    settings.IS_SCALED, settings.PERSON_KEYS_IS_CHOSEN = is_scaled, False
    if is_scaled:
        with pytest.raises(CommandError, match="AIMS_PERSON_KEYS is not set"):
            startup.refuse_unsafe(needs_log_key=False)
    else:
        startup.refuse_unsafe(needs_log_key=False)


def test_many_processes_start_with_a_store_that_was_chosen(settings: Settings) -> None:
    settings.IS_SCALED, settings.PERSON_KEYS_IS_CHOSEN = True, True
    startup.refuse_unsafe(needs_log_key=False)
