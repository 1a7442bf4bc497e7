"""Verbs of exports: ask, make, cancel, delete. A job is found, not sent: what is due stands in ``audit_export``."""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet

from audit import read
from audit.access import Scope
from audit.errors import LogError, NoLog
from audit.exports import asking, bundle, spans, store
from audit.exports.errors import Cancelled, NoSuchExport, NothingSigned, RangeRefused, TooManyExports
from audit.exports.events import (
    ExportAsked,
    ExportCancelled,
    ExportDeleted,
    ExportDownloaded,
    ExportFailed,
    ExportFinished,
)
from audit.exports.models import Export
from audit.exports.packs import companions as packs
from audit.exports.product import product
from audit.merkle import ProofRefused
from audit.notes import NoteRefused
from audit.search.errors import QueryError
from audit.write import NOBODY, record, record_alone

log = logging.getLogger(__name__)

OPEN_MAX_PERSON = 5
OPEN_MAX = 50
KEPT_FOR = timedelta(days=7)
ROW_KEPT_FOR = timedelta(days=90)
LEASE = timedelta(minutes=5)  # a worker that gave no sign of life for so long is dead
TRIES_MAX = 3


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One set of entries that is asked for. query: empty for all of [first, end). end: None for all there is.

    chosen: how the entries of a pack were chosen (``packs.subject``), instead of a query; empty for none of that.
    """

    name: str
    query: str
    first: int
    end: int | None
    chosen: str = ""


def ask(
    *,
    kind: str,
    title: str,
    sets: Sequence[Wanted],
    formats: Sequence[str],
    scope: Scope,
    by: str,
    now: datetime,
    about: Mapping[str, Any] | None = None,
) -> Export:
    """Ask for an export; a worker finds it. scope: what the one who asks may read. about: of a pack, what it is about.

    Raises: RangeRefused, TooManyExports, FormatMissing, and the query's errors.
    """
    for wanted in sets:
        _must_be_lawful(wanted, now)
    asking.must_be_known(formats)
    row = Export(kind=kind, title=title, formats=list(formats), asked_by=by, asked_at=now)
    row.sets, row.scope, row.about = [vars(each) for each in sets], asking.kept_scope(scope), about
    event = ExportAsked(
        export=row.ref,
        kind=kind,
        formats=row.formats,
        query_hashes=[_hash(each.query) if each.query else None for each in sets],
        first=min(each.first for each in sets),
        end=None if any(each.end is None for each in sets) else max(each.end or 0 for each in sets),
        about_kind=about["kind"] if about else None,
        about=about["ref"] if about else None,
    )
    with transaction.atomic():
        _must_have_room(by)
        row.save(force_insert=True)
        record(event, by=by, facts=NOBODY)
    return row


def run_due(*, now: datetime) -> str | None:
    """Make the oldest export that waits, or whose worker died; return its ref, None where nothing is due."""
    for row in _due(now).order_by("asked_at")[:5]:
        if run_now(row, now=now):
            return row.ref
    return None


def run_now(row: Export, *, now: datetime) -> bool:
    """Make an export if it is still due and no other worker was faster; return whether it was ours."""
    claim = secrets.token_hex(8)
    claimed = _due(now).filter(pk=row.pk)
    if not claimed.update(state="running", claim=claim, claimed_until=now + LEASE, tries=F("tries") + 1, percent=0):
        return False
    run(Export.objects.get(pk=row.pk))
    return True


def run(row: Export) -> None:
    """Make the bundle of an export that is claimed. A crash in here leaves a dead claim, which another takes over."""
    try:
        workshop = store.workshop(row.ref, row.claim)
    except OSError as error:
        _fail(row, "storage", error)
        return
    try:
        made = bundle.make(_order(row), workshop, clock=_utc_now, beat=lambda percent: _beat(row, percent))
        _finish(row, made)
    except Cancelled:
        log.info("export %s was cancelled, or taken over", row.ref)
    except OSError as error:
        _fail(row, "storage", error)
    except (LookupError, ProofRefused, NoteRefused) as error:
        _fail(row, "inconsistent", error)
    except QueryError as error:
        _fail(row, error.code, error)
    except LogError as error:
        _fail(row, error.code, error)
    finally:
        store.clear(workshop)


def cancel(ref: str, *, by: str) -> None:
    """Cancel an export that waits or runs. Raises: NoSuchExport."""
    with transaction.atomic():
        _move(_open(ref), state="cancelled", finished_at=_utc_now())
        record(ExportCancelled(export=ref), by=by, facts=NOBODY)


def delete(ref: str, *, by: str, reason: str = "asked") -> None:
    """Delete the bundle of an export that is ready; the row tells that it was. Raises: NoSuchExport.

    The file goes first: a crash in between leaves a row whose bundle is gone, which the sweep expires.
    """
    if not Export.objects.filter(ref=ref, state="ready").exists():
        raise NoSuchExport(ref)
    store.drop(ref)
    with transaction.atomic():
        _move(Export.objects.filter(ref=ref, state="ready"), state="expired")
        record(ExportDeleted(export=ref, reason=reason), by=by, facts=NOBODY)


def note_download(row: Export, *, by: str) -> None:
    """Record that somebody takes a bundle, before its first byte goes out."""
    record_alone(ExportDownloaded(export=row.ref, bundle_hash=row.bundle_hash), by=by, facts=NOBODY)


def expire(*, now: datetime) -> int:
    """Delete bundles whose time is up, fail what died too often, forget old rows, clear what crashes left."""
    due = list(Export.objects.filter(state="ready", expires_at__lte=now).values_list("ref", flat=True))
    for ref in due:
        delete(ref, by="system", reason="expired")
    for row in Export.objects.filter(state="running", claimed_until__lte=now, tries__gte=TRIES_MAX):
        _fail(row, "died", None)
    Export.objects.filter(state__in=("failed", "cancelled", "expired"), asked_at__lte=now - ROW_KEPT_FOR).delete()
    _clear_left(now)
    return len(due)


def _clear_left(now: datetime) -> None:
    kept = set(Export.objects.filter(state__in=("ready", "running")).values_list("ref", flat=True))
    for path in store.folder().iterdir():
        is_old = datetime.fromtimestamp(path.stat().st_mtime, UTC) < now - timedelta(days=1)
        if path.name.split(".")[0] not in kept and is_old:
            store.clear(path) if path.is_dir() else path.unlink()


def _due(now: datetime) -> QuerySet[Export]:
    dead = Q(state="running", claimed_until__lte=now)
    return Export.objects.filter(Q(state="queued") | dead, tries__lt=TRIES_MAX)


def _order(row: Export) -> bundle.Order:
    if row.snapshot is None:
        try:
            row.snapshot = spans.signed_size()
        except NoLog as error:
            raise NothingSigned("no checkpoint was signed yet") from error
        _move(_mine(row), snapshot=row.snapshot)
    scope = asking.scope_kept(row.scope)
    beside = packs.companions_of(row.about, scope=scope, by=row.asked_by, snapshot=row.snapshot) if row.about else None
    chosen = beside.found.chosen if beside else {}
    sets = [asking.part(each, snapshot=row.snapshot, scope=scope, now=row.asked_at, chosen=chosen) for each in row.sets]
    return bundle.Order(
        ref=row.ref,
        title=row.title,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        formats=row.formats,
        snapshot=row.snapshot,
        agents=None if scope.agents is None else sorted(scope.agents),
        product=product(),
        sets=sets,
        about={name: row.about[name] for name in ("kind", "ref")} if row.about else None,
        companions=beside.write if beside else None,
    )


def _beat(row: Export, percent: int) -> None:
    """Give a sign of life. Raises: Cancelled when the job is no longer ours."""
    if not _mine(row).update(percent=percent, claimed_until=_utc_now() + LEASE):
        raise Cancelled(row.ref)


def _finish(row: Export, made: bundle.Made) -> None:
    """Put the bundle in its place and say so. A crash between the two leaves a file that the next try overwrites."""
    now = _utc_now()
    event = ExportFinished(
        export=row.ref,
        rows=made.rows,
        snapshot=made.manifest["snapshot"],
        size_bytes=made.size_bytes,
        bundle_hash=made.bundle_hash,
        manifest_hash=made.manifest_hash,
    )
    with transaction.atomic():
        done: dict[str, Any] = {"rows": made.rows, "size_bytes": made.size_bytes, "bundle_hash": made.bundle_hash}
        done |= {"manifest": made.manifest, "percent": 100, "finished_at": now, "expires_at": now + KEPT_FOR}
        if not _mine(row).update(state="ready", claim="", **done):
            raise Cancelled(row.ref)
        # Behind the claim, which is held until commit: a job that was taken away leaves no file.
        store.keep(made.path, row.ref)
        record(event, by="system", facts=NOBODY)


def _fail(row: Export, code: str, error: Exception | None) -> None:
    log.error("export %s failed (%s): %s", row.ref, code, error)
    with transaction.atomic():
        if _mine(row).update(state="failed", failure=code, finished_at=_utc_now()):
            record(ExportFailed(export=row.ref, code=code), by="system", facts=NOBODY)


def _mine(row: Export) -> QuerySet[Export]:
    return Export.objects.filter(pk=row.pk, state="running", claim=row.claim)


def _open(ref: str) -> QuerySet[Export]:
    return Export.objects.filter(ref=ref, state__in=("queued", "running"))


def _move(rows: QuerySet[Export], **values: Any) -> None:
    """Change exactly one row. Raises: NoSuchExport where it is not in the state that was looked for."""
    if rows.update(**values) != 1:
        raise NoSuchExport("it is in another state now")


def _must_have_room(by: str) -> None:
    waiting = Export.objects.filter(state__in=("queued", "running"))
    if waiting.filter(asked_by=by).count() >= OPEN_MAX_PERSON or waiting.count() >= OPEN_MAX:
        raise TooManyExports(f"at most {OPEN_MAX_PERSON} of one person wait or run at a time")


def _must_be_lawful(wanted: Wanted, now: datetime) -> None:
    size = read.size()
    if not 0 <= wanted.first < (size if wanted.end is None else wanted.end) <= size:
        raise RangeRefused(f"the log has entries 0 to {size - 1}")
    asking.must_parse(wanted.query, now)


def _hash(query: str) -> str:
    return "sha-256:" + hashlib.sha256(query.encode()).hexdigest()


def _utc_now() -> datetime:
    return datetime.now(UTC)
