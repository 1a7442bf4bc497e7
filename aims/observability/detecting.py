"""Following the log with the rules, and what becomes of what they find.

Each rule reads on from where it stopped, in batches of one transaction: findings, their entries, what the rule remembers and how far
it has read commit together. So a crash repeats a batch and finds the same once.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache

from django.db import transaction
from django.db.models import F

from aims.observability.errors import FindingMoved
from aims.observability.events import FindingAcknowledged, FindingClosed, FindingOpened
from aims.observability.models import CloseReason, Finding, FindingState, RuleProgress
from aims.observability.rules import RULES, Hit, Rule, Seen
from aims.observability.rules.seen import Zone, moment_s
from aims.people.models import User
from audit import read
from audit.read import Glimpse
from audit.write import NOBODY, Facts, record

BATCH = 2_000  # entries in one transaction
REACH = 50_000  # entries that one transaction may pass over, where rules want few types of them
SWEEP_S = 4  # after which a sweep leaves the rest to the next one
EVIDENCE_MAX = 50
OWN = "observability.finding."  # what the rules themselves record is not looked at


def follow(*, now: datetime, rules: Mapping[str, Rule] = RULES, batch: int = BATCH) -> int:
    """Read on with every rule, for one sweep; return how many entries the slowest of them got past."""
    _begin(rules)
    done, ends_s = 0, time.monotonic() + SWEEP_S
    while passed := _read_on(rules, now=now, batch=batch):
        done += passed
        if time.monotonic() > ends_s:
            break
    return done


def acknowledge(finding: Finding, *, by: str, now: datetime) -> None:
    """Say that somebody looks at it. Raises FindingMoved."""
    with transaction.atomic():
        _move(finding, [FindingState.OPEN], {"state": FindingState.ACKNOWLEDGED}, by=by, now=now)
        record(FindingAcknowledged(finding=finding.ref, rule=finding.rule), by=by, facts=_facts(finding))


def close(finding: Finding, reason: CloseReason, *, by: str, now: datetime) -> None:
    """Close it for a reason; a later hit opens another one. Raises FindingMoved."""
    with transaction.atomic():
        waiting = [FindingState.OPEN, FindingState.ACKNOWLEDGED]
        _move(finding, waiting, {"state": FindingState.CLOSED, "reason": reason}, by=by, now=now)
        event = FindingClosed(finding=finding.ref, rule=finding.rule, reason=reason.value, count=finding.count)
        record(event, by=by, facts=_facts(finding))


def seen(entry: Glimpse) -> Seen:
    """Return an entry as rules see it."""
    return Seen(
        index=entry.index,
        at_s=moment_s(entry.recorded_at),
        happened_s=moment_s(entry.occurred_at),
        type=entry.type,
        by=entry.by,
        agent=entry.agent,
        subject=entry.subject,
        resource=entry.resource,
        action=entry.action,
        decision=entry.decision,
        txn=entry.txn,
        data=read.Data(entry.canon),
    )


def _begin(rules: Mapping[str, Rule]) -> None:
    rows = [RuleProgress(rule=rule.id, version=rule.version) for rule in rules.values()]
    RuleProgress.objects.bulk_create(rows, ignore_conflicts=True)


def _read_on(rules: Mapping[str, Rule], *, now: datetime, batch: int) -> int:
    """Read on with the rules that are furthest behind, in one transaction; return how many entries they got past.

    Only what these want is read. So a new version of a rule catches up without what all the others would look at.
    """
    with transaction.atomic():
        held = RuleProgress.objects.select_for_update().filter(rule__in=rules).order_by("rule", "version")
        progress = [row for row in held if row.version == rules[row.rule].version]
        start = min((row.index for row in progress), default=-1)
        reach = min(start + REACH, read.size() - 1)
        behind = [row for row in progress if row.index < reach]
        if not behind:
            return 0
        wanted = [rules[row.rule].types for row in behind]
        types = frozenset[str]().union(*wanted) if all(wanted) else None
        entries = read.glimpses(start, reach, batch, types=types, scope=read.EVERYTHING)
        upto = entries[-1].index if len(entries) == batch else reach
        zone = _zones()
        looked_at = [(entry, seen(entry)) for entry in entries if not entry.type.startswith(OWN)]
        for row in behind:
            _watch(rules[row.rule], row, looked_at, zone)
            row.index, row.ran_at = max(row.index, upto), now
        RuleProgress.objects.bulk_update(behind, ["index", "state", "hits", "ran_at"])
    return upto - start


def _watch(rule: Rule, row: RuleProgress, entries: Iterable[tuple[Glimpse, Seen]], zone: Zone) -> None:
    state = json.loads(row.state)
    for entry, one in entries:
        if one.index <= row.index or (rule.types and one.type not in rule.types):
            continue
        for hit in rule.watch(one, state, rule.limits, zone):
            row.hits += 1
            _found(rule, hit, at=entry.recorded_at)
    row.state = json.dumps(state, separators=(",", ":"))


def _found(rule: Rule, hit: Hit, *, at: datetime) -> None:
    """Count a hit where a finding about the same is open, or open one."""
    key = hashlib.sha256(hit.key.encode()).hexdigest()
    about = Finding.objects.filter(rule=rule.id, version=rule.version, key=key).exclude(state=FindingState.CLOSED)
    held = about.select_for_update().first()
    if held is not None:
        evidence = [*held.evidence, *hit.indexes]
        kept = evidence if len(evidence) <= EVIDENCE_MAX else [*evidence[:5], *evidence[5 - EVIDENCE_MAX :]]
        last = max(held.last_index, *hit.indexes)
        about.update(count=F("count") + 1, evidence=kept, last_index=last, seen_at=at)
        return
    finding = Finding.objects.create(
        rule=rule.id,
        version=rule.version,
        severity=rule.severity,
        key=key,
        agent=hit.agent,
        person=hit.person,
        resource=hit.resource,
        txn=hit.txn,
        grant=hit.grant,
        first_index=min(hit.indexes),
        last_index=max(hit.indexes),
        evidence=list(hit.indexes)[-EVIDENCE_MAX:],
        opened_at=at,
        seen_at=at,
    )
    event = FindingOpened(
        finding=finding.ref, rule=rule.id, version=rule.version, severity=rule.severity, evidence=finding.evidence
    )
    record(event, by="system", facts=_facts(finding))


def _move(
    finding: Finding, lawful: Iterable[FindingState], change: Mapping[str, str], *, by: str, now: datetime
) -> None:
    rows = Finding.objects.filter(pk=finding.pk, state__in=list(lawful))
    if rows.update(**change, moved_by=by, moved_at=now) != 1:
        raise FindingMoved(detail=finding.ref)
    finding.refresh_from_db()


def _facts(finding: Finding) -> Facts:
    told = {"agent": finding.agent, "subject": finding.person, "resource": finding.resource, "txn": finding.txn}
    return Facts(**(vars(NOBODY) | told))


def _zones() -> Zone:
    """Return how to look up people's time zones, each once."""

    @cache
    def zone(ref: str) -> str:
        return User.objects.filter(ref=ref).values_list("time_zone", flat=True).first() or "UTC"

    return zone
