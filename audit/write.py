"""Write to the audit log: ``record()`` puts an event beside the change it speaks of, in the same transaction.

The sequencer moves it from the inbox into the tree. What stands here is references, enums, hashes and numbers only
(design: erasable from the first entry): the log outlives names, so names never enter it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, get_args

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F

from audit.canonical import encode
from audit.keeping import personal
from audit.keeping.commitment import Personal as Personal
from audit.keeping.errors import PersonalError as PersonalError
from audit.models import REFERENCE_MAX, FailureCount

Tone = Literal["yes", "no", "waiting", "info", "plain"]
# What an event is in a story: somebody asks, is answered, is given authority or refused it, uses it, says what it did, or
# authority changes. An echo only confirms what the step before it did; a note is anything else.
Part = Literal["ask", "answer", "issue", "refuse", "use", "report", "change", "echo", "note"]
DECISIONS = frozenset({"allow", "ask", "deny", "approve", "not_applicable"})
ENTRY_MAX_BYTES = 16 * 1024
ENTRY_HARD_MAX_BYTES = 65_535  # C2SP tlog-tiles: a bundle spells an entry's length in 16 bits
TYPE_MAX = 120
VERSION = 1
INBOX_INSERT = "INSERT INTO audit_inboxrow (payload)"
_INBOX_ROW = f"{INBOX_INSERT} VALUES (%s)"
SOURCES_MAX_PER_MINUTE = 1_000

_VARIANT_BITS = (1 << 62) - 1
_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,4}")
# No blanks: a reference, an enum and a hash have none; a name and a sentence do.
_REFERENCE = re.compile(rf"[\x21-\x7e]{{0,{REFERENCE_MAX}}}")

committed = threading.Event()  # the sequencer of this process sleeps on it; others poll


class NotInTransaction(RuntimeError):
    """``record()`` was called outside a transaction: the change and its entry could part."""


class NotAReference(ValueError):
    """A value with blanks or beyond ASCII was to enter the log: a name or free text, which must stay outside."""


class EntryTooLarge(ValueError):
    """An entry over ENTRY_MAX_BYTES. Record a hash and a size instead."""


class UnknownDecision(ValueError):
    """A decision word outside the closed list."""


class Event:
    """One kind of entry. Rooms subclass it in ``events.py`` as frozen, keyword-only dataclasses.

    type: ``room.noun.verb``, past tense, never reused. title: what the viewer calls it. tone: its colour and word.
    personal: the fields that hold a ``Personal`` or None, of which the entry gets a commitment only.
    part: what it is in a timeline, which also reads these members of it: ``jti``, ``parent``, ``jtis``, ``request``, ``grant``,
    ``policies``, ``policy_version``, ``expires_at``, ``reason``.
    """

    type: ClassVar[str]
    title: ClassVar[str]
    tone: ClassVar[Tone]
    personal: ClassVar[tuple[str, ...]]
    part: ClassVar[Part]

    def __init_subclass__(
        cls, *, type: str, title: str, tone: Tone = "plain", personal: tuple[str, ...] = (), part: Part = "note"
    ) -> None:
        assert _TYPE.fullmatch(type), type
        assert len(type) <= TYPE_MAX, type
        assert tone in get_args(Tone), tone
        assert part in get_args(Part), part
        assert type not in _vocabulary, f"two events claim {type}"
        cls.type, cls.title, cls.tone, cls.personal, cls.part = type, title, tone, personal, part
        _vocabulary[type] = cls


_vocabulary: dict[str, type[Event]] = {}


def vocabulary() -> dict[str, type[Event]]:
    """Return every known event class by its type."""
    return dict(_vocabulary)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The mandatory fields of every entry (draft-ietf-wimse-aims, observability), each said or explicitly absent.

    agent: its identifier, as authenticated. subject: person ref. decision: one of DECISIONS. txn: what ties a task
    together. posture: ``unknown`` until attestation exists. remediation: what was ended or mended, and why.
    """

    agent: str | None
    subject: str | None
    resource: str | None
    action: str | None
    decision: str | None
    txn: str | None
    posture: str | None
    remediation: str | None


@dataclass(frozen=True, kw_only=True)
class FailuresCounted(
    Event,
    type="audit.failures.counted",
    title="Unauthenticated calls refused",
    tone="no",
):
    """How often one source failed with one code in one minute. source: keyed hash, never an address."""

    source: str
    code: str
    count: int
    minute: str


NOBODY = Facts(
    agent=None,
    subject=None,
    resource=None,
    action=None,
    decision="not_applicable",
    txn=None,
    posture="unknown",
    remediation=None,
)


def record(event: Event, *, by: str, facts: Facts) -> str:
    """Record what happened, in the transaction in which it happened; return the event's id.

    by: person ref, agent identifier, ``cli:<os user>`` or ``system``.
    Raises: NotInTransaction, NotAReference, UnknownDecision, EntryTooLarge; for personal values also PersonalError.
    """
    if not connection.in_atomic_block:
        raise NotInTransaction(event.type)
    event_id = new_event_id()
    if event.personal:
        _enter_personal(event, by, facts, event_id)
    else:
        enter(inbox_payload(event, by=by, facts=facts, event_id=event_id))
    return event_id


def record_alone(event: Event, *, by: str, facts: Facts) -> str:
    """Record what changed nothing else (a refusal, a reading); durable when it returns the event's id.

    One statement, which is a transaction of its own: half the work of opening one. Raises: RuntimeError inside a
    transaction, whose end could take the entry away; and as ``record()``.
    """
    assert not event.personal, "an entry and the values beside it are two statements: record() in a transaction"
    event_id = new_event_id()
    payload = inbox_payload(event, by=by, facts=facts, event_id=event_id)
    if connection.in_atomic_block:
        with transaction.atomic(durable=True):  # refuses any transaction but the test runner's own
            enter(payload)
    else:
        _insert(payload)
        announce()
    return event_id


