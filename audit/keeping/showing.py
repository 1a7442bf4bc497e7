"""What of an entry's personal values is there for whom: hidden until somebody asks for one and says why."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit import read
from audit.access import EVERYTHING, scope_of
from audit.entries import EntryView, views_of
from audit.errors import LogError
from audit.keeping import erasing, personal
from audit.keeping.commitment import is_commitment
from audit.keeping.errors import NoSuchValue
from audit.keeping.events import PersonalRevealed, PersonalSearched
from audit.keeping.models import PersonalValue
from audit.keeping.personal import Opened
from audit.models import Entry
from audit.write import NOBODY, record_alone, vocabulary

REASONS = ("audit", "incident", "person", "law")
FOUND_MAX = 200


@dataclass(frozen=True)
class PersonalField:
    """A member of an entry that commits to a value. state: ``kept``, ``erased`` (erased_at says when) or ``gone``."""

    name: str
    commitment: str
    state: str
    erased_at: datetime | None = None


def may_reveal(person: Any) -> bool:
    """Return whether a person may see personal values: admins, and auditors to whom the whole log is open."""
    return scope_of(person).is_whole


def fields_of(entry: EntryView) -> list[PersonalField]:
    """Return the personal fields of an entry, in their order. Nothing is decrypted."""
    committed = {name: value for name, value in entry.data.items() if is_commitment(value)}
    if not committed:
        return []
    kept = set(PersonalValue.objects.filter(event_id=entry.event_id).values_list("field", flat=True))
    erasure = None if len(kept) == len(committed) else erasing.erasure_of(entry.subject, entry.by)
    erased_at = erasure.begun_at if erasure else None
    return [_field(name, value, name in kept, erased_at) for name, value in committed.items()]


def reveal(index: int, field: str, *, reason: str, by: str) -> Opened:
    """Return a personal value with its salt; who asked and why is in the log before it is shown.

    Raises: NoSuchEntry, NoSuchValue, KeysUnavailable, KeyBroken.
    """
    assert reason in REASONS, reason
    entry = read.entry(index, scope=EVERYTHING)
    row = PersonalValue.objects.filter(event_id=entry.event_id, field=field).first()
    if row is None or entry.data.get(field) != row.commitment:
        raise NoSuchValue(f"entry {index} has no such value")
    shown = personal.opened(row)
    record_alone(PersonalRevealed(index=index, field=field, reason=reason), by=by, facts=NOBODY)
    return shown


def disclosure(index: int, shown: Opened) -> dict[str, Any]:
    """Return what an outsider checks a revealed value with. Spec: docs/formats.md, section 11."""
    entry = read.entry(index, scope=EVERYTHING)
    return {
        "typ": "aims-disclosure",
        "v": 1,
        "index": index,
        "event": entry.event_id,
        "field": shown.field,
        "value": shown.value,
        "salt": base64.urlsafe_b64encode(shown.salt).rstrip(b"=").decode(),
        "commitment": shown.commitment,
        "entry": entry.canon.decode(),
        "proof": _proof(index),
    }


def searchable() -> list[str]:
    """Return the names of fields that values can be looked for under."""
    return sorted({name for kind in vocabulary().values() for name in kind.personal})


def find(field: str, value: str, *, by: str) -> list[EntryView]:
    """Return the entries whose value of a field is this one, the newest first, at most FOUND_MAX. The value is not logged.

    Case and blanks around it don't count. What was erased is not found.
    """
    rows = PersonalValue.objects.filter(field=field, blind=personal.blind_of(field, value))
    found = Entry.objects.filter(event_id__in=rows.values("event_id")).order_by("-index")[:FOUND_MAX]
    entries = views_of(found)
    record_alone(PersonalSearched(field=field, found=len(entries)), by=by, facts=NOBODY)
    return entries


def _field(name: str, value: str, is_kept: bool, erased_at: datetime | None) -> PersonalField:
    if is_kept:
        return PersonalField(name, value, "kept")
    return PersonalField(name, value, "erased" if erased_at else "gone", erased_at)


def _proof(index: int) -> str:
    try:
        return read.tlog_proof(index, scope=EVERYTHING)
    except LogError:
        return ""
