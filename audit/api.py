"""The log for machines, to be read only. What is read is recorded, as on the pages.

The base of viewsets is the framework's own, and the caller is duck-typed: this room knows no other.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.http import Http404
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from audit import read
from audit.access import Scope, scope_of_caller
from audit.errors import LogError
from audit.events import LogViewed
from audit.exports import api as exports
from audit.exports.packs import api as packs
from audit.exports.schedules import api as schedules_api
from audit.exports.story import api as stories
from audit.feeds import api as feeds
from audit.forms import FilterForm
from audit.search.errors import QueryError
from audit.search.language import parse
from audit.search.syntax import Query
from audit.write import NOBODY, record_alone

PARAMETERS = ("q", "text", "agent", "person", "type", "decision", "resource", "since", "until", "before", "limit")


class EntrySerializer(serializers.Serializer[Any]):
    """An entry of the log. data: the event's own members. index: its place in the tree."""

    index = serializers.IntegerField()
    event_id = serializers.CharField()
    type = serializers.CharField()
    by = serializers.CharField()
    occurred_at = serializers.DateTimeField()
    recorded_at = serializers.DateTimeField()
    agent = serializers.CharField(allow_null=True)
    subject = serializers.CharField(allow_null=True)
    resource = serializers.CharField(allow_null=True)
    action = serializers.CharField(allow_null=True)
    decision = serializers.CharField(allow_null=True)
    txn = serializers.CharField(allow_null=True)
    posture = serializers.CharField(allow_null=True)
    remediation = serializers.CharField(allow_null=True)
    data = serializers.DictField()  # type: ignore[assignment]


class EntryListSerializer(serializers.Serializer[Any]):
    """A page of the log, newest first. next: the ``before`` of the page that follows, null at the end."""

    items = EntrySerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class ProvenEntrySerializer(EntrySerializer):
    """An entry with its exact bytes and its proof (C2SP tlog-proof), null until a checkpoint covers it."""

    canon = serializers.CharField()
    proof = serializers.CharField(allow_null=True)


class BadQuerySerializer(serializers.Serializer[Any]):
    """What is wrong with ``q``. start, end: the place, in characters of it. nearest: what was meant, perhaps."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    start = serializers.IntegerField()
    end = serializers.IntegerField()
    nearest = serializers.CharField(required=False)


ENTRY_LIST = forced_singular_serializer(EntryListSerializer)  # type: ignore[no-untyped-call]


class EntryViewSet(ViewSet):
    """Entries of the audit log."""

    read_scope = "read.audit"
    lookup_field = "index"
    lookup_value_regex = "[0-9]{1,18}"

    @extend_schema(
        parameters=[OpenApiParameter(name, str, required=False) for name in PARAMETERS],
        responses={200: ENTRY_LIST, 400: BadQuerySerializer},
    )
    def list(self, request: Request) -> Response:
        """Return the newest entries that fit the query ``q`` and the single filters, the same as on the page."""
        limit = _number(request, "limit") or read.PAGE_DEFAULT
        try:
            query = _asked(request)
            found = read.newest(query, _number(request, "before"), limit, scope=scope_of_caller(request.auth))
        except QueryError as error:
            return _bad_query(error)
        _note(request, LogViewed(page="list", at=None, query=query.fields()))
        more = found[-1].index if len(found) == limit and found[-1].index else None
        return Response(EntryListSerializer({"items": found, "next": more}).data)

    @extend_schema(responses=ProvenEntrySerializer)
    def retrieve(self, request: Request, index: str) -> Response:
        """Return one entry, its bytes and its proof."""
        scope = scope_of_caller(request.auth)
        try:
            entry = read.entry(int(index), scope=scope)
        except LogError as error:
            raise Http404 from error
        _note(request, LogViewed(page="entry", at=index, query=[]))
        shown: dict[str, Any] = {
            **EntrySerializer().to_representation(entry),
            "canon": entry.canon.decode(),
            "proof": _proof(entry.index, scope),
        }
        return Response(shown)


routes: list[tuple[str, type[ViewSet], str]] = [("audit-entries", EntryViewSet, "audit-entry")]
routes += [*exports.routes, *packs.routes, *stories.routes, *feeds.routes]
schedules = schedules_api.routes  # a function: they need to know who may read


def _asked(request: Request) -> Query:
    """Return the query. Raises QueryError; ValidationError for a parameter that is unknown, doubled or malformed."""
    unknown = [name for name in request.query_params if name not in PARAMETERS]
    if unknown or any(len(values) != 1 for _, values in request.query_params.lists()):
        raise ValidationError(dict.fromkeys(unknown, ["There is no such parameter."]) or "A parameter is given twice.")
    form, now = FilterForm(request.query_params), datetime.now(UTC)
    if not form.is_valid():
        raise ValidationError({name: list(map(str, found)) for name, found in form.errors.items()})
    query = parse(request.query_params.get("q", ""), now)
    for part in form.query(now).parts:
        query = query.also(part)
    return query


def _bad_query(error: QueryError) -> Response:
    """Answer a problem document that points at the place. Spec: RFC 9457."""
    problem = {"type": "about:blank", "title": "Bad Request", "status": 400, **error.as_json()}
    return Response(problem, status=400, content_type="application/problem+json")


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19 and (name != "limit" or 1 <= int(text) <= 200)):
        raise ValidationError({name: ["This is not a number in range."]})
    return int(text)


def _proof(index: int, scope: Scope) -> str | None:
    try:
        return read.tlog_proof(index, scope=scope)
    except LogError:
        return None


def _note(request: Request, event: LogViewed) -> None:
    caller: Any = request.auth
    facts = replace(NOBODY, subject=caller.person.ref if caller.person else None)
    record_alone(event, by=str(caller.client_id), facts=facts)
