"""Exports over the API: ask, look, take, end; and what can't be asked."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from audit.exports import aims_verify, services
from audit.sequencer import Sequencer
from tests.protocol.api.conftest import Desk, problem_of, recorded


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, settings: Settings, sequencer: Sequencer) -> None:
    settings.EXPORT_DIR = str(tmp_path / "exports")
    sequencer.run_once()


def test_an_export_is_asked_made_taken_and_ended(desk: Desk, sequencer: Sequencer, tmp_path: Path) -> None:
    sequencer.run_once()
    token = desk.issue("read.audit")
    made = desk.post("audit-exports/", {"query": "type:identifier.*", "formats": ["csv"]}, token=token)
    assert (made.status_code, made.json()["state"], made.json()["asked_by"]) == (201, "queued", desk.steward.client_id)
    ref = made.json()["ref"]
    assert problem_of(desk.get(f"audit-exports/{ref}/bundle/", token=token))[0] == 404
    services.run_due(now=datetime.now(UTC))
    shown = desk.get(f"audit-exports/{ref}/", token=token).json()
    assert (shown["state"], shown["formats"], shown["percent"]) == ("ready", ["jsonl", "csv"], 100)
    assert [each["ref"] for each in desk.get("audit-exports/", token=token).json()] == [ref]
    answer = desk.get(f"audit-exports/{ref}/bundle/", token=token)
    raw = b"".join(answer)
    assert hashlib.sha256(raw).hexdigest() == shown["bundle_hash"]
    (tmp_path / "b.zip").write_bytes(raw)
    assert aims_verify.verify(str(tmp_path / "b.zip"))[0] == aims_verify.OWN_KEY
    assert {row["by"] for row in recorded("audit.export.downloaded")} == {desk.steward.client_id}
    assert desk.post(f"audit-exports/{ref}/end/", token=token).json()["state"] == "expired"
    assert problem_of(desk.get(f"audit-exports/{ref}/bundle/", token=token))[0] == 404
    assert problem_of(desk.post(f"audit-exports/{ref}/end/", token=token))[0] == 404


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"query": "colour:red"}, "/query"),
        ({"query": 7 * ["x"]}, "/query"),
        ({"query": "x" * 2001}, "/query"),
        ({"first": -1}, "/first"),
        ({"first": "a"}, "/first"),
        ({"end": 0}, "/end"),
        ({"end": 10**9}, "/end"),
        ({"formats": ["exe"]}, "/formats"),
        ({"formats": ["csv"] * 11}, "/formats"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_what_can_not_be_asked_is_named(desk: Desk, sequencer: Sequencer, body: Any, pointer: str) -> None:
    sequencer.run_once()
    answer = desk.post("audit-exports/", body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer, answer.json()
    assert desk.post("audit-exports/", []).status_code == 400


def test_another_scope_opens_nothing_and_unknown_ones_are_not_there(desk: Desk) -> None:
    token = desk.issue("read.requests")
    assert problem_of(desk.get("audit-exports/", token=token)) == (403, "insufficient_scope")
    assert problem_of(desk.post("audit-exports/", {}, token=token)) == (403, "insufficient_scope")
    assert problem_of(desk.get("audit-exports/exp_00000000000000000000/"))[0] == 404
    assert problem_of(desk.get("audit-exports/../../etc/"))[0] == 404
