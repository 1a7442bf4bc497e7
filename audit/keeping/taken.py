"""What was taken out of the log, or asked of it, and still lies here: bundles and questions may hold names."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress

from audit.exports import services as exports
from audit.exports.errors import NoSuchExport
from audit.exports.models import Export
from audit.exports.schedules import services as schedules
from audit.models import SavedSearch

BLANK = "(erased)"


def forget(person: str, words: Collection[str]) -> None:
    """Blank the questions that name a person, and begin again what is being made; in the caller's transaction.

    Searches that they saved, or that name them, are deleted, and so are their scheduled reports.

    words: what the person was called. A bundle in the making may hold what was read before: its worker finds out that it
    lost the job, and the next one reads again.
    """
    wanted = [word.casefold() for word in words if word]
    for row in Export.objects.all():
        told = json.dumps([row.title, row.sets, row.manifest], ensure_ascii=False).casefold()
        if any(word in told for word in wanted):
            _blank(row)
    Export.objects.filter(state="running").update(state="queued", claim="", claimed_until=None)
    schedules.forget(person, wanted)
    SavedSearch.objects.filter(owner=person).delete()
    for search in SavedSearch.objects.all():
        if any(word in f"{search.name}\n{search.query}".casefold() for word in wanted):
            search.delete()


def drop_bundles() -> int:
    """Delete every bundle, and begin again what is being made; return how many. They can be made again.

    Called after the questions were blanked and committed: a job that was claimed while that was going on may have read what
    was there before. Who still runs has lost its job, who has just ended is among the bundles.
    """
    Export.objects.filter(state="running").update(state="queued", claim="", claimed_until=None)
    refs = list(Export.objects.filter(state="ready").values_list("ref", flat=True))
    for ref in refs:
        with suppress(NoSuchExport):  # somebody else was first
            exports.delete(ref, by="system", reason="erasure")
    return len(refs)


def _blank(row: Export) -> None:
    """Blank a question. One that waits can't be answered any more; what was made of it goes with the bundles.

    Its state is asked of the row as it is by now: a job may have ended since it was read, and its bundle must be found.
    """
    sets = [{**each, "query": "", "name": BLANK} for each in row.sets]
    held = Export.objects.filter(pk=row.pk)
    held.update(title=BLANK, sets=sets, manifest=None, claim="")
    held.filter(state__in=("queued", "running")).update(state="cancelled")
