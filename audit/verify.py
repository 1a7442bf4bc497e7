"""Check the whole log from its bytes: every entry to its leaf, tile, root and signature, every column to its bytes.

The first thing that is wrong is named, with its place, and ends the check.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from audit import attested, copies, losses, merkle, notes, tree
from audit.keeping import state
from audit.keeping.events import RetentionApplied
from audit.models import Entry, InboxRow, Log, Tile
from audit.verdict import Bad, bad_entry
from audit.verdict import Verdict as Verdict
from audit.walk import Progress, Walk

LOOKS = 3
_APPLIED = f'"type":"{RetentionApplied.type}"'.encode()


def verify_log(progress: Progress = lambda done: None) -> Verdict:
    """Check every generation of the log, and everything outside that speaks of it. progress: called with entries done."""
    while True:
        totals, minimum = Totals(), state.minimum()
        verdict = totals.judge(lambda totals=totals: _whole(totals, progress))  # type: ignore[misc]
        # A month that went while it was being read is no trouble: what is left is looked at again.
        if verdict.is_good or state.minimum() == minimum:
            return verdict


@dataclass
class Totals:
    """What was checked so far."""

    entries: int = 0
    checkpoints: int = 0
    unsigned: int = 0

    def judge(self, check: Callable[[], None]) -> Verdict:
        """Run a check and return its verdict."""
        try:
            check()
        except Bad as bad:
            return Verdict(self.entries, self.checkpoints, self.unsigned, bad.what, bad.index, bad.where)
        minimum = state.minimum()
        left = Entry.objects.filter(index__lt=minimum).count() if minimum else 0
        lost = tuple(losses.every())
        return Verdict(self.entries, self.checkpoints, self.unsigned, minimum=minimum, left=left, lost=lost)

    def add(self, walk: Walk) -> None:
        """Count what a walk has done."""
        self.entries = walk.log.base + walk.size
        self.checkpoints += walk.checkpoints


def generations() -> Iterator[tuple[Log, Log | None]]:
    """Return every generation with the one that follows it."""
    logs = list(Log.objects.order_by("generation"))
    return itertools.zip_longest(logs, logs[1:])


def end_of(walk: Walk, totals: Totals, *, is_whole: bool = True) -> None:
    """Check what a finished walk leaves: the unfinished tiles, the copies, the witnesses, the time stamps. Raises Bad.

    is_whole: also what was attested before this walk began.
    """
    published = _copied(walk.log)
    walk.gone(published)
    walk.finish()
    totals.unsigned += walk.size - max(walk.last_signed, published if published <= walk.size else 0)
    if is_whole:
        attested.check(walk.log)
    if not walk.following:
        _nothing_behind(walk)


def nothing_outside() -> None:
    """Check that no entry and no tile lies where no log is. Raises Bad."""
    first = Entry.objects.order_by("index").values_list("index", flat=True).first()
    base = Log.objects.order_by("generation").values_list("base", flat=True).first()
    if first is not None and (base is None or first < base):
        raise bad_entry(first, "belongs to no log")
    known = Log.objects.values_list("generation", flat=True)
    if stray := Tile.objects.exclude(generation__in=list(known)).first():
        raise Bad("a tile belongs to no log", where=f"tile/g{stray.generation}/{stray.level}/{stray.index}/0")


def only_what_the_log_says_is_gone() -> None:
    """Check that no more is missing than went by retention, of which the log itself tells. Raises Bad."""
    for _ in range(LOOKS):  # retention may go on meanwhile
        told = _told_minimum()
        if told == (kept_from := state.minimum()):
            return
    raise Bad(f"entries below {kept_from} are missing, but the log says that those below {told} went", where="minimum")


def _told_minimum() -> int:
    said = [bytes(raw) for raw in InboxRow.objects.values_list("payload", flat=True)]
    newest = Entry.objects.filter(type=RetentionApplied.type).order_by("-index").values_list("canon", flat=True).first()
    said += [bytes(newest)] if newest is not None else []
    return max((int(json.loads(raw)["data"]["end"]) for raw in said if _APPLIED in raw), default=0)


def _whole(totals: Totals, progress: Progress) -> None:
    for log, following in generations():
        walk = Walk(log, following, progress=progress)
        try:
            while walk.step():
                pass
        finally:
            totals.add(walk)
        end_of(walk, totals)
    nothing_outside()
    only_what_the_log_says_is_gone()


def _copied(log: Log) -> int:
    """Return the largest size of which a copy was kept. Raises Bad where the copies say something else."""
    where = f"copies/g{log.generation}"
    try:
        kept = copies.latest(key=notes.parse_vkey(log.vkey))
    except notes.NoteRefused as error:
        raise Bad(str(error), where=where) from error
    if kept is None:
        return 0
    head, _ = kept
    row = attested.checkpoint(log, head.size)
    if row is not None and bytes(row.root) != head.root:
        raise Bad(f"the copy of checkpoint {head.size} has another root than the stored one", where=where)
    if row is None and _root(log, head.size) not in (None, head.root):
        raise Bad(f"the copy of checkpoint {head.size} has another root than the stored tree", where=where)
    return head.size


def _root(log: Log, size: int) -> bytes | None:
    """Return the root of the stored tree at a size; None where it has not that many leaves, which others find."""
    try:
        return merkle.root(size, tree.reader(log.generation))
    except LookupError:
        return None


def _nothing_behind(walk: Walk) -> None:
    last = Entry.objects.order_by("-index").values_list("index", flat=True).first()
    if last is not None and last >= walk.log.base + walk.end and last >= walk.log.base + walk.by_now():
        raise bad_entry(last, "stands behind the head")
