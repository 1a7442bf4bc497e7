"""Taking reports: who signed what about which transaction, each once, as a claim of theirs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from aims.authorization.parties import Parties, parties_of
from aims.credentials import queries as credentials
from aims.credentials.services.registered import refresh_source
from aims.identifier.models import Agent, AgentState, Resource
from aims.kit.errors import AimsError
from aims.kit.ids import tagged_hash
from aims.kit.jose import ALGORITHMS, JoseRefused, Unverified, parse, verify
from aims.observability import otlp
from aims.observability.errors import (
    EventRefused,
    JtiReused,
    NotAParty,
    OtherReporter,
    SignatureRefused,
    TokenNeeded,
    TooManyEvents,
)
from aims.observability.events import EventReported, ReportsRefused, SpansReceived
from aims.observability.models import TakenEvent, TransactionCount, TransactionTrace
from aims.observability.reports import MADE_MAX, SKEW, TYP, Report, Told, read
from audit.write import NOBODY, Facts, enter, inbox_payload, new_event_id, record_alone

EVENTS_MAX = 100  # of one call
EVENTS_MAX_TXN = 5_000  # about one transaction
KEEP_TRACES = timedelta(days=30)
AGENT, RESOURCE = "agent", "resource"


@dataclass(frozen=True, kw_only=True)
class Reporter:
    """Who reports: an agent or a resource server that is registered and active. side: ``agent`` or ``resource``."""

    identifier: str
    ref: str
    side: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one event. event_id: its entry's, empty where refused. error: why it was refused."""

    event_id: str = ""
    is_known: bool = False
    error: AimsError | None = None


@dataclass(frozen=True, kw_only=True)
class _Good:
    """An event that may be taken. report_hash: of the signed bytes, None for a span."""

    reporter: Reporter
    report: Report
    parties: Parties
    report_hash: str | None


def take(texts: Sequence[str], *, caller: str | None, audience: str, now: datetime) -> list[Outcome]:
    """Take signed events; return what became of each, in their order.

    caller: the agent whose access token the call came with; None where it came with none: then every event is a resource
    server's, and one that is not signed right refuses the call. Raises TokenNeeded, SignatureRefused.
    """
    judged = _Judging(caller=caller, audience=audience, now=now)
    found = [judged.judge(text) for text in texts]
    outcomes = _written(found, now=now)
    _note_refused(judged.by, outcomes)
    return outcomes


def take_spans(body: Mapping[str, object], *, caller: str, now: datetime) -> otlp.Taken:
    """Take the spans of an OTLP request as unsigned claims of the agent that sends them. Raises SpansRefused."""
    agent = Agent.objects.filter(identifier=caller, state=AgentState.ACTIVE).first()
    if agent is None:
        raise TokenNeeded
    reporter = Reporter(identifier=agent.identifier, ref=agent.ref, side=AGENT)
    taken = otlp.read(body, issuer=caller, now=now)
    dropped, good = Counter(taken.dropped), []
    kept = _PartiesKept()
    for report in taken.reports:
        txn = report.txn or _txn_of(report.told.trace_id)
        if not txn:
            dropped["no_transaction"] += 1
            continue
        known = kept[txn]
        if caller not in known.agents:
            dropped["not_a_party"] += 1
            continue
        told = replace(report.told, agent=caller)
        good.append(
            _Good(reporter=reporter, report=replace(report, txn=txn, told=told), parties=known, report_hash=None)
        )
    outcomes = _written(good, now=now)
    dropped.update(each.error.code for each in outcomes if each.error)
    count = sum(1 for each in outcomes if each.event_id and not each.is_known)
    dropped["known"] += sum(1 for each in outcomes if each.is_known)
    event = SpansReceived(taken=count, dropped=dict(+dropped), contents=taken.contents)
    record_alone(event, by=caller, facts=replace(NOBODY, agent=caller))
    return replace(taken, reports=(), dropped=dict(+dropped), count=count)


def forget(*, now: datetime) -> None:
    """Drop what can't come again, and traces of long ago."""
    TakenEvent.objects.filter(taken_at__lte=now - MADE_MAX - 2 * SKEW).delete()
    TransactionTrace.objects.filter(seen_at__lte=now - KEEP_TRACES).delete()
    TransactionCount.objects.filter(seen_at__lte=now - KEEP_TRACES).delete()


