"""A witness as it runs: a process of its own, reached over the network by the console's own fetcher."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from pytest_django import Settings

from aims.console.jobs import ask
from audit import notes
from audit.witness.files import Logs, NotSetUp, load, read_logs
from tests.support.running import ROOT
from tests.support.servers import free_port
from tests.support.witnessing import Grown

LOG = Grown()
WITHIN_S = 20


@pytest.fixture
def served(tmp_path: Path, settings: Settings) -> Iterator[str]:
    """A witness that knows one log; no secret, database or setting of a console is there."""
    folder, port = tmp_path / "witness", free_port()
    call_command("witness", init="w.example/one", dir=folder)
    (tmp_path / "logs").write_text(f"# ours\n{LOG.vkey}\n")
    settings.FETCH_ALLOW = [f"127.0.0.1:{port}"]
    command = [sys.executable, str(ROOT / "manage.py"), "witness", "--dir", str(folder), "--port", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIMS_")}
    environment |= {
        "AIMS_NO_BOOTSTRAP": "1",
        "AIMS_VAR_DIR": str(tmp_path / "nobody"),
        "DJANGO_SETTINGS_MODULE": "aims.settings",
    }
    environment["AIMS_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nothing"
    process = subprocess.Popen([*command, "--logs", str(tmp_path / "logs")], cwd=tmp_path, env=environment)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        yield url
    finally:
        process.terminate()
        process.wait(WITHIN_S)
    assert not (tmp_path / "nobody").exists()


def _wait(url: str) -> None:
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            ask("GET", f"{url}/vkey", body=None, headers={}, max_bytes=1000)
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.embedded
def test_a_witness_process_cosigns_over_the_network_and_knows_no_database(served: str, tmp_path: Path) -> None:
    vkey = ask("GET", f"{served}/vkey", body=None, headers={}, max_bytes=1000).body.decode().strip()
    name, key = load(tmp_path / "witness")
    assert vkey == str(notes.key_of(key, name, notes.COSIGNATURE)) and name == "w.example/one"
    statuses = []
    for old, size in ((0, 4), (4, 9), (4, 9)):
        body = LOG.submission(old, size)
        answer = ask("POST", f"{served}/add-checkpoint", body=body, headers={}, max_bytes=10_000)
        statuses.append((answer.status, answer.headers["content-type"]))
    assert statuses == [(200, "text/plain; charset=utf-8")] * 2 + [(409, "text/x.tlog.size")]
    # A generation that begins later is added to the file, without a restart.
    second = Grown("console.example/log/1/g2")
    with (tmp_path / "logs").open("a") as file:
        file.write(f"{second.vkey}\n")
    body = second.submission(0, 1)
    assert ask("POST", f"{served}/add-checkpoint", body=body, headers={}, max_bytes=10_000).status == 200


def test_the_key_of_a_witness_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "w"
    call_command("witness", init="w.example", dir=folder)
    assert (folder / "witness.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="there already"):
        call_command("witness", init="w.example", dir=folder)
    (folder / "witness.key").chmod(0o644)
    with pytest.raises(CommandError, match="chmod 600"):
        call_command("witness", vkey=True, dir=folder)
    with pytest.raises(CommandError, match="--init"):
        call_command("witness", vkey=True, dir=tmp_path / "none")
    with pytest.raises(CommandError, match="--logs"):
        call_command("witness", dir=folder)
    with pytest.raises(CommandError, match="blanks"):
        call_command("witness", init="two words", dir=tmp_path / "x")


def test_the_logs_are_a_policy_or_a_list_of_keys_and_a_wrong_line_is_named(tmp_path: Path) -> None:
    path, second = tmp_path / "logs", Grown("console.example/log/1/g2")
    second.key = LOG.key
    path.write_text(f"log {LOG.vkey} https://log.example\nquorum none\n")
    assert read_logs(path) == {LOG.origin: (LOG.vkey,)}
    path.write_text(f"{LOG.vkey}\n\n# the next generation, with the same key\n{second.vkey}\n")
    logs = Logs(path)
    assert set(logs()) == {LOG.origin, second.origin}
    for text in ("", "# none\n", f"{LOG.vkey}\nnonsense\n", f"log {LOG.vkey}\n", notes.COSIGNATURE * "x"):
        path.write_text(text)
        with pytest.raises(NotSetUp):
            read_logs(path)
    assert set(logs()) == {LOG.origin, second.origin}  # a broken file changes nothing
    with pytest.raises(NotSetUp):
        Logs(tmp_path / "none")
