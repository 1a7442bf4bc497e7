"""The bootstrap, without a network: what it decides, and in which order it trusts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from aims import bootstrap


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    (tmp_path / ".venv").mkdir()
    for name in ("run.txt", "dev.txt"):
        (tmp_path / name).write_text(f"the {name} lock")
    return tmp_path / "run.txt"


def test_it_does_nothing_when_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIMS_NO_BOOTSTRAP", "1")
    monkeypatch.setattr(bootstrap, "install", lambda lock: pytest.fail("installed"))
    bootstrap.ensure(["manage.py", "serve"])


def test_an_environment_without_a_stamp_is_stale(lock: Path) -> None:
    assert not bootstrap.is_fresh(lock)


def test_a_stamp_of_another_lock_is_stale(lock: Path) -> None:
    (bootstrap.VENV / bootstrap.STAMP).write_text("0" * 64)
    assert not bootstrap.is_fresh(lock)


def test_the_development_lock_covers_the_other_but_not_the_reverse(lock: Path) -> None:
    development = lock.with_name("dev.txt")
    (bootstrap.VENV / bootstrap.STAMP).write_text("\n".join(bootstrap.covered_by(lock)))
    assert (bootstrap.is_fresh(lock), bootstrap.is_fresh(development)) == (True, False)
    (bootstrap.VENV / bootstrap.STAMP).write_text("\n".join(bootstrap.covered_by(development)))
    assert (bootstrap.is_fresh(lock), bootstrap.is_fresh(development)) == (True, True)


def test_a_venv_that_cannot_be_made_is_one_line_of_advice(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no ensurepip")

    monkeypatch.setattr("venv.create", refuse)
    with pytest.raises(SystemExit, match="python3-venv") as ended:
        bootstrap.make_venv()
    assert "\n" not in str(ended.value)


def test_it_imports_nothing_but_the_standard_library() -> None:
    command = f"{sys.executable} -S -I -c 'import runpy; runpy.run_path(\"{bootstrap.__file__}\")'"
    assert os.system(command) == 0