class _PartiesKept(dict[str, Parties]):
    """Who took part in each transaction of one call, looked up once."""

    def __missing__(self, txn: str) -> Parties:
        self[txn] = found = parties_of(txn)
        return found


class _Judging:
    """The events of one call, each by the same rules; who and what was looked up is kept."""

    def __init__(self, *, caller: str | None, audience: str, now: datetime) -> None:
        self._caller, self._audience, self._now = caller, audience, now
        self._reporters: dict[str, Reporter | None] = {}
        self._parties = _PartiesKept()

    @property
    def by(self) -> str | None:
        """Return who sends these events, as far as is known."""
        known = (each.identifier for each in self._reporters.values() if each)
        return self._caller or next(known, None)

    def judge(self, text: str) -> _Good | Outcome:
        """Return the event if it may be taken. Raises SignatureRefused, TokenNeeded in a call without a token."""
        try:
            return self._judge(text)
        except (SignatureRefused, TokenNeeded) as error:
            if self._caller is None:
                raise
            return Outcome(error=error)
        except AimsError as error:
            return Outcome(error=error)

    def _judge(self, text: str) -> _Good:
        token = _parsed(text)
        issuer = token.claims.get("iss")
        if self._caller is not None and issuer != self._caller:
            raise OtherReporter
        reporter = self._reporter(issuer)
        _check_signed(token, reporter, now=self._now)
        report = read(token.claims, audience=self._audience, now=self._now)
        parties = self._parties[report.txn]
        told = _own(report.told, reporter, parties)
        return _Good(
            reporter=reporter,
            report=replace(report, told=told),
            parties=parties,
            report_hash=tagged_hash(text.encode()),
        )

    def _reporter(self, issuer: object) -> Reporter:
        """Return who reports. Raises SignatureRefused for who is not known, as for who did not sign."""
        name = issuer if isinstance(issuer, str) and issuer.isprintable() else ""
        if name not in self._reporters:
            self._reporters[name] = _agent(name) if self._caller is not None else _resource(name)
        found = self._reporters[name]
        if found is None:
            raise TokenNeeded if self._caller is None and _agent(name) else SignatureRefused
        return found


def _agent(identifier: str) -> Reporter | None:
    row = Agent.objects.filter(identifier=identifier, state=AgentState.ACTIVE).first()
    return Reporter(identifier=row.identifier, ref=row.ref, side=AGENT) if row else None


def _resource(identifier: str) -> Reporter | None:
    row = Resource.objects.filter(identifier=identifier, retired_at=None).first()
    return Reporter(identifier=row.identifier, ref=row.ref, side=RESOURCE) if row else None


def _parsed(text: str) -> Unverified:
    try:
        return parse(text, algorithms=ALGORITHMS, typ=(TYP,))
    except JoseRefused as error:
        raise SignatureRefused(detail=error.code) from error


def _check_signed(token: Unverified, reporter: Reporter, *, now: datetime) -> None:
    """Raises SignatureRefused unless a registered key of the reporter signed it. May fetch: no transaction is open."""
    kid, algorithm = token.header.get("kid"), str(token.header["alg"])
    key = credentials.key_for(reporter.ref, kid, algorithm)
    if key is None and refresh_source(reporter.ref, now=now):  # an unknown kid may be a rotated one
        key = credentials.key_for(reporter.ref, kid, algorithm)
    if key is None:
        raise SignatureRefused(detail="unknown_key")
    try:
        verify(token, key=key.key())
    except JoseRefused as error:
        raise SignatureRefused(detail=error.code) from error


def _own(told: Told, reporter: Reporter, parties: Parties) -> Told:
    """Return what is told, completed by who tells it. Raises NotAParty, EventRefused."""
    if reporter.side == AGENT:
        if reporter.identifier not in parties.agents:
            raise NotAParty
        if told.agent not in (None, reporter.identifier):
            raise EventRefused("event.agent", "an agent reports what it did itself")
        return replace(told, agent=reporter.identifier)
    if reporter.identifier not in parties.resources:
        raise NotAParty
    if told.resource not in (None, reporter.identifier):
        raise EventRefused("event.resource", "a resource server reports what was done at it")
    if told.agent is None:
        raise EventRefused("event.agent", "a resource server says which agent it was")
    return replace(told, resource=reporter.identifier)


