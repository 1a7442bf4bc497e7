"""The log's birth, its key, and what it signs. The key is held here alone, from a file."""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from django.conf import settings
from django.db import transaction

from audit import copies, merkle, notes, tree
from audit.errors import LogForked, LogKeyMismatch, LogKeyMissing, NoLog
from audit.models import Checkpoint, Head, Log
from audit.write import NOBODY, Event, build, new_event_id, stamp

SUFFIX_BYTES = 8

Reason = Literal["restored", "key_replaced"]
Published = tuple[notes.Checkpoint, str]  # with its note


@dataclass(frozen=True, kw_only=True)
class LogBegun(Event, type="audit.log.begun", title="Log begun", tone="info"):
    """The first entry of a log: its identity and the birth of its key."""

    origin: str
    vkey: str


@dataclass(frozen=True, kw_only=True)
class GenerationBegun(Event, type="audit.generation.begun", title="New generation of the log begun", tone="no"):
    """The first entry after a fork was avoided. last_checkpoint: the last published note before, base64, over last_size
    entries. stored: how many of them the database had; fewer are an acknowledged loss.
    """

    origin: str
    vkey: str
    generation: int
    reason: str
    last_checkpoint: str | None
    last_size: int
    stored: int


def key_path() -> Path:
    """Return where the checkpoint key lies: ``AIMS_LOG_KEY_FILE``, or ``log.key`` beside the database."""
    return Path(settings.LOG_KEY_FILE or settings.VAR_DIR / "log.key")


