"""Checks that run by themselves, beside the sequencer: a slow walk through everything without end, and what people ask for.

Where a walk is, stands in a table, so a restart goes on. What a check finds is written there, into the log, and told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db import transaction

from audit import tilecheck, verify
from audit.events import CheckAsked, CheckFailed, CheckPassed
from audit.models import Check, Head, Log
from audit.verdict import Verdict
from audit.verify import Totals
from audit.walk import Walk
from audit.write import NOBODY, record

log = logging.getLogger(__name__)

FULL, INCREMENTAL, TILES = KINDS = ("full", "incremental", "tiles")
ROWS_PER_S = 20_000  # of the walk that nobody waits for
ASKED_SLICE_S = 0.5  # of one that somebody waits for, in each turn
INCREMENTAL_EVERY = timedelta(minutes=5)
TILES_EVERY = timedelta(days=1)
FULL_REST = timedelta(hours=6)  # between the end of one slow walk and the next
AFTER_BAD = timedelta(hours=1)
SAY_EVERY = timedelta(days=1)

Alarm = Callable[[Verdict], None]


class AlreadyRunning(Exception):
    """A check is running or waiting: one at a time."""


def ask(kind: str, *, by: str) -> None:
    """Have a check run now. Raises: AlreadyRunning, KeyError for another kind."""
    if kind not in KINDS:
        raise KeyError(kind)
    with transaction.atomic():
        for each in KINDS:
            Check.objects.get_or_create(kind=each)
        rows = list(Check.objects.select_for_update().order_by("kind"))
        if any(row.wanted_by for row in rows):
            raise AlreadyRunning
        row = next(row for row in rows if row.kind == kind)
        row.wanted_by = by
        if kind != INCREMENTAL:
            _rewind(row)
        row.save()
        record(CheckAsked(kind=kind), by=by, facts=NOBODY)


class Scrubber:
    """Runs what is due. alarm: told of a check that failed, once for each place."""

    def __init__(self, alarm: Alarm = lambda verdict: None) -> None:
        self._alarm = alarm
        self._rest_until = 0.0

    def round(self, now: datetime) -> None:
        """Do some of the check that is due: the one that was asked for, else what time says."""
        if not Log.objects.exists():
            return
        rows = {row.kind: row for row in Check.objects.all()}
        for kind in KINDS:
            rows.setdefault(kind, Check(kind=kind))
        row = next((row for row in rows.values() if row.wanted_by), None) or self._due(rows, now)
        if row is None:
            return
        if row.kind == TILES:
            self._tiles(row, now)
        else:
            self._walk(row, now)

    def _due(self, rows: dict[str, Check], now: datetime) -> Check | None:
        for kind, every in ((TILES, TILES_EVERY), (INCREMENTAL, INCREMENTAL_EVERY)):
            if _is_due(rows[kind], every, now):
                return rows[kind]
        full = rows[FULL]
        is_resting = time.monotonic() < self._rest_until or not _is_due(full, FULL_REST, now)
        return None if is_resting else full

    def _tiles(self, row: Check, now: datetime) -> None:
        _begin(row, now)
        self._end(row, tilecheck.check_tiles(lambda done: _so_far(row, done)), now)

    def _walk(self, row: Check, now: datetime) -> None:
        """Walk on for a slice, from where the row says."""
        if row.ended_at or not row.began_at:
            _begin(row, now)
        totals, until = Totals(), time.monotonic() + ASKED_SLICE_S
        is_over = False

        def some() -> None:
            nonlocal is_over
            is_over = _on(row, totals, until if row.wanted_by else 0.0)

        began_at, began = row.upto, time.monotonic()
        verdict = totals.judge(some)
        if not row.wanted_by:
            self._rest_until = began + max(0, row.upto - began_at) / ROWS_PER_S
        if verdict.is_good and not is_over:
            row.save()
        else:
            self._end(row, verdict, now)

    def _end(self, row: Check, verdict: Verdict, now: datetime) -> None:
        is_news = verdict.where != row.where
        row.ended_at, row.wanted_by = now, ""
        row.bad, row.where, row.index = verdict.bad, verdict.where, verdict.index
        with transaction.atomic():
            if verdict.is_good:
                row.good_at, row.good_upto = now, row.total
                if row.said_at is None or now - row.said_at >= SAY_EVERY:
                    row.said_at = now
                    record(CheckPassed(kind=row.kind, entries=row.total), by="system", facts=NOBODY)
            elif is_news:
                event = CheckFailed(kind=row.kind, place=verdict.where, index=verdict.index)
                record(event, by="system", facts=NOBODY)
            row.save()
        if not verdict.is_good and is_news:
            log.critical("the audit log does not verify: %s [%s]", verdict.bad, verdict.where)
            self._alarm(verdict)


def _on(row: Check, totals: Totals, until: float) -> bool:
    """Walk at least one page; return whether the end of the last generation was reached. Raises: Bad."""
    for current, following in verify.generations():
        if current.generation < row.generation:
            continue
        memory = row.memory if current.generation == row.generation else ""
        walk = Walk(current, following, memory=memory, progress=lambda done: None)
        more = True
        while more:
            more = walk.step()
            row.generation, row.memory, row.upto = current.generation, walk.memory(), current.base + walk.size
            if more and time.monotonic() >= until:
                totals.add(walk)
                return False
        totals.add(walk)
        verify.end_of(walk, totals, is_whole=row.kind == FULL)
    verify.nothing_outside()
    verify.only_what_the_log_says_is_gone()
    return True


def _is_due(row: Check, every: timedelta, now: datetime) -> bool:
    if row.ended_at is None:
        return True
    return not timedelta(0) <= now - row.ended_at < (AFTER_BAD if row.bad else every)


def _begin(row: Check, now: datetime) -> None:
    if row.kind != INCREMENTAL or row.bad:
        _rewind(row)
    head = Head.objects.filter(pk=1).first()
    row.total = head.base + head.size if head else 0
    row.began_at, row.ended_at = now, None
    row.save()


def _rewind(row: Check) -> None:
    row.generation, row.memory, row.upto, row.began_at, row.ended_at = 0, "", 0, None, None


def _so_far(row: Check, done: int) -> None:
    row.upto = done
    Check.objects.filter(kind=row.kind).update(upto=done)
