"""``manage.py search``: the same language at the command line, and the reading is recorded."""

from __future__ import annotations

import io
import json

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from aims.management.commands._operator import operator
from audit.canonical import decode
from audit.models import InboxRow
from audit.sequencer import Sequencer
from tests.support.log import Recorder

pytestmark = pytest.mark.django_db


def answer(*arguments: str) -> list[str]:
    out = io.StringIO()
    call_command("search", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_entries_come_a_line_each_the_newest_first_and_the_reading_is_recorded(
    sequencer: Sequencer, happen: Recorder
) -> None:
    happen(230)
    sequencer.run_once()
    rows = [json.loads(line) for line in answer("type:failures code", "--limit", "3", "--json")]
    assert rows == []
    rows = [json.loads(line) for line in answer("type:failures invalid_client", "--limit", "210", "--json")]
    assert [row["index"] for row in rows] == list(range(230, 20, -1))
    assert rows[0]["data"]["source"] == "src_229" and "canon" not in rows[0]
    (first, second) = [decode(bytes(row.payload)) for row in InboxRow.objects.order_by("pk")]
    assert second["by"] == operator() and second["type"] == "audit.log.viewed"
    assert second["data"] == {"page": "command", "at": None, "query": ["type", "text"]}
    assert answer("index:0")[0].split()[3:5] == ["audit.log.begun", "not_applicable"]


def test_a_mistake_is_shown_under_the_query(sequencer: Sequencer) -> None:
    with pytest.raises(CommandError) as caught:
        answer("decision:denied agnt:x")
    assert str(caught.value).splitlines()[1:] == ["  decision:denied agnt:x", "                  ^^^^"]
    with pytest.raises(CommandError, match="at least 1"):
        answer("agent:x", "--limit", "0")
    assert not InboxRow.objects.exists()
