"""Scheduled reports for machines. Taking entries away is reading them, so it needs the scope for that.

A schedule belongs to the person on whose behalf the call is made, or to the agent itself: each run takes what its owner may
read at that time.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from django.http import Http404
from django.utils.http import parse_etags
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, ParseError, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from audit.access import scope_of_caller
from audit.exports.api import Index, Moved, Strict, Text
from audit.exports.errors import ExportError
from audit.exports.schedules import queries, services
from audit.exports.schedules.due import EVERY, Rhythm
from audit.exports.schedules.errors import NoSuchSchedule, ScheduleError, ScheduleMoved
from audit.exports.schedules.models import Schedule
from audit.exports.schedules.readers import NOBODY_THERE, Readers
from audit.exports.schedules.services import NAME_MAX, TELLS_MAX, Asked
from audit.search.errors import QueryError
from audit.search.language import QUERY_MAX

RUNS_LISTED = 10
FORMATS_MAX = 10
_MEMBER = {"zone_refused": "zone", "tells_refused": "tells", "format_missing": "formats"}


class Changed(APIException):
    """It is another version by now than the one that If-Match names. Spec: RFC 9110 §13.1.1."""

    status_code = 412


class RunSerializer(serializers.Serializer[Any]):
    """One run, about what was recorded from ``since_at`` to before ``until_at``. missed: periods before it without a report."""

    since_at = serializers.DateTimeField()
    until_at = serializers.DateTimeField()
    ran_at = serializers.DateTimeField()
    outcome = serializers.CharField()
    export = serializers.CharField()
    code = serializers.CharField()
    missed = serializers.IntegerField()
    told = serializers.IntegerField()


class ScheduleSerializer(Strict):
    """A report that comes again. weekday: on which its weeks begin, 0 for Monday; null unless it comes every week."""

    ref = serializers.CharField(read_only=True)
    owner = serializers.CharField(read_only=True)
    state = serializers.CharField(read_only=True)
    stopped_for = serializers.CharField(read_only=True)
    version = serializers.IntegerField(read_only=True)
    name = Text(max_length=NAME_MAX)
    query = Text(required=False, allow_blank=True, max_length=QUERY_MAX, default="")
    formats = serializers.ListField(child=Text(max_length=20), max_length=FORMATS_MAX, required=False, default=list)
    every = serializers.ChoiceField(EVERY)
    weekday = Index(required=False, allow_null=True, min_value=0, max_value=6, default=None)
    zone = Text(required=False, max_length=64, default="UTC")
    tells = serializers.ListField(child=Text(max_length=40), max_length=TELLS_MAX, required=False, default=list)
    set_at = serializers.DateTimeField(read_only=True)
    next_at = serializers.DateTimeField(read_only=True)
    runs = RunSerializer(many=True, read_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a week without a day, and a day without a week."""
        if (attrs["every"] == "week") != (attrs["weekday"] is not None):
            raise ValidationError({"weekday": ["A week begins on a day; nothing else does."]})
        return attrs


