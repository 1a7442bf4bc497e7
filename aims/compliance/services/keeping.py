"""What is kept and what ends: holds, retention, erasure. The verbs of ``audit`` and ``people``, behind a second person's consent.

Placing a hold, and keeping the log for longer, take one admin: they destroy nothing. Everything else uses up a consent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction

from aims.compliance.errors import (
    ErasureHeld,
    HoldGone,
    HoldRefused,
    KeysNotThere,
    PersonUnknown,
    RetentionRefused,
)
from aims.compliance.kinds import ConsentKind
from aims.compliance.models import Consent
from aims.compliance.queries import statement_of
from aims.compliance.services import consents
from aims.kit.errors import AimsError
from aims.people import services as people
from aims.people.errors import PersonWasErased
from aims.people.queries import person_by_ref
from audit import keep

log = logging.getLogger(__name__)


def place_hold(
    kind: str,
    *,
    person: str = "",
    agent: str = "",
    since_at: datetime | None = None,
    until_at: datetime | None = None,
    reason: str,
    by: str,
    now: datetime,
) -> keep.Hold:
    """Place a legal hold. One admin may: what is held stays, and what stays can still be let go. Raises HoldRefused."""
    with _refusals():
        told = {"person": person, "agent": agent, "reason": reason}
        return keep.place_hold(kind, **told, since_at=since_at, until_at=until_at, by=by, now=now)


def release_hold(ref: str, *, consent: str, by: str, now: datetime) -> None:
    """Release a legal hold, with a second person's consent to exactly that. Raises ConsentMissing, HoldGone."""
    with _refusals(), transaction.atomic():
        consents.use(consent, kind=ConsentKind.HOLD_RELEASE, params={"hold": ref}, by=by, now=now)
        keep.release_hold(ref, by=by, now=now)


def keep_longer(months: int, *, by: str) -> None:
    """Keep the log for longer than now. Raises RetentionRefused for a shorter time, which needs a consent."""
    if months < keep.kept().months:
        raise RetentionRefused(detail="shorter: that needs a second person")
    with _refusals():
        keep.change_retention(months, by=by)


def keep_shorter(months: int, *, consent: str, by: str, now: datetime) -> None:
    """Keep the log for a shorter time. The consent names both numbers, so that it fits one moment only.

    Raises ConsentMissing, RetentionRefused.
    """
    with _refusals(), transaction.atomic():
        params = {"months_before": keep.kept().months, "months": months}
        consents.use(consent, kind=ConsentKind.RETENTION_SHORTEN, params=params, by=by, now=now)
        keep.change_retention(months, by=by)


def erase_person(ref: str, *, basis: str, consent: str, by: str, now: datetime) -> keep.Erasure:
    """Erase a person: who they are, and every value of theirs beside the log. There is no way back.

    All in one transaction, but for the key, which is destroyed after it has committed; where that can't be now, the sweep
    does it. Raises ConsentMissing, PersonUnknown, LastAdmin, PersonWasErased, ErasureHeld, KeysNotThere.
    """
    with _refusals(), transaction.atomic():
        params = {"person": ref, "basis": basis}
        consents.use(consent, kind=ConsentKind.PERSON_ERASE, params=params, by=by, now=now)
        erasure = _begin(ref, basis=basis, by=by, now=now)
    _finish(now)
    return erasure


def carry_out(consent: Consent, *, by: str, now: datetime) -> None:
    """Do what a consent was given for: what stands in the signed bytes, and nothing that a page says besides.

    Raises ConsentMissing for one that is not confirmed, and what the verb raises.
    """
    said = statement_of(consent)
    match ConsentKind(said.kind):
        case ConsentKind.HOLD_RELEASE:
            release_hold(said.params["hold"], consent=consent.ref, by=by, now=now)
        case ConsentKind.RETENTION_SHORTEN:
            keep_shorter(said.params["months"], consent=consent.ref, by=by, now=now)
        case ConsentKind.PERSON_ERASE:
            person, basis = said.params["person"], said.params["basis"]
            erase_person(person, basis=basis, consent=consent.ref, by=by, now=now)


def refuse_held(person: str) -> None:
    """Raise ErasureHeld where a legal hold covers a person, before anybody is asked."""
    if holds := keep.holds_on_person(person):
        raise ErasureHeld(detail=",".join(hold.ref for hold in holds))


def sweep(now: datetime) -> int:
    """Finish what was begun, and erase again whom a restored database has brought back; return how many those were.

    They were erased with a consent then; a backup does not undo that. A hold that the backup brought back does stop it.
    """
    _finish(now)
    try:
        returned = keep.came_back()
    except keep.KeysUnavailable:
        log.exception("nobody can tell whether a restore brought back erased people: the store of keys does not answer")
        return 0
    return sum(_again(each.person, now) for each in returned)


def _begin(ref: str, *, basis: str, by: str, now: datetime, is_again: bool = False) -> keep.Erasure:
    person = person_by_ref(ref)
    if person is None and not is_again:
        raise PersonUnknown(detail=ref[:40])
    words = people.blank(person, by=by, now=now) if person and person.erased_at is None else []
    return keep.begin_erasure(ref, basis=basis, by=by, now=now, words=words, is_again=is_again)


def _again(ref: str, now: datetime) -> int:
    try:
        with _refusals(), transaction.atomic():
            _begin(ref, basis="law", by="system", now=now, is_again=True)
    except AimsError as refusal:
        log.error("%s was erased before this database was restored, and can't be again: %s", ref, refusal.code)
        return 0
    _finish(now)
    return 1


def _finish(now: datetime) -> None:
    if keep.finish_erasures(now=now):
        people.vacuum_erased()


@contextmanager
def _refusals() -> Iterator[None]:
    """Let what the log refuses be said as our own errors, which pages and commands know how to show."""
    try:
        yield
    except keep.Held as held:
        raise ErasureHeld(detail=",".join(held.holds)) from held
    except keep.HoldRefused as refused:
        raise HoldRefused(detail=str(refused)) from refused
    except keep.NoSuchHold as refused:
        raise HoldGone(detail=str(refused)) from refused
    except keep.RetentionRefused as refused:
        raise RetentionRefused(detail=str(refused)) from refused
    except keep.AlreadyErased as refused:
        raise PersonWasErased(detail=str(refused)) from refused
    except keep.KeysUnavailable as refused:
        raise KeysNotThere(detail=str(refused)) from refused
