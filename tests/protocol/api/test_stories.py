"""Stories over the API: a PDF for who may read the log, recorded as taken; and what can't be asked."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlencode

import pytest

from audit.sequencer import Sequencer
from tests.protocol.api.conftest import Desk, problem_of, recorded
from tests.support.pdf import text_of


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
