"""The rules of the house that a machine can hold."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
from django.core.management import call_command

from aims.kit.errors import AimsError
from audit.write import Event
from tests.house.documents import below
from tests.support.running import ROOT

TOP_LEVEL = {
    ".ci", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "aims", "approvals",
    "audit", "docs", "manage.py", "pyproject.toml", "requirements", "static", "templates", "tests",
}  # fmt: skip
PYTHON = ["aims", "approvals", "audit", "tests", "manage.py"]
ALONE = ROOT / "audit/exports/aims_verify.py"  # one file, because it travels without the others
ROOMS = ["kit", "people", "identifier", "policy", "credentials", "authentication", "authorization", "console"]


def tool(*command: str) -> None:
    """Run a tool of the environment; its output is the failure."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def tracked(*patterns: str) -> list[Path]:
    """Return the tracked files that match."""
    listed = subprocess.run(["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_the_imports_go_down() -> None:
    lint = "from importlinter.cli import lint_imports_command as lint; lint()"
    done = subprocess.run([sys.executable, "-c", lint], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_finds_nothing() -> None:
    tool("ruff", "check", *PYTHON)


def test_the_format_is_ruffs() -> None:
    tool("ruff", "format", "--check", *PYTHON)


def test_the_types_are_strict() -> None:
    tool("mypy", *PYTHON)


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, stdout=io.StringIO())


def test_the_top_level_holds_what_the_house_has() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked()} <= TOP_LEVEL


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    source = "\n".join(path.read_text() for path in tracked("aims/*.py", "audit/*.py", "approvals/*.py"))
    read = {f"AIMS_{name}" for name in re.findall(r'\b(?:text|flag|words)\("([A-Z_]+)"', source)}
    named = set(re.findall(r'os\.environ(?:\.get\(|\[)"(AIMS_[A-Z_]+)"', source))
    documented = set(re.findall(r"^\| `(AIMS_[A-Z_]+)`", (ROOT / "docs/configuration.md").read_text(), re.M))
    assert documented == read | named


def test_every_error_has_words_of_its_own() -> None:
    for error in below(AimsError):
        assert error.code, error
        assert error.__doc__ or error.public != AimsError.public, error


def test_every_event_type_is_used_once() -> None:
    types = Counter(
        name for event in below(Event) if (name := getattr(event, "type", None)) and "tests" not in event.__module__
    )
    assert [name for name, count in types.items() if count > 1] == []


def test_every_room_says_what_it_promises() -> None:
    rooms = [ROOT / "aims" / room for room in ROOMS] + [ROOT / "approvals", ROOT / "audit"]
    assert [room.name for room in rooms if not (room / "README.md").is_file()] == []


def test_locks_name_hashes_and_no_address() -> None:
    for lock in tracked("requirements/*.txt"):
        text = lock.read_text()
        assert "--hash=sha256:" in text
        assert "://" not in text, lock


def test_python_files_stay_below_400_lines() -> None:
    files = [path for path in tracked("*.py") if "migrations" not in path.parts]
    assert [str(path) for path in files if path.read_text().count("\n") > 400 and path != ALONE] == []


def test_a_folder_of_tests_is_a_package_only_within_one() -> None:
    packages = {path.parent for path in tracked("tests/*__init__.py")} - {ROOT / "tests"}
    assert packages
    assert not {
        each for each in packages if not (each.parent / "__init__.py").is_file()
    }  # else imported under two names


def test_every_room_of_the_log_but_its_doors_is_closed() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    closed = next(each for each in contracts if "audit.*" in each.get("protected_modules", ()))
    ways_in = [way.split(" -> ") for way in closed["ignore_imports"]]
    assert closed["allowed_importers"] == ["audit"]
    assert {door for caller, door in ways_in if "*" in caller} == {"audit.write", "audit.read", "audit.canonical"}
