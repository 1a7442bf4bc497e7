"""The compliance report and the scorecard for machines, to be read only. Reading is recorded, as on the pages."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from aims.compliance import reporting, scorecard
from aims.compliance.asked import PERIOD_DEFAULT, PERIOD_MAX, Asked, Period
from aims.compliance.events import ReportViewed
from aims.compliance.evidence import State
from aims.compliance.measures import MEASURES
from aims.kit import clock
from audit.read import scope_of_caller
from audit.write import NOBODY, record_alone

PERIOD = [
    OpenApiParameter("since", date, required=False, description="first day, UTC; 90 days back if absent"),
    OpenApiParameter("until", date, required=False, description="last day, UTC; today if absent"),
]


class EvidenceSerializer(serializers.Serializer[Any]):
    """One measurement. href: where it can be seen on the pages."""

    name = serializers.CharField()
    title = serializers.SerializerMethodField()
    state = serializers.ChoiceField(choices=[str(state) for state in State])
    count = serializers.IntegerField()
    newest_at = serializers.DateTimeField(allow_null=True)
    oldest_at = serializers.DateTimeField(allow_null=True)
    why = serializers.CharField()
    href = serializers.CharField(allow_blank=True)

    def get_title(self, evidence: Any) -> str:
        """Return what was measured, in words."""
        return str(MEASURES[evidence.name].title)


class AnswerSerializer(serializers.Serializer[Any]):
    """One requirement. evidence: names of measurements; unmeasured: why there are none."""

    id = serializers.CharField(source="control.id")
    level = serializers.CharField(source="control.level", allow_blank=True)
    layer = serializers.CharField(source="control.layer", allow_blank=True)
    asks = serializers.CharField(source="control.ask")
    state = serializers.ChoiceField(choices=[str(state) for state in State])
    evidence = serializers.ListField(child=serializers.CharField(), source="control.measures")
    unmeasured = serializers.CharField(source="control.unmeasured", allow_blank=True)


class SectionSerializer(serializers.Serializer[Any]):
    """One set of requirements. needs_legal_check: our reading in our words, to be checked before it is relied on."""

    id = serializers.CharField(source="set.id")
    title = serializers.CharField(source="set.title")
    source = serializers.CharField(source="set.source")  # type: ignore[assignment]
    dated = serializers.CharField(source="set.dated")
    needs_legal_check = serializers.BooleanField(source="set.needs_legal_check")
    counts = serializers.DictField(child=serializers.IntegerField())
    requirements = AnswerSerializer(many=True, source="answers")


class ReportSerializer(serializers.Serializer[Any]):
    """The compliance report. is_whole: false where the caller acts for somebody who sees a part of the log only."""

    since_at = serializers.DateTimeField(source="period.since_at")
    until_at = serializers.DateTimeField(source="period.until_at")
    measured_at = serializers.DateTimeField()
    is_whole = serializers.BooleanField()
    sets = SectionSerializer(many=True, source="sections")
    evidence = serializers.SerializerMethodField()

    @extend_schema_field(EvidenceSerializer(many=True))
    def get_evidence(self, report: Any) -> list[dict[str, Any]]:
        """Return each measurement once."""
        found = reporting.all_evidence(report.sections)
        return EvidenceSerializer([found[name] for name in sorted(found)], many=True).data  # type: ignore[return-value]


class StandingSerializer(serializers.Serializer[Any]):
    """One layer of one agent."""

    layer = serializers.CharField()
    state = serializers.ChoiceField(choices=[str(state) for state in State])
    why = serializers.CharField()
    href = serializers.CharField(allow_blank=True)


class CardSerializer(serializers.Serializer[Any]):
    """One agent, bottom layer first."""

    agent = serializers.CharField(source="agent.ref")
    identifier = serializers.CharField(source="agent.identifier")
    name = serializers.CharField(source="agent.name")
    state = serializers.ChoiceField(choices=[str(state) for state in State])
    layers = StandingSerializer(many=True, source="standings")


class FleetSerializer(serializers.Serializer[Any]):
    """The scorecard, the worst first."""

    items = CardSerializer(many=True)


class ComplianceViewSet(ViewSet):
    """What is asked for, what evidence there is, how fresh, and where the gap is."""

    read_scope = "read.audit"

    @extend_schema(parameters=PERIOD, responses=forced_singular_serializer(ReportSerializer))  # type: ignore[no-untyped-call]
    def list(self, request: Request) -> Response:
        """Return the compliance report, measured now."""
        period, now = _period(request), clock.now()
        found = reporting.report(period, scope=scope_of_caller(request.auth), now=now)
        _note(request, "report", period)
        return Response(ReportSerializer(found).data)

    @extend_schema(parameters=PERIOD, responses=FleetSerializer)
    @action(detail=False)
    def agents(self, request: Request) -> Response:
        """Return the scorecard: each agent, layer by layer."""
        period, now = _period(request), clock.now()
        cards = scorecard.fleet(Asked(period=period, scope=scope_of_caller(request.auth), now=now))
        _note(request, "fleet", period)
        return Response(FleetSerializer({"items": cards}).data)


routes: list[tuple[str, type[ViewSet], str]] = [("compliance", ComplianceViewSet, "compliance")]


def _period(request: Request) -> Period:
    """Return the period asked for. Raises ValidationError."""
    unknown = set(request.query_params) - {"since", "until"}
    if unknown or any(len(values) != 1 for _, values in request.query_params.lists()):
        raise ValidationError(dict.fromkeys(sorted(unknown), ["There is no such parameter."]) or "Given twice.")
    default = Period.last(PERIOD_DEFAULT, now=clock.now())
    until_at = _day(request, "until", default.until_at - timedelta(days=1)) + timedelta(days=1)
    since_at = _day(request, "since", until_at - PERIOD_DEFAULT)
    if not timedelta() < until_at - since_at <= PERIOD_MAX:
        raise ValidationError({"since": [f"A period is 1 to {PERIOD_MAX.days} days long."]})
    return Period(since_at=since_at, until_at=until_at)


def _day(request: Request, name: str, default: datetime) -> datetime:
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    except ValueError:
        raise ValidationError({name: ["This is not a day such as 2026-11-28."]}) from None


def _note(request: Request, page: str, period: Period) -> None:
    caller: Any = request.auth
    until = period.until_at - timedelta(days=1)
    event = ReportViewed(page=page, at=None, since=f"{period.since_at:%Y-%m-%d}", until=f"{until:%Y-%m-%d}")
    facts = replace(NOBODY, subject=caller.person.ref if caller.person else None)
    record_alone(event, by=str(caller.client_id), facts=facts)
