"""The erasure of a person: their values go, then the key that opens every copy of them. The log itself does not change.

    begin (the caller's transaction)      finish (after its commit)
    values and blind index deleted        key destroyed, tombstone set
    questions of exports blanked          bundles deleted
    audit.person.erased recorded          audit.erasure.finished recorded

A crash in between leaves an ``Erasure`` that has ``begun``; the sweep finishes it. A restored backup brings values back that
no key opens any more; the tombstone tells the sweep to erase what else came back.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime

from django.db import DatabaseError, connection, transaction
from django.db.models import Max, Min

from audit.keeping import holds, keystore, state, taken
from audit.keeping.errors import AlreadyErased, KeysUnavailable
from audit.keeping.events import ErasureFinished, PersonErased
from audit.keeping.keystore import Tombstone
from audit.keeping.models import BASES, Erasure, PersonalValue
from audit.models import Entry
from audit.write import NOBODY, record

log = logging.getLogger(__name__)

SWEPT_AT_ONCE = 100
_HELD = (
    "audit_personal",
    "audit_export",
    "audit_savedsearch",
    "audit_schedule",
)  # tables that values, or names, were deleted from


def begin(
    person: str, *, basis: str, by: str, now: datetime, words: Collection[str] = (), is_again: bool = False
) -> Erasure:
    """Delete what is kept about a person beside the log, in the caller's transaction; ``finish`` follows its commit.

    words: what other rooms called the person (name, address), which exports may hold; never recorded. Who asks for it
    brings a second person's consent: this room knows nobody. Raises: Held, AlreadyErased, KeysUnavailable.
    """
    assert connection.in_atomic_block
    assert basis in BASES, basis
    _delete_for_good()
    key_hash = keystore.hash_of(person)
    state.locked()
    holds.refuse_person(person)
    if Erasure.objects.filter(person=person).exists():
        raise AlreadyErased(f"{person} was erased already, or is being erased")
    first, end = _span(person)
    values, _ = PersonalValue.objects.filter(person=person).delete()
    taken.forget(person, words)
    erasure = Erasure(person=person, basis=basis, by=by, begun_at=now, values=values, key_hash=key_hash)
    erasure.first, erasure.end, erasure.is_again = first, end, is_again
    erasure.save(force_insert=True)
    record(_erased(erasure), by=by, facts=NOBODY)
    return erasure


def finish(erasure: Erasure, *, now: datetime) -> bool:
    """Destroy the key of a person whose erasure has begun, and say so; return whether this call did. Twice is once.

    A crash after the key is destroyed and before the entry leaves ``begun``: the next call destroys nothing and records.
    Raises: KeysUnavailable.
    """
    _delete_for_good()
    keystore.destroy(erasure.person, now=now)
    taken.drop_bundles()
    with transaction.atomic():
        # What was being recorded meanwhile: sealed with a key that is gone, but found by its blind index.
        late, _ = PersonalValue.objects.filter(person=erasure.person).delete()
        if not Erasure.objects.filter(pk=erasure.pk, state="begun").update(state="done", done_at=now):
            return False
        event = ErasureFinished(erasure=erasure.ref, key_hash=erasure.key_hash or None, late=late)
        record(event, by="system", facts=NOBODY)
    _overwrite()
    return True


def finish_due(*, now: datetime) -> int:
    """Finish what was begun and did not end, and remove what came late; return how many erasures ended.

    A store that does not answer is waited for: the next sweep tries again.
    """
    PersonalValue.objects.filter(person__in=Erasure.objects.filter(state="done").values("person")).delete()
    due = list(Erasure.objects.filter(state="begun").order_by("begun_at", "pk")[:SWEPT_AT_ONCE])
    try:
        return sum(finish(erasure, now=now) for erasure in due)
    except KeysUnavailable:
        log.exception("erasures wait for the store of people's keys")
        return 0


def came_back() -> list[Tombstone]:
    """Return the people whom a restored database has forgotten to have erased. Raises: KeysUnavailable."""
    known = set(Erasure.objects.values_list("person", flat=True))
    return [each for each in keystore.tombstones() if each.person not in known]


def erasure_of(*persons: str | None) -> Erasure | None:
    """Return the erasure of one of these people, if there was one."""
    return Erasure.objects.filter(person__in=[person for person in persons if person]).order_by("pk").first()


def _span(person: str) -> tuple[int | None, int | None]:
    events = PersonalValue.objects.filter(person=person).values("event_id")
    found = Entry.objects.filter(event_id__in=events).aggregate(first=Min("index"), last=Max("index"))
    return found["first"], None if found["last"] is None else found["last"] + 1


def _delete_for_good() -> None:
    """On SQLite, have this connection overwrite from now on what it deletes, pages that become free as well."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA secure_delete=ON")


def _overwrite() -> None:
    """Let nothing of what was deleted wait where it lay, as far as the database does that. Not within a transaction.

    On SQLite the write-ahead log still holds old pages: it is brought into the file and emptied. PostgreSQL gives the dead
    rows' room, and that of their index entries, to what is written next; a table that somebody vacuums is left to them. The
    erasure is done by now: where this can't be, the log line says so, and the database does it in its own time.
    """
    if connection.in_atomic_block:
        return
    try:
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            else:
                for table in _HELD:
                    cursor.execute(f"VACUUM (SKIP_LOCKED, INDEX_CLEANUP ON) {table}")
    except DatabaseError as error:
        log.warning("what was erased waits in old pages of the database: %s", error)


def _erased(erasure: Erasure) -> PersonErased:
    return PersonErased(
        erasure=erasure.ref,
        person=erasure.person,
        basis=erasure.basis,
        values=erasure.values,
        first=erasure.first,
        end=erasure.end,
        key_hash=erasure.key_hash or None,
        is_again=erasure.is_again,
    )
