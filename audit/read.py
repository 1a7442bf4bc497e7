"""Questions to the log: entries, proofs, checkpoints. Only this module and ``write`` are other rooms' business.

scope, wherever entries are read: what the reader may see (``audit.access``). Who reads for nobody says EVERYTHING.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q

from audit import bucket, merkle, notes, proving, timestamps, tree, trust
from audit import strength as standing
from audit.access import EVERYTHING as EVERYTHING
from audit.access import Scope as Scope
from audit.access import scope_of as scope_of
from audit.access import scope_of_caller as scope_of_caller
from audit.checkpoints import current_log
from audit.entries import Data as Data
from audit.entries import EntryView as EntryView
from audit.entries import Glimpse as Glimpse
from audit.entries import views_of
from audit.errors import EntryGone, Malformed, NoLog, NoSuchEntry
from audit.errors import LogError as LogError
from audit.keeping import state
from audit.models import Check, Checkpoint, Entry, Head, InboxRow, Log
from audit.payload import parse as parse_payload
from audit.search.errors import QueryError as QueryError
from audit.search.finding import PAGE_DEFAULT as PAGE_DEFAULT
from audit.search.finding import PAGE_MAX as PAGE_MAX
from audit.search.finding import each as each
from audit.search.finding import newest as newest
from audit.search.language import parse as parse
from audit.search.moments import Moment
from audit.search.syntax import Compare, Has, Tree, Word, of_parts
from audit.search.syntax import Query as Query
from audit.tallies import Tally as Tally
from audit.tallies import began_at as began_at
from audit.tallies import newest_of as newest_of
from audit.tallies import tallies as tallies
from audit.tallies import tallies_of as tallies_of
from audit.timeline.extras import Card as Card
from audit.timeline.extras import Extras as Extras
from audit.timeline.extras import Incident as Incident
from audit.timeline.telling import Timeline as Timeline
from audit.timeline.telling import timeline as timeline

TIMELINE_MAX = 500
STALLED_AFTER = timedelta(seconds=15)
COUNT_MAX = 10_000
REPORT_VIEWED = "compliance.report.viewed"  # reading what was measured from the log is reading the log


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What to look for. agent, resource: the whole identifier, or a word of it. type: whole, or ``room.*``.

    person: ref; as subject or as the one who did it. text: a reference (event, transaction, person), or a word.
    """

    agent: str = ""
    person: str = ""
    type: str = ""
    decision: str = ""
    resource: str = ""
    since_at: datetime | None = None
    until_at: datetime | None = None
    text: str = ""

    def query(self) -> Query:
        """Return it as a query."""
        parts: list[Tree] = [
            Has(name, value.rstrip("*"), is_prefix=value.endswith("*"))
            for name in ("agent", "person", "type", "decision", "resource")
            if (value := getattr(self, name))
        ]
        parts += [Word(self.text.strip())] if self.text.strip() else []
        parts += [Compare("time", ">=", _moment(self.since_at))] if self.since_at else []
        parts += [Compare("time", "<=", _moment(self.until_at))] if self.until_at else []
        return of_parts(parts)


def latest(filter: Filter, before: int | None = None, limit: int = PAGE_DEFAULT, *, scope: Scope) -> list[EntryView]:
    """Return the newest entries that fit, below index ``before``; at most PAGE_MAX."""
    return newest(filter.query(), before, limit, scope=scope)


def after(index: int, limit: int = PAGE_MAX, *, scope: Scope) -> list[EntryView]:
    """Return entries after an index, oldest first: how followers read on. Never tail anything but this index."""
    return views_of(scope.restrict(Entry.objects.filter(index__gt=index)).order_by("index")[:limit])


def glimpses(after: int, upto: int, limit: int, *, types: Collection[str] | None, scope: Scope) -> list[Glimpse]:
    """Return entries after an index and up to another, oldest first, for followers that look at very many.

    types: whole types, None for all. Bounded on both sides, so that rare types don't make one question read the whole log.
    """
    rows = scope.restrict(Entry.objects.filter(index__gt=after, index__lte=upto))
    if types is not None:
        rows = rows.filter(type__in=sorted(types))
    found = rows.order_by("index").values_list(*Glimpse.__slots__)[:limit]
    return [Glimpse(*columns) for columns in found]


def count_after(index: int, *, scope: Scope) -> int:
    """Return how many entries came after an index, at most COUNT_MAX."""
    if scope.is_whole:
        return min(COUNT_MAX, max(0, size() - 1 - index))
    return scope.restrict(Entry.objects.filter(index__gt=index))[:COUNT_MAX].count()


def entry(index: int, *, scope: Scope) -> EntryView:
    """Return one entry. Raises: NoSuchEntry; EntryGone for one that went by retention."""
    _refuse_gone(index)
    found = views_of(scope.restrict(Entry.objects.filter(index=index)))
    if not found:
        raise NoSuchEntry(f"no entry {index}")
    return found[0]


def minimum() -> int:
    """Return the global index of the first entry that is kept: what was below went by retention."""
    return state.minimum()


def _refuse_gone(index: int) -> None:
    if (month := state.gone(index)) is not None:
        raise EntryGone(index, month.gone_at)