class ScheduleViewSet(ViewSet):
    """Reports of the audit log that come again: each run is an ordinary export of the day, week or month before."""

    manage_scope = "read.audit"
    is_versioned = True
    lookup_field = "ref"
    lookup_value_regex = "[a-z0-9_]{1,40}"
    readers: ClassVar[Readers] = NOBODY_THERE

    @extend_schema(responses=ScheduleSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Return the schedules that this caller may see, by name."""
        rows = queries.visible_to(_owner(request), scope_of_caller(request.auth))
        return Response([_told(row) for row in rows])

    @extend_schema(request=ScheduleSerializer, responses={201: ScheduleSerializer})
    def create(self, request: Request) -> Response:
        """Schedule a report, beginning with the period that runs."""
        scope_of_caller(request.auth)
        asked, owner = _asked(request), _owner(request)
        try:
            row = services.set_up(asked, owner=owner, by=_by(request), readers=self.readers, now=datetime.now(UTC))
        except (QueryError, ScheduleError, ExportError) as error:
            raise _refusal(error) from error
        return _shown(row, 201)

    @extend_schema(responses=ScheduleSerializer)
    def retrieve(self, request: Request, ref: str) -> Response:
        """Return one schedule with its last runs."""
        return _shown(_row(request, ref))

    @extend_schema(request=ScheduleSerializer, responses=ScheduleSerializer)
    def update(self, request: Request, ref: str) -> Response:
        """Make a schedule of one's own what is sent. With another rhythm it begins anew with the period that runs."""
        if request.stream is None:
            raise ParseError  # nothing at all is not the same as {}
        asked, row = _asked(request), _row(request, ref)
        if row.owner != _owner(request):
            raise PermissionDenied
        _must_match(request, row)
        try:
            services.change(row, asked, by=_by(request), readers=self.readers, now=datetime.now(UTC))
        except (QueryError, ScheduleError, ExportError) as error:
            raise _refusal(error) from error
        return _shown(row)

    @extend_schema(request=None, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, ref: str) -> Response:
        """Take nothing until it is resumed."""
        row = _held(request, ref)
        try:
            services.pause(row, by=_by(request))
        except ScheduleError as error:
            raise _refusal(error) from error
        return _shown(row)

    @extend_schema(request=None, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, ref: str) -> Response:
        """Go on with the period that runs."""
        row = _held(request, ref)
        try:
            services.resume(row, by=_by(request), now=datetime.now(UTC))
        except ScheduleError as error:
            raise _refusal(error) from error
        return _shown(row)

    @extend_schema(request=None, responses=ScheduleSerializer)
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, ref: str) -> Response:
        """End a schedule; return it as it was. What it took stays as long as it would have."""
        row = _held(request, ref)
        answer = _shown(row)
        try:
            services.remove(row, by=_by(request))
        except ScheduleError as error:
            raise _refusal(error) from error
        return answer


def routes(readers: Readers) -> list[tuple[str, type[ViewSet], str]]:
    """Return the addresses. readers: who may be told, and what an owner may read."""
    knowing = type("ScheduleViewSet", (ScheduleViewSet,), {"readers": readers, "__doc__": ScheduleViewSet.__doc__})
    return [("audit-schedules", knowing, "audit-schedule")]


def _asked(request: Request) -> Asked:
    sent = ScheduleSerializer(data=request.data)
    sent.is_valid(raise_exception=True)
    said = sent.validated_data
    return Asked(
        name=said["name"],
        query=said["query"].strip(),
        formats=tuple(said["formats"]),
        rhythm=Rhythm(every=said["every"], weekday=said["weekday"], zone=said["zone"]),
        tells=tuple(said["tells"]),
    )


def _row(request: Request, ref: str) -> Schedule:
    try:
        return queries.schedule(ref, ref=_owner(request), scope=scope_of_caller(request.auth))
    except NoSuchSchedule as error:
        raise Http404 from error


def _held(request: Request, ref: str) -> Schedule:
    """Return a schedule that the caller may end. Raises: PermissionDenied for another's, unless they act for an admin."""
    row = _row(request, ref)
    caller: Any = request.auth
    if row.owner != _owner(request) and not (caller.person and caller.person.has_role("admin")):
        raise PermissionDenied
    return row


def _must_match(request: Request, row: Schedule) -> None:
    wanted = request.META.get("HTTP_IF_MATCH")
    if wanted is not None and not {"*", _tag(row)} & set(parse_etags(wanted)):
        raise Changed


def _refusal(error: Exception) -> APIException:
    if isinstance(error, ScheduleMoved):
        return Moved()
    if isinstance(error, QueryError):
        return ValidationError({"query": [error.message]})
    return ValidationError({_MEMBER.get(getattr(error, "code", ""), "non_field_errors"): [str(error)]})


def _owner(request: Request) -> str:
    caller: Any = request.auth
    return str(caller.person.ref if caller.person else caller.client_id)


def _by(request: Request) -> str:
    caller: Any = request.auth
    return str(caller.client_id)


def _tag(row: Schedule) -> str:
    return f'"{row.version}"'


def _told(row: Schedule) -> dict[str, Any]:
    runs = list(row.runs.order_by("-until_at")[:RUNS_LISTED])
    return dict(ScheduleSerializer({**vars(row), "runs": runs}).data)


def _shown(row: Schedule, status: int = 200) -> Response:
    return Response(_told(row), status=status, headers={"ETag": _tag(row)})
