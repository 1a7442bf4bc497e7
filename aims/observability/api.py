"""Where agents and resource servers report what they did. Spec: RFC 8935 §5.1 (signed events), OTLP/HTTP (JSON).

An agent calls with its own access token, as everywhere in this API. A resource server holds none of ours: it has keys, and
what it signs with them is all that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.http import Http404
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from aims.kit import clock
from aims.kit.address import address_of
from aims.kit.errors import AimsError
from aims.kit.forms import MACHINE_BODY_MAX_BYTES
from aims.kit.strict import StrictSerializer
from aims.observability import detecting, otlp, queries, services
from aims.observability.errors import BatchRefused, BatchTooLarge, SignatureRefused, SpansRefused, TokenNeeded
from aims.observability.models import CloseReason, Finding, FindingState
from aims.observability.rules import RULES, SEVERITIES
from aims.observability.services import EVENTS_MAX, Outcome
from audit import read
from audit.canonical import CanonicalError, decode
from audit.write import count_failure

PATH = "/api/v1/events/"
SCOPE = "report.events"


class OneEvent(BaseParser):
    """One compact JWS."""

    media_type = "application/jwt"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return it as ``events``, a list of one. Raises BatchTooLarge, BatchRefused."""
        try:
            return {"events": [_body(stream).decode("ascii")]}
        except UnicodeDecodeError as error:
            raise BatchRefused from error


class ManyEvents(BaseParser):
    """A JSON array of compact JWS."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the list as ``events``. Raises BatchTooLarge, BatchRefused."""
        try:
            found = decode(_body(stream), max_depth=2)
        except CanonicalError as error:
            raise BatchRefused from error
        is_list = isinstance(found, list) and 1 <= len(found) <= EVENTS_MAX
        if not is_list or not all(isinstance(text, str) for text in found):
            raise BatchRefused
        return {"events": found}


class Spans(BaseParser):
    """An ExportTraceServiceRequest in JSON. Numbers with a fraction are allowed there, so it has a reader of its own."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return the request. Raises BatchTooLarge, SpansRefused."""
        return otlp.loads(_body(stream))


class TakenSerializer(serializers.Serializer[Any]):
    """What became of one event. status: accepted, known (the same came before) or refused. code: of the refusal."""

    status = serializers.ChoiceField(["accepted", "known", "refused"])
    event_id = serializers.CharField(allow_null=True)
    code = serializers.CharField(allow_null=True)
    detail = serializers.CharField(allow_null=True)


class TakenListSerializer(serializers.Serializer[Any]):
    """What became of each event, in the order in which they were sent."""

    results = TakenSerializer(many=True)


class SpansTakenSerializer(serializers.Serializer[Any]):
    """What became of the spans. accepted: became entries. dropped: by reason. contents: attributes that were left."""

    accepted = serializers.IntegerField()
    dropped = serializers.DictField(child=serializers.IntegerField())
    contents = serializers.IntegerField()


class EventViewSet(ViewSet):
    """What agents and resource servers say they did, each event signed by whom it is from."""

    manage_scope = SCOPE
    takes_signatures = True
    parser_classes = (OneEvent, ManyEvents)

    @extend_schema(
        request={
            "application/jwt": {"type": "string", "description": "A compact JWS of typ aims-event+jwt."},
            "application/json": {"type": "array", "minItems": 1, "maxItems": EVENTS_MAX, "items": {"type": "string"}},
        },
        responses={200: TakenListSerializer},
    )
    def create(self, request: Request) -> Response:
        """Take one event, or up to 100. One that is refused refuses itself alone; a call of one answers with its error."""
        outcomes = self._taken(request)
        if len(outcomes) == 1 and outcomes[0].error:
            raise outcomes[0].error
        return Response(TakenListSerializer({"results": [_shown(each) for each in outcomes]}).data)

    def _taken(self, request: Request) -> list[Outcome]:
        caller, sent = getattr(request.auth, "client_id", None), dict(request.data)
        if "events" not in sent:  # nothing at all was sent, so no parser was asked
            raise BatchRefused
        try:
            return services.take(sent["events"], caller=caller, audience=f"{settings.ISSUER}{PATH}", now=clock.now())
        except (SignatureRefused, SpansRefused, TokenNeeded) as error:
            count_failure(address_of(request._request), f"report_{error.code}")
            raise


class SpanViewSet(ViewSet):
    """Spans of OpenTelemetry's GenAI conventions, as an agent exports them: claims that nobody signed."""

    manage_scope = SCOPE
    parser_classes = (Spans,)

    @extend_schema(
        request={"application/json": {"type": "object", "properties": {"resourceSpans": {"type": "array"}}}},
        responses={200: SpansTakenSerializer},
    )
    def create(self, request: Request) -> Response:
        """Take the spans of an ExportTraceServiceRequest. Contents are left, and counted."""
        if request.stream is None:
            raise SpansRefused
        taken = services.take_spans(dict(request.data), caller=_caller(request), now=clock.now())
        shown = {"accepted": taken.count, "dropped": taken.dropped, "contents": taken.contents}
        return Response(SpansTakenSerializer(shown).data)