def entries_of_txn(txn: str, *, scope: Scope) -> list[EntryView]:
    """Return everything that happened in one transaction, in its order; the first TIMELINE_MAX."""
    return views_of(scope.restrict(Entry.objects.filter(txn=txn)).order_by("index")[:TIMELINE_MAX])


def readings(person: str, *, before: int | None = None, limit: int = PAGE_DEFAULT) -> list[EntryView]:
    """Return what a person has read and taken, or a machine for them, newest first: the entries about the log itself.

    They are about what the reader did, so no scope cuts them. person: ref.
    """
    taken = Q(type__startswith="audit.") | Q(type=REPORT_VIEWED)
    found = Entry.objects.filter(Q(by=person) | Q(subject=person), taken)
    if before is not None:
        found = found.filter(index__lt=before)
    return views_of(found.order_by("-index")[: min(limit, PAGE_MAX)])


def index_of(event_id: str) -> int | None:
    """Return the place of an event in the log; None while the sequencer has not numbered it."""
    return Entry.objects.filter(event_id=event_id).values_list("index", flat=True).first()


def entry_bytes(index: int, *, scope: Scope) -> bytes:
    """Return the exact bytes of an entry, as they were hashed. Raises: NoSuchEntry, EntryGone."""
    _refuse_gone(index)
    raw = scope.restrict(Entry.objects.filter(index=index)).values_list("canon", flat=True).first()
    if raw is None:
        raise NoSuchEntry(f"no entry {index}")
    return bytes(raw)


def tlog_proof(index: int, *, scope: Scope) -> str:
    """Return the ``.tlog-proof`` of an entry, under the newest checkpoint of its generation that is cosigned best.

    Its ``index`` line counts within the generation. Raises: NoSuchEntry until a checkpoint covers it.
    """
    if not scope.is_whole and not scope.restrict(Entry.objects.filter(index=index)).exists():
        raise NoSuchEntry(f"no entry {index}")
    log = log_of(index)
    signed = proving.checkpoint_over(log, index - log.base)
    if signed is None:
        raise NoSuchEntry(f"no checkpoint covers entry {index} yet")
    hashes = merkle.inclusion_proof(index - log.base, signed.size, tree.reader(log.generation))
    return notes.write_proof(index - log.base, hashes, signed.note)


def check_policy() -> None:
    """Check the witness policy that is configured. Raises: ValueError naming the line, OSError."""
    trust.must_be_usable()


def check_attesting() -> None:
    """Check what is set for time stamps and copies. Raises: ValueError, OSError naming the variable."""
    timestamps.must_be_usable()
    bucket.must_be_usable()


def log_of(index: int) -> Log:
    """Return the generation that an entry belongs to. Raises: NoLog, NoSuchEntry."""
    log = Log.objects.filter(base__lte=index).order_by("-generation").first()
    if log is None:
        raise NoSuchEntry(f"no entry {index}")
    return log


def checkpoint_note() -> str:
    """Return the newest signed checkpoint of the growing log, with what cosignatures it has. Raises: NoLog."""
    return proving.cosigned(latest_checkpoint())


def latest_checkpoint() -> Checkpoint:
    """Return the newest checkpoint of the growing log. Raises: NoLog."""
    log = current_log()
    row = Checkpoint.objects.filter(generation=log.generation).order_by("-size").first()
    if row is None:
        raise NoLog("no checkpoint was signed yet")
    return row


def vkey(index: int | None = None) -> str:
    """Return the key that verifies the log's checkpoints, or those over a certain entry. Raises: NoLog."""
    return (current_log() if index is None else log_of(index)).vkey


def size() -> int:
    """Return the global size: one more than the newest entry's index."""
    head = Head.objects.filter(pk=1).first()
    return head.base + head.size if head else 0


def trouble(now: datetime | None = None) -> str:
    """Return why nothing is being signed, or nothing.

    What the sequencer itself wrote (``behind``, ``inconsistent``, ``key_missing``, ``key_mismatch``, ``storage``,
    ``stalled``); ``altered`` where a check of what is stored found a change; also ``stalled`` when an event waits for longer than STALLED_AFTER, whoever should number it.
    """
    if Check.objects.exclude(bad="").exists():
        return "altered"
    stored = Log.objects.order_by("-generation").values_list("trouble", flat=True).first()
    return stored or ("stalled" if _is_stalled(now or datetime.now(UTC)) else "")


def _is_stalled(now: datetime) -> bool:
    oldest = InboxRow.objects.order_by("pk").values_list("payload", flat=True).first()
    if oldest is not None and _happened_at(bytes(oldest)) < now - STALLED_AFTER:
        return True
    head = Head.objects.filter(pk=1).first()
    if head is None or head.recorded_at >= now - STALLED_AFTER:
        return False
    return not Checkpoint.objects.filter(generation=head.generation, size__gte=head.size).exists()


def _happened_at(payload: bytes) -> datetime:
    try:
        return datetime.fromisoformat(parse_payload(payload)["occurred_at"])
    except Malformed:
        return datetime.max.replace(tzinfo=UTC)  # no event; the sequencer will set it aside


def strength() -> str:
    """Return how strong the log's claim is at present: T0 to T4, as ``audit.strength`` finds by facts."""
    return standing.assess(datetime.now(UTC)).tier


def _moment(at: datetime) -> Moment:
    return Moment(
        at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"), at, at + timedelta(milliseconds=1)
    )
