"""A database that is behind the code, or away: no process starts on it, and each says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.running import AimsServer, deployment

COMMANDS = ["serve", "worker", "beat", "sequencer"]


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> AimsServer:
    """A deployment whose last migration of the log was never run; for scaled processes it would be on PostgreSQL."""
    server = deployment(tmp_path_factory.mktemp("behind"), port=0)
    server.manage("migrate", "-v0", "audit", "zero")
    return server


@pytest.mark.embedded
def test_serve_says_how_to_migrate(behind: AimsServer) -> None:
    refused = behind.manage("serve", is_checked=False)
    assert refused.returncode == 1
    assert "first audit.0001" in refused.stderr
    assert "manage.py migrate" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.scaled
@pytest.mark.parametrize("command", COMMANDS)
def test_no_process_of_a_scaled_run_starts_on_an_empty_database(
    tmp_path: Path, behind: AimsServer, own_database: str, redis_url: str, command: str
) -> None:
    env = {**behind.env, "AIMS_DATABASE_URL": own_database, "AIMS_REDIS_URL": redis_url}
    refused = AimsServer(behind.base_url, env, behind.var, port=0).manage(command, is_checked=False)
    assert refused.returncode == 1
    assert "manage.py migrate" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.embedded
@pytest.mark.parametrize("address", ["sqlite:////nowhere/at/all.sqlite3"])
def test_a_database_that_does_not_answer_is_named(behind: AimsServer, address: str) -> None:
    away = AimsServer(behind.base_url, {**behind.env, "AIMS_DATABASE_URL": address}, behind.var, port=0)
    refused = away.manage("serve", is_checked=False)
    assert refused.returncode == 1
    assert "AIMS_DATABASE_URL" in refused.stderr