def inbox_payload(event: Event, *, by: str, facts: Facts, event_id: str | None = None) -> bytes:
    """Return what ``record()`` would write, for a caller whose own single statement makes the change and the entry.

    It goes there after ``INBOX_INSERT``, and ``announce()`` follows; or to ``enter()``. Raises as ``record()``.
    """
    return build(event, event_id=event_id or new_event_id(), by=by, facts=facts, occurred_at=stamp(datetime.now(UTC)))


def _enter_personal(event: Event, by: str, facts: Facts, event_id: str) -> None:
    """Put an event with personal fields into the inbox and its values beside it, both or neither."""
    split = personal.committed(event, event_id)
    now = stamp(datetime.now(UTC))
    enter(build(event, event_id=event_id, by=by, facts=facts, occurred_at=now, data=split.data))
    split.store()


def enter(payload: bytes) -> None:
    """Put the payload of an event into the inbox, in the caller's transaction."""
    assert connection.in_atomic_block
    _insert(payload)
    announce()


def announce() -> None:
    """Wake the sequencer of this process once the transaction, if there is one, has committed."""
    transaction.on_commit(committed.set)


def build(
    event: Event, *, event_id: str, by: str, facts: Facts, occurred_at: str, data: Mapping[str, Any] | None = None
) -> bytes:
    """Return the canonical bytes of an event before the sequencer adds ``recorded_at``. Pure.

    data: its members, where they are not the event's own: commitments in the place of personal values.
    """
    if facts.decision is not None and facts.decision not in DECISIONS:
        raise UnknownDecision(facts.decision)
    entry: dict[str, Any] = {
        "v": VERSION,
        "id": event_id,
        "type": event.type,
        "occurred_at": occurred_at,
        "by": by,
        **vars(facts),
        "data": vars(event) if data is None else data,
    }
    payload = encode(entry)
    if not _is_plain(payload):
        _refuse_free_text(entry)
    if len(payload) > ENTRY_MAX_BYTES:
        raise EntryTooLarge(f"{event.type}: {len(payload)} bytes")
    return payload


def stamp(moment: datetime) -> str:
    """Return RFC 3339 in UTC with milliseconds and ``Z``, as entries spell a moment."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def count_failure(source: str, code: str) -> None:
    """Count an unauthenticated failure. It becomes one entry per source, code and minute.

    source: an address or whatever names the caller; only its keyed hash is kept. code: the error's stable code.
    Call it after the failed transaction has ended.
    """
    minute = datetime.now(UTC).replace(second=0, microsecond=0)
    key = {"source": source_hash(source), "code": code, "minute_at": minute}
    with transaction.atomic():
        if FailureCount.objects.filter(**key).update(count=F("count") + 1):
            return
        if FailureCount.objects.filter(minute_at=minute).count() >= SOURCES_MAX_PER_MINUTE:
            key["source"] = "others"
        FailureCount.objects.bulk_create([FailureCount(**key, count=0)], ignore_conflicts=True)
        FailureCount.objects.filter(**key).update(count=F("count") + 1)


def source_hash(source: str) -> str:
    """Return the name under which a source is counted: keyed, so that addresses can't be tried one by one."""
    key = hashlib.sha256(b"audit-failure-source/v1\0" + settings.SECRET_KEY.encode()).digest()
    return "src_" + hmac.new(key, source.encode(), "sha256").hexdigest()[:16]


def flush_failures(now: datetime) -> int:
    """Turn the counts of every past minute into entries; return how many."""
    this_minute = now.replace(second=0, microsecond=0)
    if not FailureCount.objects.filter(minute_at__lt=this_minute).exists():
        return 0
    with transaction.atomic():
        due = list(FailureCount.objects.select_for_update().filter(minute_at__lt=this_minute).order_by("minute_at"))
        # Deleted first and counted, so that two flushes of one row can't both record it.
        return sum(_flush(row) for row in due if FailureCount.objects.filter(pk=row.pk).delete()[0])


def _flush(row: FailureCount) -> int:
    event = FailuresCounted(source=row.source, code=row.code, count=row.count, minute=stamp(row.minute_at))
    record(event, by="system", facts=NOBODY)
    return 1


def _insert(payload: bytes) -> None:
    # Raw, because the ORM would ask for the new id, which nobody needs. A crash before commit takes both rows.
    with connection.cursor() as cursor:
        cursor.execute(_INBOX_ROW, [payload])


def _is_plain(payload: bytes) -> bool:
    """Return whether no value in canonical bytes can be free text, seen from outside: most are like this.

    A blank stands only within a value, and what would need an escape (controls, a quote) brings a backslash.
    """
    return (
        len(payload) <= REFERENCE_MAX
        and payload.isascii()
        and b" " not in payload
        and b"\\" not in payload
        and b"\x7f" not in payload
    )


def _refuse_free_text(value: Any) -> None:
    if isinstance(value, str):
        if not _REFERENCE.fullmatch(value):
            raise NotAReference("blank, non-ASCII or overlong value: record a reference or a hash instead")
    elif isinstance(value, dict):
        for name, item in value.items():
            try:
                _refuse_free_text(item)
            except NotAReference as error:
                raise NotAReference(f"{name}: {error}") from None
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_free_text(item)


def new_event_id() -> str:
    """Return a UUID of version 7: milliseconds, then 74 random bits. Spec: RFC 9562 §5.7."""
    chance = int.from_bytes(secrets.token_bytes(10))
    head = (time.time_ns() // 1_000_000) << 16 | 7 << 12 | chance >> 68
    text = f"{head:016x}{chance & _VARIANT_BITS | 2 << 62:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
