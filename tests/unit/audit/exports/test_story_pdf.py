"""A story on paper: what an auditor reads there, and what nobody gets to read."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction

from aims.authorization.events import TokenIssued, TokenUsed
from aims.people.models import User
from audit import read
from audit.access import EVERYTHING, Scope
from audit.errors import NoSuchStory
from audit.exports import story
from audit.exports.report.wording import STRENGTH
from audit.exports.story import drawing, wording
from audit.exports.story.drawing import paper_for, sheets
from audit.exports.story.proven import prove
from audit.sequencer import Sequencer
from audit.timeline.extras import NO_EXTRAS, Card, Extras
from audit.timeline.layout import lay_out
from audit.timeline.story import Story
from audit.timeline.telling import known
from audit.write import NOBODY, record
from tests.support.cast import browser_of
from tests.support.pdf import pages_of, text_of
from tests.unit.audit.exports.test_report import HOSTILE
from tests.unit.audit.test_story import Tape

pytestmark = pytest.mark.django_db
COURIER, MAGPIE = "spiffe://acme.example/agent/courier", "spiffe://acme.example/agent/magpie"
AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
PATH = "/audit/timeline/txn/txn_1/story.pdf"


def issue(jti: str, agent: str = COURIER, *, expires_at: int = 1, txn: str | None = "txn_1") -> None:
    event = TokenIssued(
        jti=jti, expires_at=expires_at, policy_version=7, policies=["pay-asks"], detail_types=[], request="apr_1"
    )
    facts = replace(NOBODY, agent=agent, subject="usr_ada", resource="https://pay.example/", action="pay", txn=txn)
    with transaction.atomic():
        record(event, by=agent, facts=replace(facts, decision="allow", posture="healthy"))


@pytest.fixture
def told(sequencer: Sequencer, happen: Callable[[int], list[str]]) -> Sequencer:
    """A log in which one token of a transaction was used and another never was."""
    happen(5)
    issue("tok_1")
    with transaction.atomic():
        facts = replace(NOBODY, agent=COURIER, resource="https://pay.example/", txn="txn_1")
        record(TokenUsed(jti="tok_1", request="apr_1"), by="https://pay.example/", facts=facts)
    issue("tok_2", MAGPIE)
    sequencer.run_once()
    return sequencer


def names(refs: Collection[str]) -> Mapping[str, str]:
    return {ref: name for ref, name in ((COURIER, "Courier"), ("usr_ben", "Ben Okafor")) if ref in refs}


def pdf_of(scope: Scope = EVERYTHING, *, extras: Extras = NO_EXTRAS, **more: Any) -> str:
    labels = more.pop("labels", names)
    found = known("txn", "txn_1", scope=scope, extras=extras)
    asked = story.Asked(by="usr_ben", at=AT, scope=scope, reader=None, labels=labels, extras=extras, **more)
    return text_of(story.write(found, asked))


def taken(sequencer: Sequencer) -> list[Any]:
    sequencer.run_once()
    return [each for each in read.after(-1, 200, scope=EVERYTHING) if each.type == "audit.story.taken"]


def test_it_says_what_was_asked_how_complete_it_is_and_what_it_rests_on(told: Sequencer) -> None:
    said, note = pdf_of(), read.checkpoint_note().split("\n")
    for text in (
        "txn_1", "usr_ben Ben Okafor", "2026-11-28T12:00:00.000Z", "the whole log", "UTC", wording.WHOLE,
        wording.GOOD.format(3), "9 entries under a checkpoint", f"Checkpoint of {note[0]}", note[2], STRENGTH[read.strength()],
        "Authorized, never used: 1.", "Issued a token pay", "by policy version 7 (pay-asks), approval apr_1", "token tok_1",
        "posture healthy", "Courier", "audit.story.taken", "/proof", "aims_verify.py", "checked with us",
    ):  # fmt: skip
        assert text in said, text
    for entry in read.entries_of_txn("txn_1", scope=EVERYTHING):
        assert f"{entry.index} " in said and hashlib.sha256(b"\0" + entry.canon).hexdigest() in said
    assert "Console → Courier · for usr_ada · at pay.example" in said
    assert f"Courier agent {COURIER} " in said and "pay.example resource https://pay.example/ " in said


def test_taking_it_is_an_entry_that_names_the_very_file(told: Sequencer, ben: User) -> None:
    answer = browser_of(ben).get(PATH)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/pdf")
    assert answer["Content-Disposition"] == 'attachment; filename="story-txn-6-8.pdf"'
    assert answer["Cache-Control"] == "private, no-store" and answer.content.startswith(b"%PDF-1.7")
    assert b"pdfaid:part>2" in answer.content and b"pdfuaid:part>1" in answer.content
    (entry,) = taken(told)
    assert entry.by == ben.ref and entry.data["pdf_hash"] == hashlib.sha256(answer.content).hexdigest()
    assert (entry.data["kind"], entry.data["of"], entry.data["entries"]) == ("txn", "txn_1", 3)
    page = browser_of(ben).get("/audit/timeline/txn/txn_1/?after=6").content.decode()
    assert f'href="{PATH}?after=6"' in page
    assert "entry 7 and entry 8" in text_of(browser_of(ben).get(f"{PATH}?after=6").content)


def test_who_may_not_read_takes_nothing(told: Sequencer, ben: User, cy: User) -> None:
    assert browser_of(None).get(PATH).status_code == 302 and browser_of(cy).get(PATH).status_code == 403
    browser = browser_of(ben)
    for kind, ref in (
        ("colour", "red"), ("txn", "txn_none"), ("grant", "grt_none"), ("txn", "a b"), ("trace", '"'), ("agent", "x" * 401),
    ):  # fmt: skip
        assert browser.get(f"/audit/timeline/{kind}/{ref}/story.pdf").status_code == 404, (kind, ref)
    assert browser.head(PATH).status_code == browser.post(PATH).status_code == 405
    assert taken(told) == []


def test_a_part_of_the_log_gives_a_part_of_a_story_and_says_so(
    told: Sequencer, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Scope(agents=frozenset({COURIER}), since_at=datetime(2026, 1, 1, tzinfo=UTC), until_at=None)
    said = pdf_of(part)
    assert f"entries about {COURIER}; recorded from 2026-01-01T00:00:00.000Z" in said
    assert wording.SCOPED in said and wording.NOT_JUDGED in said and wording.GOOD.format(2) in said
    assert "never used:" not in said and "magpie" not in said
    other = Scope(agents=frozenset({"spiffe://acme.example/agent/other"}), since_at=None, until_at=None)
    monkeypatch.setattr("audit.exports.story.views.scope_of", lambda person: other)
    assert browser_of(ben).get(PATH).status_code == 404
    with pytest.raises(NoSuchStory):
        pdf_of(other)


def test_nothing_that_people_or_the_log_say_is_typst(told: Sequencer) -> None:
    def card(request: str, reader: Any) -> Card:
        rows = [(text, text, text) for text in HOSTILE]
        return Card(
            request=request, headline=HOSTILE[0], pairs=rows, details=HOSTILE, state="x", decided_at=None, href="/"
        )

    for hostile in HOSTILE:
        said = pdf_of(labels=lambda refs, text=hostile: dict.fromkeys(refs, text), extras=Extras(card=card))
        assert "".join(hostile.split()) in "".join(said.split())
    assert "root:" not in said and "boom" in said


def test_letters_that_no_font_has_do_not_stop_it(told: Sequencer) -> None:
    assert "usr_ben" in pdf_of(labels=lambda refs: dict.fromkeys(refs, "監査 \U0001f600 تدقيق"))


def test_a_changed_entry_makes_it_say_that_it_proves_nothing(told: Sequencer, as_owner: Callable[..., None]) -> None:
    changed = read.entry_bytes(8, scope=EVERYTHING).replace(b"tok_2", b"tok_9")
    as_owner('UPDATE audit_entry SET canon = %s WHERE "index" = 8', changed)
    said = pdf_of()
    assert wording.BAD in said and wording.GOOD.format(3) not in said


def test_what_is_not_yet_signed_is_named(told: Sequencer) -> None:
    said = pdf_of(snapshot=8)
    assert wording.SOME.format(2, 3) in said and wording.UNSIGNED.format("entries 8") in said
    assert wording.NONE in pdf_of(snapshot=3)
    entries = read.entries_of_txn("txn_1", scope=EVERYTHING)
    assert prove(entries, snapshot=7).unsigned == {7, 8} and prove(entries).unsigned == frozenset()


def test_a_page_of_a_longer_story_says_what_is_before_and_behind(
    told: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.timeline.gather.PAGE", 1)
    assert wording.PART.format(wording.LATER) in pdf_of()
    monkeypatch.setattr("audit.timeline.gather.CHANGES_MAX", 0)
    assert wording.CUT in pdf_of()


def test_cards_that_the_reader_may_not_see_are_counted_only(told: Sequencer) -> None:
    assert wording.CARDS.format(0, 1, 5) in pdf_of()
    seen = Card(
        request="apr_1", headline="Pay 5", pairs=[("To", "N", "")], details=["h"], state="x", decided_at=AT, href="/"
    )
    said = pdf_of(extras=Extras(card=lambda request, reader: seen))
    assert "Pay 5" in said and "Nobody says so." in said and "of 1 cards" not in said
    assert wording.WORDS["shown-signed"] not in said
    said = pdf_of(extras=Extras(card=lambda request, reader: replace(seen, state="redeemed")))
    assert wording.WORDS["shown-signed"] in said


def test_a_diagram_is_cut_between_rows_onto_sheets_that_are_wide_enough() -> None:
    tape = Tape()
    for number in range(50):
        tape.issued(f"j{number}", agent=f"spiffe://example.org/{number % 9}")
    told: Story = tape.story()
    for parties in (1, 4, 5, 6, 7, 12, 40):
        paper = paper_for(parties)
        assert paper.lanes >= parties and paper.rows > 8
    paper = paper_for(len(told.parties))
    drawn = lay_out(told, names={}, words={}, clocks={}, room=paper.room)
    assert drawn.width * drawing.PT <= (paper.width_mm - drawing.EDGE_MM) * 72 / 25.4 + 1
    cut = sheets(drawn, paper)
    assert [arrow.number for rows in cut for arrow in rows] == list(range(1, 51))
    assert max(map(len, cut)) <= paper.rows and max(map(len, cut)) - min(map(len, cut)) <= 1


def test_five_hundred_entries_are_set_in_a_few_seconds(told: Sequencer) -> None:
    for number in range(490):
        issue(f"tok_{number}", f"spiffe://acme.example/agent/{number % 12}", expires_at=2**40)
    told.run_once()
    found = known("txn", "txn_1", scope=EVERYTHING, extras=NO_EXTRAS)
    asked = story.Asked(by="usr_ben", at=AT, scope=EVERYTHING, reader=None, labels=names, extras=NO_EXTRAS)
    begun = time.process_time()
    pdf = story.write(found, asked)
    assert time.process_time() - begun < 15 and pages_of(pdf) > 40
    assert found.gathered.is_whole and timedelta(0) <= found.story.steps[-1].at - found.story.steps[0].at