class FindingSerializer(serializers.Serializer[Any]):
    """Something that a rule found. evidence: indexes of entries that show it. reason: why it was closed."""

    ref = serializers.CharField()
    rule = serializers.CharField()
    version = serializers.IntegerField()
    severity = serializers.ChoiceField(SEVERITIES)
    agent = serializers.CharField(allow_null=True)
    person = serializers.CharField(allow_null=True)
    resource = serializers.CharField(allow_null=True)
    txn = serializers.CharField(allow_null=True)
    grant = serializers.CharField(allow_null=True)
    first_index = serializers.IntegerField()
    last_index = serializers.IntegerField()
    evidence = serializers.ListField(child=serializers.IntegerField())
    count = serializers.IntegerField()
    state = serializers.ChoiceField(FindingState.choices)
    reason = serializers.ChoiceField(CloseReason.choices, allow_blank=True)
    opened_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField()


class FindingListSerializer(serializers.Serializer[Any]):
    """A page of findings, the newest first. next: the ``before`` of the page that follows, null at the end."""

    items = FindingSerializer(many=True)
    next = serializers.IntegerField(allow_null=True)


class FindingQuery(StrictSerializer):
    """What to look for among the findings."""

    state = serializers.ChoiceField(FindingState.choices, required=False)
    severity = serializers.ChoiceField(SEVERITIES, required=False)
    rule = serializers.ChoiceField(sorted(RULES), required=False)
    before = serializers.RegexField(r"^[0-9]{1,18}\Z", required=False)


class CloseSerializer(StrictSerializer):
    """Why a finding is closed."""

    reason = serializers.ChoiceField(CloseReason.choices)


FINDING_LIST = forced_singular_serializer(FindingListSerializer)  # type: ignore[no-untyped-call]


class FindingViewSet(ViewSet):
    """What the rules found in the log."""

    manage_scope = "manage.findings"
    read_scope = "read.audit"
    lookup_field = "ref"
    lookup_value_regex = "[a-z0-9_]{1,40}"

    @extend_schema(parameters=[FindingQuery], responses=FINDING_LIST)
    def list(self, request: Request) -> Response:
        """Return the newest findings that fit."""
        if any(len(values) != 1 for _, values in request.query_params.lists()):
            raise ValidationError("A parameter is given twice.")
        asked = FindingQuery(data=request.query_params.dict())
        asked.is_valid(raise_exception=True)
        wanted = dict(asked.validated_data)
        before = int(wanted.pop("before")) if "before" in wanted else None
        rows = queries.found(read.scope_of_caller(request.auth), before=before, **wanted)
        page = rows[: queries.LIST_MAX]
        more = page[-1].last_index if len(rows) > queries.LIST_MAX else None
        return Response(FindingListSerializer({"items": page, "next": more}).data)

    @extend_schema(responses=FindingSerializer)
    def retrieve(self, request: Request, ref: str) -> Response:
        """Return one finding."""
        return Response(FindingSerializer(_finding(request, ref)).data)

    @extend_schema(request=None, responses=FindingSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, ref: str) -> Response:
        """Say that somebody looks at it."""
        finding = _finding(request, ref)
        detecting.acknowledge(finding, by=_caller(request), now=clock.now())
        return Response(FindingSerializer(finding).data)

    @extend_schema(request=CloseSerializer, responses=FindingSerializer)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, ref: str) -> Response:
        """Close it for a reason."""
        given = CloseSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        finding = _finding(request, ref)
        reason = CloseReason(given.validated_data["reason"])
        detecting.close(finding, reason, by=_caller(request), now=clock.now())
        return Response(FindingSerializer(finding).data)


routes: list[tuple[str, type[ViewSet], str]] = [
    ("events", EventViewSet, "event"),
    ("events/otlp", SpanViewSet, "span"),
    ("findings", FindingViewSet, "finding"),
]


def _finding(request: Request, ref: str) -> Finding:
    """Return a finding that the caller may see. Raises Http404."""
    found = queries.findings(read.scope_of_caller(request.auth)).filter(ref=ref).first()
    if found is None:
        raise Http404
    return found


def _caller(request: Request) -> str:
    auth: Any = request.auth
    return str(auth.client_id)


def _body(stream: IO[Any]) -> bytes:
    raw = stream.read(MACHINE_BODY_MAX_BYTES + 1)
    if len(raw) > MACHINE_BODY_MAX_BYTES:
        raise BatchTooLarge
    return bytes(raw)


def _shown(outcome: Outcome) -> dict[str, str | None]:
    error: AimsError | None = outcome.error
    if error:
        return {"status": "refused", "event_id": None, "code": error.code, "detail": str(error.public)}
    return {
        "status": "known" if outcome.is_known else "accepted",
        "event_id": outcome.event_id,
        "code": None,
        "detail": None,
    }