def create_log_key(path: Path) -> None:
    """Make a checkpoint key, readable by its owner only; keep the one that is there. For demo and embedded runs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def load_log_key(path: Path) -> Ed25519PrivateKey:
    """Return the checkpoint key. Raises: LogKeyMissing."""
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (FileNotFoundError, ValueError) as error:
        raise LogKeyMissing(f"no Ed25519 key in {path}: set AIMS_LOG_KEY_FILE") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise LogKeyMissing(f"the key in {path} is not an Ed25519 key")
    return key


def current_log() -> Log:
    """Return the generation that grows. Raises: NoLog."""
    log = Log.objects.order_by("-generation").first()
    if log is None:
        raise NoLog("nothing was recorded yet")
    return log


def open_log(key: Ed25519PrivateKey) -> Log:
    """Return the log, made with a random suffix and its birth as first entry when it is not there yet.

    Raises: LogKeyMismatch when the log was begun with another key.
    """
    with transaction.atomic():
        head = tree.head_locked()
        if head is None:
            return _begin_first(key)
    log = current_log()
    if str(notes.key_of(key, log.origin)) != log.vkey:
        raise LogKeyMismatch(f"the key is not the one {log.origin} was begun with")
    return log


def begin_generation(
    reason: Reason, *, key: Ed25519PrivateKey, by: str, outside: Callable[[Log], Sequence[Published]] | None = None
) -> Log:
    """Begin the next origin after a restore (or with a new key); the old one is never grown again.

    Its first entry embeds the last checkpoint that was published before. Indexes go on behind everything published.
    outside: asks others, the witnesses, what they hold of a log.
    """
    held = outside(current_log()) if outside else ()  # before the transaction: it asks the network
    now = datetime.now(UTC)
    with transaction.atomic():
        head = tree.head_locked()
        if head is None:
            raise NoLog("nothing was recorded yet")
        old = current_log()
        first = Log.objects.order_by("generation").values_list("origin", flat=True)[0]
        note, size = _last_published(old, held)
        number = max(old.generation, copies.generations(first)) + 1
        origin = f"{first}/g{number}"
        log = Log(generation=number, origin=origin, vkey=str(notes.key_of(key, origin)), begun_at=now)
        log.base = old.base + max(head.size, size)
        event = GenerationBegun(
            origin=origin,
            vkey=log.vkey,
            generation=number,
            reason=reason,
            last_checkpoint=base64.b64encode(note.encode()).decode() if note else None,
            last_size=size,
            stored=head.size,
        )
        _begin(log, event, by=by, now=now)
    return log


def sign(log: Log, key: Ed25519PrivateKey, *, floor: notes.Checkpoint | None) -> notes.Checkpoint | None:
    """Sign the head if it grew, keep a copy outside the database, then store it, which serves it.

    floor: what is known to be published, from the copies or from the last signing; checked besides what the database
    says was signed last. A crash after the copy and before the commit leaves a copy of a lawful head.
    Raises: LogForked when the head does not continue what was signed.
    """
    now = datetime.now(UTC)
    with transaction.atomic():
        head = tree.head_locked()
        assert head is not None
        if head.generation != log.generation:
            raise LogForked("inconsistent", "another generation has begun")
        last = latest_checkpoint(log)
        for known in (last, floor):
            if known:
                must_continue(head, known)
        if last and last.size == head.size:
            return last
        signed = notes.Checkpoint(log.origin, head.size, bytes(head.root))
        note = notes.sign(signed, key)
        copies.keep(note, origin=log.origin, at=now)
        store(log, signed, note, now=now)
    return signed


def store(log: Log, signed: notes.Checkpoint, note: str, *, now: datetime) -> None:
    """Store a signed checkpoint; from now on it is served."""
    Checkpoint.objects.create(generation=log.generation, size=signed.size, root=signed.root, note=note, signed_at=now)


def latest_checkpoint(log: Log) -> notes.Checkpoint | None:
    """Return the last stored checkpoint, its signature verified. Raises: LogForked if it was altered."""
    row = Checkpoint.objects.filter(generation=log.generation).order_by("-size").first()
    if row is None:
        return None
    try:
        return notes.open_checkpoint(row.note, [notes.parse_vkey(log.vkey)], origin=log.origin)
    except notes.NoteRefused as error:
        raise LogForked("inconsistent", f"the stored checkpoint {row.size} is not ours: {error}") from error


def must_continue(head: Head, known: notes.Checkpoint) -> None:
    """Check that the stored tree continues a published checkpoint, by a proof. Raises: LogForked."""
    if head.size < known.size:
        raise LogForked("behind", f"{known.size} entries were published, the database has {head.size}")
    if known.size == 0:
        return
    try:
        read = tree.reader(head.generation)
        proof = merkle.consistency_proof(known.size, head.size, read)
        merkle.verify_consistency(
            first=known.size, second=head.size, first_root=known.root, second_root=bytes(head.root), proof=proof
        )
    except (LookupError, merkle.ProofRefused) as error:
        raise LogForked("inconsistent", f"the tree does not continue checkpoint {known.size}: {error}") from error


def must_still_continue(known: notes.Checkpoint) -> None:
    """Check the stored tree against a checkpoint that somebody showed us. Raises: LogForked."""
    with transaction.atomic():
        head = tree.head_locked()
        assert head is not None
        must_continue(head, known)


def compare_copies(log: Log, others: Sequence[Published] = ()) -> notes.Checkpoint | None:
    """Compare the database with the copies of what was published; return the last published checkpoint.

    others: checkpoints that somebody else shows, signed with the log's key. One that was published but is not stored (a
    crash in between) is stored now: it is signed, so it is served. Raises: LogForked.
    """
    first = Log.objects.order_by("generation").values_list("origin", flat=True)[0]
    if copies.generations(first) > log.generation:
        raise LogForked("behind", "a later generation of the log was published")
    try:
        kept = copies.latest(key=notes.parse_vkey(log.vkey))
    except notes.NoteRefused as error:
        raise LogForked("inconsistent", str(error)) from error
    published = [*([kept] if kept else []), *others]
    if not published:
        return None
    with transaction.atomic():
        head = tree.head_locked()
        assert head is not None
        for known, _ in published:
            must_continue(head, known)
        largest, note = max(published, key=lambda each: each[0].size)
        last = latest_checkpoint(log)
        if last is None or last.size < largest.size:
            store(log, largest, note, now=datetime.now(UTC))
    return largest


def _last_published(old: Log, others: Sequence[Published]) -> tuple[str, int]:
    rows = Checkpoint.objects.filter(generation=old.generation).order_by("-size").values_list("note", "size")
    found = [(size, note) for note, size in rows[:1]]
    try:
        kept = copies.latest(key=notes.parse_vkey(old.vkey))
    except notes.NoteRefused:
        kept = None
    found += [(head.size, note) for head, note in [*([kept] if kept else []), *others]]
    size, note = max(found, default=(0, ""))
    return note, size


def _begin_first(key: Ed25519PrivateKey) -> Log:
    name = settings.LOG_ORIGIN or urlsplit(settings.ISSUER).netloc + "/log"
    origin = f"{name}/{secrets.token_hex(SUFFIX_BYTES)}"
    vkey = str(notes.key_of(key, origin))
    now = datetime.now(UTC)
    log = Log(generation=1, origin=origin, vkey=vkey, base=0, begun_at=now)
    _begin(log, LogBegun(origin=origin, vkey=vkey), by="system", now=now)
    return log


def _begin(log: Log, event: Event, *, by: str, now: datetime) -> None:
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as entries spell a moment
    log.save(force_insert=True)
    Head.objects.filter(pk=1).delete()
    head = Head(
        pk=1, generation=log.generation, base=log.base, size=0, root=merkle.EMPTY_ROOT, frontier=b"", recorded_at=now
    )
    head.save(force_insert=True)
    payload = build(event, event_id=new_event_id(), by=by, facts=NOBODY, occurred_at=stamp(now))
    tree.append(head, [payload], now=now)
