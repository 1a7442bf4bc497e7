"""Where agents and resource servers report what they did. Spec: RFC 8935 §5.1 (signed events), OTLP/HTTP (JSON).

An agent calls with its own access token, as everywhere in this API. A resource server holds none of ours: it has keys, and
what it signs with them is all that it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from aims.kit import clock
from aims.kit.address import address_of
from aims.kit.errors import AimsError
from aims.kit.forms import MACHINE_BODY_MAX_BYTES
from aims.observability import otlp, services
from aims.observability.errors import BatchRefused, BatchTooLarge, SignatureRefused, SpansRefused, TokenNeeded
from aims.observability.services import EVENTS_MAX, Outcome
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
        auth: Any = request.auth
        if request.stream is None:
            raise SpansRefused
        taken = services.take_spans(dict(request.data), caller=str(auth.client_id), now=clock.now())
        shown = {"accepted": taken.count, "dropped": taken.dropped, "contents": taken.contents}
        return Response(SpansTakenSerializer(shown).data)


routes: list[tuple[str, type[ViewSet], str]] = [("events", EventViewSet, "event"), ("events/otlp", SpanViewSet, "span")]


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
