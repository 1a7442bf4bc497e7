"""Verbs on policy."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.db.models import Max

from aims.policy import engine, latch, places
from aims.policy.errors import PolicyRefused
from aims.policy.events import PolicyActivated, PolicyLoaded
from aims.policy.models import PolicyVersion
from audit.write import NOBODY, record

DEFAULT_POLICY = Path(__file__).parent / "default.cedar"


def check(text: str) -> engine.CompiledPolicy:
    """Return a policy text parsed and type-checked. Raises PolicyRefused, with line and column where there is one."""
    try:
        return engine.compile(text)
    except PolicyRefused as error:
        place = places.find(text, error.public, why=_why, why_not_read=_why_not_read)
        if place is None:
            raise
        raise PolicyRefused(error.public, line=place.line, column=place.column) from error


def load_policy(text: str, *, by: str, now: datetime, name: str = "default") -> PolicyVersion:
    """Put a policy text in force; a text that was loaded before becomes active again under its old number.

    The active text again changes nothing and writes no entry. Call it before the caller's transaction locks any row.
    Raises PolicyRefused.
    """
    compiled = check(text)
    with transaction.atomic():
        # Most loads change nothing (the same configuration again), and then nobody has to wait.
        if active := PolicyVersion.objects.filter(hash=compiled.hash, is_active=True).first():
            return active
        latch.hold()
        version = PolicyVersion.objects.filter(hash=compiled.hash).first()
        if version is None:
            version = _insert(compiled, name=name, by=by, now=now)
        if not version.is_active:
            _activate(version, by=by)
    return version


def _insert(compiled: engine.CompiledPolicy, *, name: str, by: str, now: datetime) -> PolicyVersion:
    last: int | None = PolicyVersion.objects.aggregate(last=Max("number"))["last"]
    version = PolicyVersion.objects.create(
        number=(last or 0) + 1,
        name=name,
        text=compiled.text,
        hash=compiled.hash,
        loaded_by=by,
        loaded_at=now,
    )
    ids = sorted(rule.id for rule in compiled.rules.values())
    record(
        PolicyLoaded(version=version.number, policy_hash=version.hash, policies=ids),
        by=by,
        facts=NOBODY,
    )
    return version


def _activate(version: PolicyVersion, *, by: str) -> None:
    before = PolicyVersion.objects.filter(is_active=True).values_list("number", flat=True).first()
    PolicyVersion.objects.filter(is_active=True).update(is_active=False)
    PolicyVersion.objects.filter(pk=version.pk).update(is_active=True)
    version.refresh_from_db()
    event = PolicyActivated(version=version.number, policy_hash=version.hash, version_before=before)
    record(event, by=by, facts=NOBODY)


def _why(text: str) -> str | None:
    try:
        engine.compile(text)
    except PolicyRefused as error:
        return error.public
    return None


def _why_not_read(text: str) -> str | None:
    try:
        engine.read(text)
    except PolicyRefused as error:
        return error.public
    return None
