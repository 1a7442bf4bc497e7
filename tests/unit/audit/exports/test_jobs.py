"""An export as a job: asked, found, made, taken over, cancelled, expired."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import transaction

from audit import checkpoints, read, tree
from audit.access import EVERYTHING, Scope
from audit.errors import LogError
from audit.exports import aims_verify, asking, bundle, services, spans, store
from audit.exports.errors import FormatMissing, NoSuchExport, RangeRefused, TooManyExports
from audit.exports.models import Export
from audit.exports.renderings.comma import safe
from audit.exports.services import Wanted
from audit.search.errors import QueryError
from audit.write import NOBODY, FailuresCounted, record
from tests.support.exports import EVERY, Bundles, verdict

pytestmark = pytest.mark.django_db
Happen = Callable[[int], list[str]]
NOW = datetime.now(UTC)


def ask(
    first: int = 0, end: int | None = None, *, by: str = "usr_ben", formats: tuple[str, ...] = ("jsonl",)
) -> Export:
    wanted = Wanted(name="entries", query="", first=first, end=end)
    return services.ask(
        kind="range", title="Entries", sets=[wanted], formats=formats, scope=EVERYTHING, by=by, now=datetime.now(UTC)
    )


def types() -> list[str]:
    return [entry.type for entry in read.after(-1, scope=EVERYTHING) if entry.type.startswith("audit.export")]


def test_the_whole_log_is_taken_up_to_the_snapshot(bundles: Bundles, happen: Happen) -> None:
    happen(30)
    row = bundles.make()
    assert (row.state, row.rows, row.percent, row.kind) == ("ready", row.snapshot, 100, "range")
    assert row.manifest is not None
    assert row.manifest["sets"][0]["completeness"] == "proven"
    bundles.sequencer.run_once()
    assert types() == ["audit.export.asked", "audit.export.finished"]
    assert verdict(bundles.unpacked(row), bundles.vkey)[0] == aims_verify.GOOD
    assert store.folder().stat().st_mode & 0o777 == 0o700
    assert Path(store.storage().path(store.name(row.ref))).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in store.folder().iterdir()] == [store.name(row.ref)]


def test_an_empty_log_a_range_beyond_it_and_an_unknown_format_are_refused(bundles: Bundles) -> None:
    size = read.size()
    for first, end in ((0, size + 1), (3, 3), (5, 2), (-1, 1), (size, None)):
        with pytest.raises(RangeRefused):
            ask(first, end)
    for name in ("exe", "", "jsonl2", "__class__"):
        with pytest.raises(FormatMissing):
            ask(formats=(name,))
    assert not Export.objects.exists()


def test_one_person_and_all_together_wait_for_no_more_than_so_many(
    bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(services.OPEN_MAX_PERSON):
        ask()
    with pytest.raises(TooManyExports):
        ask()
    ask(by="usr_adm")
    monkeypatch.setattr(services, "OPEN_MAX", 6)
    with pytest.raises(TooManyExports):
        ask(by="usr_other")


def test_a_job_whose_worker_died_is_taken_over_and_finds_the_same(bundles: Bundles, happen: Happen) -> None:
    happen(20)
    row = ask()
    bundles.sequencer.run_once()
    kept, made = bundle.make, []

    def die(order: bundle.Order, folder: Path, **rest: object) -> bundle.Made:
        made.append(kept(order, folder, clock=lambda: NOW, beat=lambda percent: None))
        raise SystemExit  # as a killed process: nothing is told

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "make", die)
        with pytest.raises(SystemExit):
            services.run_due(now=NOW)
    happen(20)
    bundles.sequencer.run_once()
    assert services.run_due(now=NOW) is None  # the lease is running
    assert services.run_due(now=NOW + services.LEASE + timedelta(minutes=1)) == row.ref
    row.refresh_from_db()
    assert (row.state, row.tries, row.rows) == ("ready", 2, made[0].rows)


def test_a_job_that_always_dies_fails_in_the_end(bundles: Bundles) -> None:
    row = ask()
    Export.objects.update(state="running", claim="x", claimed_until=NOW, tries=services.TRIES_MAX)
    assert services.run_due(now=NOW + timedelta(hours=1)) is None
    services.expire(now=NOW + timedelta(hours=1))
    row.refresh_from_db()
    assert (row.state, row.failure) == ("failed", "died")


def test_who_was_taken_over_stores_nothing(bundles: Bundles) -> None:
    row = ask()
    bundles.sequencer.run_once()

    def taken(order: bundle.Order, folder: Path, **rest: object) -> bundle.Made:
        Export.objects.update(claim="another")
        services._beat(stale, 50)
        raise AssertionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "make", taken)
        Export.objects.update(state="running", claim="mine")
        stale = Export.objects.get()
        services.run(stale)
    row.refresh_from_db()
    assert (row.state, row.claim) == ("running", "another")
    assert list(store.folder().iterdir()) == []


@pytest.mark.parametrize("state", ["queued", "running"])
def test_what_waits_or_runs_can_be_cancelled_once(bundles: Bundles, state: str) -> None:
    row = ask()
    Export.objects.update(state=state)
    services.cancel(row.ref, by="usr_ben")
    assert services.run_due(now=NOW) is None
    for verb in (services.cancel, services.delete):
        with pytest.raises(NoSuchExport):
            verb(row.ref, by="usr_ben")
    with pytest.raises(NoSuchExport):
        services.cancel("exp_unknown", by="usr_ben")


@pytest.mark.parametrize(
    ("error", "code"),
    [(OSError("no space left"), "storage"), (LookupError("tile"), "inconsistent"), (LogError("x"), "log")],
)
def test_trouble_fails_the_job_and_leaves_no_file(bundles: Bundles, error: Exception, code: str) -> None:
    row = ask()
    bundles.sequencer.run_once()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "_zipped", lambda *args: (_ for _ in ()).throw(error))
        services.run_due(now=NOW)
    row.refresh_from_db()
    assert (row.state, row.failure) == ("failed", code)
    assert list(store.folder().iterdir()) == []
    bundles.sequencer.run_once()
    assert types()[-1] == "audit.export.failed"


def test_a_tile_that_was_altered_lets_no_bundle_out(
    bundles: Bundles, happen: Happen, as_owner: Callable[..., None]
) -> None:
    happen(20)
    bundles.sequencer.run_once()
    row = ask(3, 9)
    as_owner('UPDATE audit_entry SET canon = %s WHERE "index" = 5', b"{}")
    services.run_due(now=NOW)
    row.refresh_from_db()
    assert (row.state, row.failure) == ("failed", "inconsistent")


def test_a_bundle_expires_with_its_file_and_says_so(bundles: Bundles) -> None:
    row = bundles.make()
    assert row.expires_at is not None
    assert services.expire(now=row.expires_at - timedelta(seconds=1)) == 0
    assert services.expire(now=row.expires_at) == 1
    row.refresh_from_db()
    assert (row.state, store.storage().exists(store.name(row.ref))) == ("expired", False)
    bundles.sequencer.run_once()
    assert types()[-1] == "audit.export.deleted"
    services.expire(now=row.asked_at + services.ROW_KEPT_FOR)
    assert not Export.objects.exists()


def test_what_a_crash_left_behind_is_cleared_after_a_day(bundles: Bundles) -> None:
    left = store.workshop("exp_dead", "claim")
    (left / "entries.jsonl").write_text("x")
    (store.folder() / "exp_gone.zip").write_text("x")
    services.expire(now=datetime.now(UTC))
    assert len(list(store.folder().iterdir())) == 2
    services.expire(now=datetime.now(UTC) + timedelta(days=2))
    assert list(store.folder().iterdir()) == []


def test_a_scoped_reader_takes_their_agents_only_and_completeness_is_not_claimed(bundles: Bundles) -> None:
    facts = vars(NOBODY)
    for agent in ("spiffe://example.org/a", "spiffe://example.org/b") * 3:
        event = FailuresCounted(source="src", code="c", count=1, minute="m")
        with transaction.atomic():
            record(event, by="system", facts=type(NOBODY)(**{**facts, "agent": agent}))
    bundles.sequencer.run_once()
    scope = Scope(agents=frozenset({"spiffe://example.org/a"}), since_at=None, until_at=None)
    row = bundles.make(scope=scope)
    assert row.rows == 3
    folder = bundles.unpacked(row)
    code, said = aims_verify.verify(str(folder), vkeys=[bundles.vkey])
    assert code == aims_verify.GOOD
    assert "that the filter left out none is NOT proven" in said[1]
    assert b"org/b" not in (folder / "entries.jsonl").read_bytes()
    assert asking.scope_kept(row.scope) == scope


def test_a_reader_of_a_period_gets_a_proven_range(bundles: Bundles, happen: Happen) -> None:
    happen(5)
    bundles.sequencer.run_once()
    day = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    all_of_it = Scope(agents=None, since_at=day - timedelta(days=1), until_at=day + timedelta(days=2))
    row = bundles.make(scope=all_of_it)
    assert row.manifest is not None
    assert row.manifest["sets"][0]["completeness"] == "proven"
    none_of_it = Scope(agents=None, since_at=day - timedelta(days=5), until_at=day - timedelta(days=3))
    row = bundles.make(scope=none_of_it)
    assert (row.state, row.failure) == ("failed", "nothing_signed")


def test_several_generations_are_several_parts(bundles: Bundles, happen: Happen) -> None:
    happen(10)
    bundles.sequencer.run_once()
    first = bundles.vkey
    happen(3)
    while tree.drain():  # numbered, but never signed under this generation
        pass
    key = checkpoints.load_log_key(checkpoints.key_path())
    checkpoints.begin_generation("key_replaced", key=key, by="cli:root")
    bundles.sequencer._log = None
    happen(10)
    bundles.sequencer.run_once()
    row = bundles.make()
    folder = bundles.unpacked(row)
    parts = json.loads((folder / "manifest.json").read_text())["sets"][0]["parts"]
    assert [part["generation"] for part in parts] == [1, 2]
    code, said = aims_verify.verify(str(folder), vkeys=[first, bundles.vkey])
    assert (code, said[-1]) == (aims_verify.GAPS, "What is there holds, but not the whole range is there.")
    assert any(line.startswith("  NOT PROVEN: entries ") for line in said)
    assert verdict(folder, first)[0] == aims_verify.BAD
    second = bundles.unpacked(bundles.make(Wanted(name="entries", query="", first=parts[1]["first"], end=None)), "two")
    assert verdict(second, bundles.vkey)[0] == aims_verify.GOOD


def test_csv_says_what_the_entries_say_and_runs_nothing(bundles: Bundles, happen: Happen) -> None:
    happen(4)
    folder = bundles.unpacked(bundles.make(formats=("jsonl", "csv")))
    with (folder / "entries.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    leaves = [line.split() for line in (folder / "entries.leaves").read_text().splitlines()]
    assert [[row["index"], row["leaf_hash"]] for row in rows] == leaves
    lines = [json.loads(line) for line in (folder / "entries.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [line["id"] for line in lines]
    assert [json.loads(row["data"]) for row in rows] == [line["data"] for line in lines]
    assert verdict(folder, bundles.vkey)[0] == aims_verify.GOOD
    assert [safe(cell) for cell in ("=1+1", "+1", "-1", "@x", "\tx", "\rx", "a=1", None)] == [
        "'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", "a=1", "",
    ]  # fmt: skip


def test_what_is_signed_is_asked_of_every_generation(bundles: Bundles, happen: Happen) -> None:
    happen(3)
    bundles.sequencer.run_once()
    assert spans.signed_size() == read.size()
    row = ask()
    assert row.snapshot is None
    assert EVERY.end is None


def test_a_filter_takes_what_fits_below_the_snapshot_and_claims_no_completeness(
    bundles: Bundles, happen: Happen
) -> None:
    happen(20)
    bundles.sequencer.run_once()
    row = bundles.make(Wanted(name="entries", query="type:audit.failures.counted -source", first=5, end=None))
    assert row.manifest is not None
    assert row.manifest["sets"][0]["completeness"] == "not_proven"
    folder = bundles.unpacked(row)
    indexes = [int(line.split()[0]) for line in (folder / "entries.leaves").read_text().splitlines()]
    assert indexes == list(range(5, 21))
    assert verdict(folder, bundles.vkey)[0] == aims_verify.GOOD
    bundles.sequencer.run_once()
    asked = next(each for each in read.after(-1, scope=EVERYTHING) if each.type == "audit.export.asked")
    assert "-source" not in asked.canon.decode()
    assert len(asked.data["query_hashes"]) == 1


def test_a_filter_that_finds_nothing_is_an_answer_and_a_broken_one_is_refused(bundles: Bundles) -> None:
    folder = bundles.unpacked(bundles.make(Wanted(name="entries", query="type:never.happened", first=0, end=None)))
    assert (folder / "entries.jsonl").read_bytes() == b""
    assert verdict(folder, bundles.vkey)[0] == aims_verify.GOOD
    for query in ("nofield:x", '"open', "type:", "a" * 3000):
        with pytest.raises(QueryError):
            bundles.make(Wanted(name="entries", query=query, first=0, end=None))


def test_every_format_stands_beside_the_evidence(bundles: Bundles, happen: Happen) -> None:
    import pyarrow.parquet as parquet

    happen(5)
    folder = bundles.unpacked(bundles.make(formats=("jsonl", "csv", "parquet", "ocsf", "cadf")))
    leaves = [line.split() for line in (folder / "entries.leaves").read_text().splitlines()]
    table = parquet.read_table(folder / "entries.parquet").to_pylist()
    assert [[str(row["index"]), row["leaf_hash"]] for row in table] == leaves
    assert table[0]["recorded_at"].tzinfo is not None
    events = [json.loads(line) for line in (folder / "entries.ocsf.jsonl").read_text().splitlines()]
    assert [[str(each["metadata"]["sequence"]), each["unmapped"]["leaf_hash"]] for each in events] == leaves
    assert len((folder / "entries.cadf.jsonl").read_text().splitlines()) == len(leaves)
    assert verdict(folder, bundles.vkey)[0] == aims_verify.GOOD


def test_a_format_without_its_library_is_refused_with_its_name(
    bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.exports.renderings.columnar.find_spec", lambda name: None)
    with pytest.raises(FormatMissing, match="pyarrow"):
        ask(formats=("parquet",))
