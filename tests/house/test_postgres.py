"""Everything that touches a database, once more on PostgreSQL with Valkey or Redis; with what only runs there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.running import ROOT

BEHAVIOUR = [name for name in ("unit", "protocol", "property", "faults") if (ROOT / "tests" / name).is_dir()]


@pytest.mark.first
def test_the_behaviour_is_the_same_on_postgresql(postgres_url: str, redis_url: str) -> None:
    given = {"AIMS_TEST_ON": "postgres", "TEST_DATABASE_URL": postgres_url, "TEST_REDIS_URL": redis_url}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DJANGO_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/{name}" for name in BEHAVIOUR)]
    done = subprocess.run(command, cwd=ROOT, env=inherited | given, capture_output=True, text=True)
    print(done.stdout[-400:])
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
