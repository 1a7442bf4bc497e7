"""manage.py feed: what the page of feeds does, from the command line."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit import read
from audit.access import EVERYTHING
from audit.feeds.delivering import key_of
from audit.feeds.models import Feed
from audit.sequencer import Sequencer

pytestmark = pytest.mark.django_db


def test_an_operator_adds_looks_pauses_resumes_tests_and_removes(
    sequencer: Sequencer, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*words: str) -> str:
        call_command("feed", *words)
        return capsys.readouterr().out.strip()

    size = sequencer.run_once()
    assert said("list") == ""
    ref = said("add", "SIEM", "https://siem.example/in", "--from-start")
    row = Feed.objects.get(ref=ref)
    assert (row.kind, row.format, row.cursor) == ("http", "canonical", -1)
    assert f"{size:,} behind" in said("list") and "SIEM" in said("status")
    assert base64.b64decode(said("key", ref)) == key_of(ref)
    for verb, state in (("pause", "paused"), ("resume", "active"), ("test", "active")):
        assert said(verb, ref) == ""
        row.refresh_from_db()
        assert row.state == state
    assert row.test_due
    assert "https://siem.example/in (http, canonical)" in said("status", ref)
    syslog = said("add", "Other", "tls://siem.example:6514", "--format", "cef")
    assert Feed.objects.get(ref=syslog).kind == "syslog"
    assert said("remove", ref) == said("remove", syslog) == ""
    sequencer.run_once()
    told = [each for each in read.after(-1, scope=EVERYTHING) if each.type.startswith("audit.feed.")]
    kinds = ["created", "paused", "resumed", "created", "deleted", "deleted"]
    assert [each.type.removeprefix("audit.feed.") for each in told] == kinds
    assert all(each.by.startswith("cli:") for each in told)


def test_status_ends_with_one_where_a_feed_can_not_be_delivered(
    sequencer: Sequencer, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("Good", "Bad"):
        call_command("feed", "add", name, "https://siem.example/in")
    Feed.objects.filter(name="Bad").update(trouble="unreachable", failures=3)
    with pytest.raises(SystemExit) as ended:
        call_command("feed", "status")
    assert ended.value.code == 1
    assert "unreachable" in capsys.readouterr().out
    call_command("feed", "list")
    call_command("feed", "status", Feed.objects.get(name="Good").ref)
    with pytest.raises(SystemExit):
        call_command("feed", "status", Feed.objects.get(name="Bad").ref)
    assert "3 tries in a row" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "x", "ftp://siem.example"), "The address is"),
        (("add", "x", "tls://u@siem.example"), "The address is"),
        (("pause", "fed_nobody"), "no such feed"),
        (("remove", "fed_nobody"), "no such feed"),
        (("status", "fed_nobody"), "no such feed"),
        (("key", "fed_nobody"), "no such feed"),
        ((), "required"),
        (("burn", "x"), "invalid choice"),
        (("add", "x"), "required"),
        (("add", "x", "https://a.example", "--format", "xml"), "invalid choice"),
    ],
)
def test_what_can_not_be_done_is_said(sequencer: Sequencer, words: tuple[Any, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        call_command("feed", *words)
    assert not Feed.objects.exists()


def test_what_is_paused_can_not_be_paused_and_syslog_has_no_key(sequencer: Sequencer) -> None:
    call_command("feed", "add", "S", "tls://siem.example")
    ref = Feed.objects.get().ref
    call_command("feed", "pause", ref)
    for verb in ("pause", "key"):
        with pytest.raises(CommandError, match="no such feed"):
            call_command("feed", verb, ref)
