"""Stories and evidence packs over the API: for who may read the log, recorded as taken; and what can't be asked."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from pytest_django import Settings

from audit.exports import aims_verify, services
from audit.sequencer import Sequencer
from tests.protocol.api.conftest import Desk, problem_of, recorded
from tests.support.pdf import text_of


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, settings: Settings) -> None:
    settings.EXPORT_DIR = str(tmp_path / "exports")


def test_a_machine_takes_a_story_and_the_log_says_so(desk: Desk, sequencer: Sequencer) -> None:
    token = desk.issue("read.audit")
    sequencer.run_once()
    address = "audit-stories/pdf/?" + urlencode({"kind": "agent", "ref": desk.steward.client_id})
    answer = desk.get(address, token=token)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf"), answer.content
    said = text_of(answer.content)
    assert desk.steward.client_id in said and "the whole log" in said
    (entry,) = recorded("audit.story.taken")
    assert (entry["by"], entry["subject"]) == (desk.steward.client_id, None)
    assert entry["data"]["pdf_hash"] == hashlib.sha256(answer.content).hexdigest()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 400),
        ({"kind": "txn"}, 400),
        ({"kind": "txn", "ref": "x", "colour": "red"}, 400),
        ({"kind": ["txn", "agent"], "ref": "x"}, 400),
        ({"kind": "txn", "ref": "x", "after": "-1"}, 400),
        ({"kind": "txn", "ref": "x", "before": "one"}, 400),
        ({"kind": "colour", "ref": "red"}, 404),
        ({"kind": "txn", "ref": "txn_none"}, 404),
        ({"kind": "trace", "ref": 'a" OR type:"*'}, 404),
    ],
)
def test_what_can_not_be_asked_is_refused(desk: Desk, sequencer: Sequencer, asked: Any, status: int) -> None:
    sequencer.run_once()
    assert problem_of(desk.get("audit-stories/pdf/?" + urlencode(asked, doseq=True)))[0] == status
    assert recorded("audit.story.taken") == []


def test_another_scope_takes_nothing(desk: Desk) -> None:
    token = desk.issue("read.requests")
    assert problem_of(desk.get("audit-stories/pdf/?kind=txn&ref=x", token=token)) == (403, "insufficient_scope")
    assert problem_of(desk.post("audit-packs/", {"kind": "txn", "ref": "x"}, token=token)) == (
        403,
        "insufficient_scope",
    )


def test_a_machine_asks_for_a_pack_and_takes_it_as_an_export(desk: Desk, sequencer: Sequencer, tmp_path: Path) -> None:
    token, me = desk.issue("read.audit"), desk.steward.client_id
    sequencer.run_once()
    asked = {"kind": "agent", "ref": me, "formats": ["csv"], "surroundings": True}
    answer = desk.post("audit-packs/", asked, token=token)
    assert (answer.status_code, answer.json()["about"]) == (201, {"kind": "agent", "ref": me}), answer.content
    sequencer.run_once()
    services.run_due(now=datetime.now(UTC))
    ref = answer.json()["ref"]
    shown = desk.get(f"audit-exports/{ref}/", token=token).json()
    assert (shown["state"], shown["about"]["ref"]) == ("ready", me), shown
    (tmp_path / "b.zip").write_bytes(b"".join(desk.get(f"audit-exports/{ref}/bundle/", token=token)))
    assert aims_verify.verify(str(tmp_path / "b.zip"))[0] == aims_verify.OWN_KEY


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 400),
        ({"kind": "colour", "ref": "red"}, 400),
        ({"kind": "txn", "ref": 7}, 400),
        ({"kind": "txn", "ref": "x" * 2049}, 400),
        ({"kind": "txn", "ref": "x", "colour": 1}, 400),
        ({"kind": "txn", "ref": "txn_none"}, 404),
        ({"kind": "finding", "ref": "fnd_none"}, 404),
        ({"kind": "trace", "ref": 'a" OR type:"*'}, 404),
    ],
)
def test_a_pack_that_can_not_be_asked_is_refused(desk: Desk, sequencer: Sequencer, asked: Any, status: int) -> None:
    sequencer.run_once()
    assert problem_of(desk.post("audit-packs/", asked))[0] == status
    assert recorded("audit.export.asked") == []


def test_a_pack_in_a_format_that_is_not_there_points_at_it(desk: Desk, sequencer: Sequencer) -> None:
    sequencer.run_once()
    answer = desk.post("audit-packs/", {"kind": "agent", "ref": desk.steward.client_id, "formats": ["exe"]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/formats")