def _written(found: Iterable[_Good | Outcome], *, now: datetime) -> list[Outcome]:
    """Write what may be taken, in one transaction and in one order, so that two calls never wait for each other."""
    listed = list(found)
    places = [place for place, each in enumerate(listed) if isinstance(each, _Good)]
    outcomes = [each if isinstance(each, Outcome) else Outcome() for each in listed]
    good = {place: each for place, each in enumerate(listed) if isinstance(each, _Good)}
    if not good:
        return outcomes
    with transaction.atomic():
        for place in sorted(
            places, key=lambda place: (good[place].report.txn, good[place].reporter.ref, good[place].report.jti)
        ):
            outcomes[place] = _write(good[place], now=now)
    return outcomes


def _write(good: _Good, *, now: datetime) -> Outcome:
    """Make the entry, unless this event has one. A crash before the commit leaves neither: it may come again."""
    event_id = new_event_id()
    report_hash = good.report_hash or tagged_hash(good.report.jti.encode())
    jti_hash = hashlib.sha256(good.report.jti.encode()).hexdigest()
    row = TakenEvent(
        reporter_ref=good.reporter.ref, jti_hash=jti_hash, report_hash=report_hash, event_id=event_id, taken_at=now
    )
    TakenEvent.objects.bulk_create([row], ignore_conflicts=True)
    held = TakenEvent.objects.get(reporter_ref=good.reporter.ref, jti_hash=jti_hash)
    if held.event_id != event_id:
        is_same = held.report_hash == report_hash
        return Outcome(event_id=held.event_id, is_known=True) if is_same else Outcome(error=JtiReused())
    if not _counted(good.report.txn, now=now):
        TakenEvent.objects.filter(event_id=event_id).delete()
        return Outcome(error=TooManyEvents())
    is_odd = _is_odd(good.report.told.trace_id, good.report.txn, now=now)
    enter(inbox_payload(_event(good, is_odd), by=good.reporter.identifier, facts=_facts(good), event_id=event_id))
    return Outcome(event_id=event_id)


def _counted(txn: str, *, now: datetime) -> bool:
    """Count one event about a transaction; return whether there was room."""
    TransactionCount.objects.bulk_create([TransactionCount(txn=txn, seen_at=now)], ignore_conflicts=True)
    room = TransactionCount.objects.filter(txn=txn, count__lt=EVENTS_MAX_TXN)
    return room.update(count=F("count") + 1, seen_at=now) == 1


def _is_odd(trace_id: str | None, txn: str, *, now: datetime) -> bool:
    """Return whether a trace was seen elsewhere, or another one here: trace ids are chosen by callers."""
    if trace_id is None:
        return False
    row = TransactionTrace(trace_id=trace_id, txn=txn, seen_at=now)
    TransactionTrace.objects.bulk_create([row], ignore_conflicts=True)
    held = TransactionTrace.objects.get(trace_id=trace_id)
    return held.txn != txn or TransactionTrace.objects.filter(txn=txn).exclude(trace_id=trace_id).exists()


def _txn_of(trace_id: str | None) -> str:
    return TransactionTrace.objects.filter(trace_id=trace_id).values_list("txn", flat=True).first() or ""


def _event(good: _Good, is_odd: bool) -> EventReported:
    told = good.report.told
    said = {name: value for name, value in vars(told).items() if name not in ("agent", "resource", "action", "token")}
    hashes = {tagged_hash(jti.encode()): jti for jti in good.parties.tokens}
    return EventReported(
        **said,
        side=good.reporter.side,
        report=good.report_hash,
        at_ms=int(good.report.happened_at.timestamp() * 1000),
        token=hashes.get(told.token or ""),
        is_trace_odd=is_odd,
    )


def _facts(good: _Good) -> Facts:
    told, subject = good.report.told, good.parties.subject
    return Facts(
        agent=told.agent,
        subject=subject if subject not in good.parties.agents else None,
        resource=told.resource,
        action=told.action,
        decision="not_applicable",
        txn=good.report.txn,
        posture="unknown",
        remediation=None,
    )


def _note_refused(by: str | None, outcomes: Iterable[Outcome]) -> None:
    """Record what was refused, an entry for each rule; by nobody's word where nobody is known."""
    counts = Counter(each.error.code for each in outcomes if each.error)
    for code, count in sorted(counts.items()):
        facts = replace(NOBODY, agent=by, decision="deny")
        record_alone(ReportsRefused(code=code, count=count), by=by or "unknown", facts=facts)
