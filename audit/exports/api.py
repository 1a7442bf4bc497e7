"""Exports for machines: ask, look, take, end. Taking entries away is reading them, so it needs the scope for that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import Http404
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from audit.access import scope_of_caller
from audit.exports import queries, services
from audit.exports.errors import ExportError, NoSuchExport
from audit.exports.models import Export
from audit.exports.sending import bundle_response
from audit.exports.services import Wanted
from audit.search.errors import QueryError
from audit.search.language import QUERY_MAX

LISTED_MAX = 50


class Moved(APIException):
    """It is in another state by now."""

    status_code = 409


class Text(serializers.CharField):
    """A text, and no number that could be read as one."""

    def to_internal_value(self, data: Any) -> str:
        """Return it. Raises ValidationError."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class Index(serializers.IntegerField):
    """A whole number, and no text or truth that could be read as one."""

    def to_internal_value(self, data: Any) -> int:
        """Return it. Raises ValidationError."""
        if type(data) is not int:
            self.fail("invalid")
        return int(super().to_internal_value(data))


class Strict(serializers.Serializer[Any]):
    """A body that may hold nothing else than what is asked for."""

    def to_internal_value(self, data: Any) -> Any:
        """Refuse members that mean nothing here: a typo would take more than was wanted."""
        known = {name for name, field in self.fields.items() if not field.read_only}
        if isinstance(data, dict) and (unknown := sorted(set(data) - known)):
            raise ValidationError(dict.fromkeys(unknown, ["There is no such member."]))
        return super().to_internal_value(data)


class AboutSerializer(serializers.Serializer[Any]):
    """What an evidence pack is about."""

    kind = serializers.CharField()
    ref = serializers.CharField()


class ExportSerializer(Strict):
    """An export: a search, or every entry from ``first`` to before ``end``; and what came of it. about: of an evidence pack."""

    ref = serializers.CharField(read_only=True)
    state = serializers.CharField(read_only=True)
    percent = serializers.IntegerField(read_only=True)
    query = Text(required=False, allow_blank=True, max_length=QUERY_MAX, default="")
    first = Index(required=False, min_value=0, default=0)
    end = Index(required=False, min_value=1, allow_null=True, default=None)
    formats = serializers.ListField(child=Text(max_length=20), max_length=10, required=False)
    asked_by = serializers.CharField(read_only=True)
    asked_at = serializers.DateTimeField(read_only=True)
    rows = serializers.IntegerField(read_only=True, allow_null=True)
    size_bytes = serializers.IntegerField(read_only=True, allow_null=True)
    bundle_hash = serializers.CharField(read_only=True)
    failure = serializers.CharField(read_only=True)
    expires_at = serializers.DateTimeField(read_only=True, allow_null=True)
    about = AboutSerializer(read_only=True, allow_null=True)


class ExportViewSet(ViewSet):
    """Exports of the audit log: bundles that anybody can check."""

    manage_scope = "read.audit"
    lookup_field = "ref"
    lookup_value_regex = "[a-z0-9_]{1,40}"

    @extend_schema(responses=ExportSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Return the newest exports that this caller may see."""
        rows = queries.visible_to(_ref(request), scope_of_caller(request.auth))[:LISTED_MAX]
        return Response([shown(row) for row in rows])

    @extend_schema(request=ExportSerializer, responses={201: ExportSerializer})
    def create(self, request: Request) -> Response:
        """Ask for an export. A worker takes it; look again until its state is ``ready``."""
        asked = ExportSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        wanted = Wanted(name="entries", query=said["query"].strip(), first=said["first"], end=said["end"])
        try:
            row = services.ask(
                kind="filter" if wanted.query else "range",
                title="Entries that fit a search" if wanted.query else "Entries of a range",
                sets=[wanted],
                formats=["jsonl", *(name for name in said.get("formats", ()) if name != "jsonl")],
                scope=scope_of_caller(request.auth),
                by=_ref(request),
                now=datetime.now(UTC),
            )
        except QueryError as error:
            raise ValidationError({"query": [error.message]}) from error
        except ExportError as error:
            raise ValidationError({MEMBER.get(error.code, "non_field_errors"): [str(error)]}) from error
        return Response(shown(row), status=201)

    @extend_schema(responses=ExportSerializer)
    def retrieve(self, request: Request, ref: str) -> Response:
        """Return one export."""
        return Response(shown(_row(request, ref)))

    @extend_schema(request=None, responses=ExportSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, ref: str) -> Response:
        """Cancel an export that waits or runs; delete the bundle of one that is ready."""
        row = _row(request, ref)
        try:
            (services.cancel if row.is_open else services.delete)(ref, by=_ref(request))
        except NoSuchExport as error:
            raise Http404 from error
        row.refresh_from_db()
        return Response(shown(row))

    @extend_schema(responses={(200, "application/zip"): OpenApiTypes.BINARY})
    @action(detail=True, methods=["get"])
    def bundle(self, request: Request, ref: str) -> HttpResponseBase:
        """Return the bundle; taking it is recorded."""
        row = _row(request, ref)
        try:
            if row.state != "ready":
                raise NoSuchExport(ref)
            answer = bundle_response(request._request, row)
        except NoSuchExport as error:
            raise Http404 from error
        services.note_download(row, by=_ref(request))
        return answer


routes: list[tuple[str, type[ViewSet], str]] = [("audit-exports", ExportViewSet, "audit-export")]
MEMBER = {"range_refused": "end", "format_missing": "formats"}


def _row(request: Request, ref: str) -> Export:
    try:
        return queries.export(ref, ref=_ref(request), scope=scope_of_caller(request.auth))
    except NoSuchExport as error:
        raise Http404 from error


def _ref(request: Request) -> str:
    caller: Any = request.auth
    return str(caller.client_id)


def shown(row: Export) -> dict[str, Any]:
    """Return an export as the API answers it."""
    wanted = row.sets[0]
    told = ("ref", "state", "percent", "formats", "asked_by", "rows", "size_bytes", "bundle_hash", "failure")
    moments = {name: getattr(row, name) for name in ("asked_at", "expires_at")}
    about = {name: row.about[name] for name in ("kind", "ref")} if row.about else None
    asked = {name: wanted[name] for name in ("query", "first", "end")}
    return dict(
        ExportSerializer({**{name: getattr(row, name) for name in told}, **asked, **moments, "about": about}).data
    )
