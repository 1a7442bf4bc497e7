"""Evidence packs: the story, its entries and what belongs to them, in a bundle that the same verifiers check."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from aims.authorization.events import TokenRefused
from aims.authorization.request_events import RequestApproved
from aims.kit import clock
from aims.observability import detecting
from aims.observability.models import Finding
from aims.observability.rules import RULES
from aims.people.models import User
from audit import read
from audit.access import EVERYTHING, Scope
from audit.errors import NoSuchStory
from audit.exports import services, store
from audit.exports.models import Export
from audit.exports.packs import asking, subject
from audit.search.errors import TooBroad
from audit.timeline.extras import NO_EXTRAS, Extras, Incident, mounted
from audit.write import NOBODY, record
from tests.support.cast import Acting, browser_of
from tests.support.exports import Bundles, verdict
from tests.support.pdf import text_of
from tests.unit.audit.exports.test_story_pdf import COURIER, MAGPIE, issue

pytestmark = pytest.mark.django_db


@pytest.fixture
def log(bundles: Bundles, happen: Callable[[int], list[str]]) -> Bundles:
    """A log whose transaction has foreign entries in between: 2 of txn_1, 3 of nobody, 1 of txn_1, 4 of nobody."""
    issue("tok_1")
    issue("tok_2", MAGPIE)
    happen(3)
    issue("tok_3")
    happen(4)
    bundles.sequencer.run_once()
    return bundles


def packed(log: Bundles, kind: str = "txn", ref: str = "txn_1", **asked: Any) -> Export:
    wanted: dict[str, Any] = {
        "formats": [], "with_surroundings": False, "scope": EVERYTHING, "extras": NO_EXTRAS, "by": "usr_ben", "reader": "usr_ben",
    }  # fmt: skip
    row = asking.ask(kind, ref, **(wanted | asked), now=datetime.now(UTC))
    log.sequencer.run_once()
    services.run_due(now=datetime.now(UTC))
    row.refresh_from_db()
    assert row.state == "ready", row.failure
    return row


def mount(monkeypatch: pytest.MonkeyPatch, extras: Extras) -> None:
    place = replace(mounted(), extras=extras)
    monkeypatch.setattr("audit.exports.packs.companions.mounted", lambda: place)


def lines(folder: Path, name: str) -> list[int]:
    return [int(line.split()[0]) for line in (folder / f"{name}.leaves").read_text().splitlines()]


def test_a_pack_holds_the_story_its_entries_and_an_index_and_verifies_unchanged(log: Bundles) -> None:
    row = packed(log)
    folder = log.unpacked(row)
    assert verdict(Path(store.storage().path(store.name(row.ref))), log.vkey) == (0, "Verified.")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (row.kind, manifest["about"]) == ("pack", {"kind": "txn", "ref": "txn_1"})
    (told,) = manifest["sets"]
    assert (told["name"], told["chosen"], told["query"], told["completeness"]) == ("story", "story", None, "not_proven")
    at = [entry.index for entry in read.entries_of_txn("txn_1", scope=EVERYTHING)]
    assert lines(folder, "story") == at and at[-1] - at[0] == 5
    pdf, index = text_of((folder / "story.pdf").read_bytes()), (folder / "INDEX.txt").read_text()
    leaves = (folder / "story.leaves").read_text().split()[1::2]
    assert all(leaf in pdf for leaf in leaves)
    assert f"evidence pack {row.ref} about txn txn_1" in pdf and "audit.export.finished" in pdf
    for text in (row.ref, "About      txn txn_1", "story.pdf: the story on paper, 3 entries", "Nothing that belongs"):
        assert text in index or text.startswith("Nothing"), text
    assert "not for this reader to see: 1." in index  # apr_1 is nowhere: it has none
    (folder / "story.pdf").write_bytes(b"%PDF-1.7 another")
    assert "story.pdf: another file" in verdict(folder, log.vkey)[1]


def test_what_lies_between_proves_that_nothing_was_left_out(log: Bundles) -> None:
    folder = log.unpacked(packed(log, with_surroundings=True))
    assert verdict(folder, log.vkey)[0] == 0
    at = lines(folder, "story")
    assert lines(folder, "range") == list(range(at[0], at[-1] + 1))
    sets = {each["name"]: each["completeness"] for each in json.loads((folder / "manifest.json").read_text())["sets"]}
    assert sets == {"story": "not_proven", "range": "proven"}
    assert f"every entry from {at[0]} to {at[-1]}" in (folder / "INDEX.txt").read_text()


@pytest.mark.parametrize(
    ("kind", "ref", "count"), [("agent", COURIER, 2), ("person", "usr_ada", 3), ("approval", "apr_1", 3)]
)
def test_there_are_packs_of_agents_people_and_approvals(log: Bundles, kind: str, ref: str, count: int) -> None:
    folder = log.unpacked(packed(log, kind, ref, with_surroundings=True))
    assert verdict(folder, log.vkey)[0] == 0
    assert len(lines(folder, "story")) == count and ref in text_of((folder / "story.pdf").read_bytes())
    is_life = kind != "approval"
    assert (folder / "entries.jsonl").exists() == is_life and (folder / "range.jsonl").exists() != is_life
    if is_life:
        assert lines(folder, "entries") == lines(folder, "story")


def test_reading_and_taking_a_story_makes_it_no_longer(log: Bundles, ben: User) -> None:
    for _ in range(2):
        assert browser_of(ben).get("/audit/timeline/approval/apr_1/story.pdf").status_code == 200
        packed(log, "approval", "apr_1")
    story = read.timeline("approval", "apr_1", scope=EVERYTHING).story
    assert [step.first.type for step in story.steps] == ["authorization.token.issued"] * 3


def test_a_finding_brings_its_evidence_and_the_story_before_it(log: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    at = [entry.index for entry in read.entries_of_txn("txn_1", scope=EVERYTHING)]
    found = Incident(story=("agent", COURIER, at[-1]), evidence=[at[0] + 2, at[0] + 3, 10**6])
    extras = Extras(incident=lambda ref, scope: found if ref == "fnd_1" else None)
    mount(monkeypatch, extras)
    folder = log.unpacked(packed(log, "finding", "fnd_1", extras=extras))
    assert verdict(folder, log.vkey)[0] == 0
    assert lines(folder, "story") == [at[0]] and lines(folder, "evidence") == [at[0] + 2, at[0] + 3]
    with pytest.raises(NoSuchStory):
        packed(log, "finding", "fnd_2", extras=extras)
    alone = Extras(incident=lambda ref, scope: Incident(story=None, evidence=[at[0]]))
    mount(monkeypatch, alone)
    folder = log.unpacked(packed(log, "finding", "fnd_1", extras=alone), "alone")
    assert not (folder / "story.pdf").exists() and lines(folder, "evidence") == [at[0]]


def test_receipts_come_from_whoever_mounts_by_the_rights_of_who_asks(
    log: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    with transaction.atomic():
        event = RequestApproved(
            request="apr_1", request_hash="h", receipt="rcp_1", receipt_hash="sha-256:rrr", approved_until=1, acr="phr"
        )
        record(
            event,
            by="usr_ada",
            facts=replace(NOBODY, agent=COURIER, subject="usr_ada", decision="approve", txn="txn_1"),
        )
    log.sequencer.run_once()

    def receipts(requests: Collection[str], reader: Any) -> Mapping[str, str]:
        return dict.fromkeys(requests, "a.b.c") if reader == "Ben" else {}

    extras = Extras(receipts=receipts, reader=lambda ref: {"usr_ben": "Ben"}.get(ref), keys=lambda: '{"keys":[1]}')
    mount(monkeypatch, extras)
    folder = log.unpacked(packed(log, extras=extras))
    assert (folder / "receipt-apr_1.jwt").read_text() == "a.b.c" and (
        folder / "receipts.jwks.json"
    ).read_text() == '{"keys":[1]}\n'
    assert "sha-256:rrr" in (folder / "INDEX.txt").read_text() and verdict(folder, log.vkey)[0] == 0
    other = log.unpacked(packed(log, extras=extras, reader=""), "other")
    assert not list(other.glob("receipt*"))


def test_a_reader_of_a_part_packs_that_part(log: Bundles) -> None:
    part = Scope(agents=frozenset({COURIER}), since_at=None, until_at=None)
    folder = log.unpacked(packed(log, scope=part, with_surroundings=True))
    assert len(lines(folder, "story")) == 2 and not (folder / "range.jsonl").exists()
    assert (
        MAGPIE not in (folder / "story.jsonl").read_text() and f"agents {COURIER}" in (folder / "INDEX.txt").read_text()
    )
    assert "Entries outside the scope" in (folder / "INDEX.txt").read_text()
    for kind, ref in (("agent", MAGPIE), ("person", "usr_nobody")):
        with pytest.raises(NoSuchStory):
            packed(log, kind, ref, scope=part)


def test_a_job_that_begins_again_finds_the_same(log: Bundles) -> None:
    row = asking.ask(
        "txn", "txn_1", formats=["csv"], with_surroundings=False, scope=EVERYTHING, extras=NO_EXTRAS, by="usr_ben", reader="",
        now=datetime.now(UTC),
    )  # fmt: skip
    log.sequencer.run_once()
    Export.objects.update(snapshot=read.size())
    issue("tok_late")  # of the same transaction, after the snapshot
    log.sequencer.run_once()
    services.run_due(now=datetime.now(UTC))
    row.refresh_from_db()
    folder = log.unpacked(row)
    assert len(lines(folder, "story")) == 3 and "tok_late" not in text_of((folder / "story.pdf").read_bytes())
    assert (folder / "story.csv").exists()


def test_a_long_story_has_a_pdf_a_page_and_ends_where_it_says(log: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.timeline.gather.PAGE", 1)
    monkeypatch.setattr(subject, "PAGES_MAX", 2)
    folder = log.unpacked(packed(log))
    assert sorted(path.name for path in folder.glob("story*.pdf")) == ["story-2.pdf", "story.pdf"]
    assert len(lines(folder, "story")) == 2 and "The story goes on" in (folder / "INDEX.txt").read_text()
    assert "later entries are not in here" in text_of((folder / "story-2.pdf").read_bytes())


def test_an_index_says_what_of_a_long_life_is_not_in_it(log: Bundles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.timeline.gather.RECENT", 1)
    at = [entry.index for entry in read.entries_of_txn("txn_1", scope=EVERYTHING)]
    folder = log.unpacked(packed(log, "agent", COURIER))
    index = (folder / "INDEX.txt").read_text()
    assert lines(folder, "story") == [at[2]] and lines(folder, "entries") == [at[0], at[2]]
    assert f"On paper what came before entry {at[2]}; entries.jsonl holds it." in index
    found = Extras(incident=lambda ref, scope: Incident(story=("agent", COURIER, None), evidence=[at[1]]))
    mount(monkeypatch, found)
    folder = log.unpacked(packed(log, "finding", "fnd_1", extras=found), "other")
    assert f"What came before entry {at[2]}, neither on paper" in (folder / "INDEX.txt").read_text()


def test_it_is_asked_for_on_a_page_by_who_may_read(log: Bundles, ben: User, cy: User) -> None:
    place, browser = "/audit/packs/new/?kind=txn&ref=txn_1", browser_of(ben)
    page = browser.get(place).content.decode()
    assert "3 entries" in page and "All 6 entries from the first to the last" in page
    assert place.replace("&", "&amp;") in browser.get("/audit/timeline/txn/txn_1/").content.decode()
    answer = browser.post("/audit/packs/new/", {"kind": "txn", "ref": "txn_1", "surroundings": "on", "formats": "csv"})
    assert answer.status_code == 302
    row = Export.objects.get()
    assert (row.kind, row.asked_by, row.formats, len(row.sets)) == ("pack", ben.ref, ["jsonl", "csv"], 2)
    assert row.about is not None and row.about["reader"] == ben.ref and ben.name not in row.title
    assert "txn_1" in browser.get(answer["Location"]).content.decode()
    for said in (
        "kind=colour&ref=x",
        "kind=txn&ref=none",
        "kind=txn",
        "",
        "kind=finding&ref=fnd_none",
        "kind=txn&ref=%22",
    ):
        assert browser.get(f"/audit/packs/new/?{said}").status_code == 404, said
        assert browser.post(f"/audit/packs/new/?{said}").status_code == 404, said
    assert browser.post("/audit/packs/new/", {"kind": "txn", "ref": "txn_1", "formats": "exe"}).status_code == 200
    assert browser_of(cy).get(place).status_code == 403 and browser_of(None).get(place).status_code == 302
    log.sequencer.run_once()
    asked = [each for each in read.after(-1, 200, scope=EVERYTHING) if each.type == "audit.export.asked"]
    assert [(each.data["about_kind"], each.data["about"]) for each in asked] == [("txn", "txn_1")]


def test_a_log_that_can_not_be_looked_through_in_time_is_no_error_of_ours(
    log: Bundles, ben: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*args: Any, **kwargs: Any) -> Any:
        raise TooBroad("It takes too long.", "", 0)

    monkeypatch.setattr("audit.timeline.gather.newest", slow)
    for place in ("timeline/grant/grt_1/", "timeline/grant/grt_1/story.pdf", "packs/new/?kind=grant&ref=grt_1"):
        answer = browser_of(ben).get(f"/audit/{place}")
        assert (answer.status_code, "It takes too long" in answer.content.decode()) == (503, True), place


def test_only_so_many_wait(log: Bundles, ben: User) -> None:
    said = {"kind": "txn", "ref": "txn_1"}
    for _ in range(services.OPEN_MAX_PERSON):
        assert browser_of(ben).post("/audit/packs/new/", said).status_code == 302
    assert "as many exports waiting" in browser_of(ben).post("/audit/packs/new/", said).content.decode()


def test_an_operator_makes_one_at_once(log: Bundles, capsys: pytest.CaptureFixture[str]) -> None:
    out = log.folder / "pack.zip"
    call_command("export", pack=f"agent:{COURIER}", out=out)
    assert verdict(out, log.vkey)[0] == 0 and "entries in" in capsys.readouterr().out
    with zipfile.ZipFile(out) as archive:
        assert {"INDEX.txt", "story.pdf", "story.jsonl", "entries.jsonl"} <= set(archive.namelist())
    for wrong in (
        {"pack": "agent"},
        {"pack": "colour:red"},
        {"pack": "txn:none"},
        {"pack": "txn:txn_1", "range": "1..2"},
        {"surroundings": True},
    ):
        with pytest.raises(CommandError):
            call_command("export", out=out, **wrong)


def test_what_is_mounted_names_readers_and_shows_them_what_they_may_see(ada: User) -> None:
    extras = mounted().extras
    assert extras.reader(ada.ref) == ada and extras.reader("usr_none") is None and extras.reader("spiffe://x/y") is None
    assert extras.card("apr_none", None) is None and extras.receipts(["apr_none"], extras.reader("cli:root")) == {}
    assert json.loads(extras.keys())["keys"] is not None and extras.incident("fnd_none", EVERYTHING) is None


def test_a_finding_is_packed_from_its_page_with_what_shows_it(bundles: Bundles, ben: User, cy: User) -> None:
    event = TokenRefused(endpoint="token", code="invalid_client", reason="replayed", policies=[])
    with transaction.atomic():
        for _ in range(5):
            record(event, by=COURIER, facts=replace(NOBODY, agent=COURIER, decision="deny"))
    issue("tok_1", MAGPIE)
    bundles.sequencer.run_once()
    detecting.follow(now=clock.now(), rules={"replay": RULES["replay"]})
    finding, browser = Finding.objects.get(), browser_of(ben)
    place = f"/audit/packs/new/?kind=finding&ref={finding.ref}"
    assert place.replace("&", "&amp;") in browser.get(f"/findings/{finding.ref}/").content.decode()
    assert "5 entries" in browser.get(place).content.decode()
    assert browser_of(cy).get(place).status_code == 403
    place = browser.post("/audit/packs/new/", {"kind": "finding", "ref": finding.ref})["Location"]
    bundles.sequencer.run_once()
    services.run_due(now=datetime.now(UTC))
    assert finding.ref in browser.get(place).content.decode()
    folder = bundles.unpacked(Export.objects.get())
    assert lines(folder, "evidence") == lines(folder, "story") == finding.evidence
    assert COURIER in text_of((folder / "story.pdf").read_bytes()) and verdict(folder, bundles.vkey)[0] == 0
    other = Scope(agents=frozenset({MAGPIE}), since_at=None, until_at=None)
    assert mounted().extras.incident(finding.ref, other) is None


def test_who_may_not_read_the_log_is_not_offered_a_pack(courier: Acting, ada: User, ben: User, adm: User) -> None:
    for person, is_offered in ((ada, False), (ben, True), (adm, True)):
        page = browser_of(person).get(f"/agents/{courier.agent.ref}/").content.decode()
        assert (f"/audit/packs/new/?kind=agent&amp;ref={courier.agent.ref}" in page) is is_offered, person.name
    page = browser_of(adm).get(f"/people/{ada.ref}/").content.decode()
    assert f"/audit/packs/new/?kind=person&amp;ref={ada.ref}" in page
