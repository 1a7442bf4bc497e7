"""Feeds for machines: give the log to a receiver, look how far it is, pause, end. Admins' business, as on the pages."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from audit.exports.api import Moved, Strict, Text
from audit.feeds import services
from audit.feeds.delivering import key_of, lag_of
from audit.feeds.errors import FeedError, NoSuchFeed
from audit.feeds.models import FORMATS, KINDS, Feed

ADDRESS_MAX = 2048
NAME_MAX = 100


class Flag(serializers.BooleanField):
    """True or false, and no text or number that could be read as one."""

    def to_internal_value(self, data: Any) -> bool:
        """Return it. Raises ValidationError."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class FeedSerializer(Strict):
    """A receiver of the log. cursor: the last index that it acknowledged, -1 before any. lag: signed entries that it lacks.

    trouble: why the last try failed, or empty. is_from_start: whether it began with the first entry, or with what came then.
    """

    ref = serializers.CharField(read_only=True)
    state = serializers.CharField(read_only=True)
    name = Text(max_length=NAME_MAX)
    kind = serializers.ChoiceField(KINDS)
    format = serializers.ChoiceField(FORMATS, required=False, default="canonical")
    address = Text(max_length=ADDRESS_MAX)
    is_from_start = Flag(required=False, default=False, write_only=True)
    cursor = serializers.IntegerField(read_only=True)
    lag = serializers.IntegerField(read_only=True)
    trouble = serializers.CharField(read_only=True)
    failures = serializers.IntegerField(read_only=True)
    created_by = serializers.CharField(read_only=True)
    created_at = serializers.DateTimeField(read_only=True)
    delivered_at = serializers.DateTimeField(read_only=True, allow_null=True)
    next_try_at = serializers.DateTimeField(read_only=True, allow_null=True)
    tested_at = serializers.DateTimeField(read_only=True, allow_null=True)


class KeyedFeedSerializer(FeedSerializer):
    """A receiver with the key that it checks signatures with (RFC 9421, hmac-sha256, base64); null where nothing is signed."""

    key = serializers.CharField(read_only=True, allow_null=True)


class FeedViewSet(ViewSet):
    """Feeds: receivers that get the audit log as it grows, by signed HTTP or by syslog."""

    manage_scope = "manage.feeds"
    lookup_field = "ref"
    lookup_value_regex = "[a-z0-9_]{1,40}"

    def check_permissions(self, request: Request) -> None:
        """Refuse who acts for a person that is no admin: a feed takes the whole log out of the house."""
        super().check_permissions(request)
        person = getattr(request.auth, "person", None)
        if person is not None and not person.has_role("admin"):
            raise PermissionDenied

    @extend_schema(responses=FeedSerializer(many=True))
    def list(self, request: Request) -> Response:
        """Return every feed, by name, with how far it is."""
        return Response([FeedSerializer(_told(row)).data for row in Feed.objects.order_by("name", "pk")])

    @extend_schema(request=FeedSerializer, responses={201: KeyedFeedSerializer})
    def create(self, request: Request) -> Response:
        """Give the log to a receiver, from its first entry or from now on."""
        sent = FeedSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        try:
            row = services.create(**sent.validated_data, by=_by(request), now=datetime.now(UTC))
        except FeedError as error:
            member = "address" if error.code == "address_refused" else "non_field_errors"
            raise ValidationError({member: [_WORDS.get(error.code, str(error))]}) from error
        return _shown(row, 201)

    @extend_schema(responses=KeyedFeedSerializer)
    def retrieve(self, request: Request, ref: str) -> Response:
        """Return one feed, and the key of its signatures."""
        return _shown(_row(ref))

    @extend_schema(request=None, responses=KeyedFeedSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, ref: str) -> Response:
        """Deliver nothing until it is resumed."""
        return _shown(_moved(ref, lambda: services.pause(ref, by=_by(request))))

    @extend_schema(request=None, responses=KeyedFeedSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, ref: str) -> Response:
        """Go on behind what was acknowledged, at once."""
        return _shown(_moved(ref, lambda: services.resume(ref, by=_by(request))))

    @extend_schema(request=None, responses=KeyedFeedSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, ref: str) -> Response:
        """Send a test message with the next delivery, also while it is paused."""
        return _shown(_moved(ref, lambda: services.ask_for_test(ref)))

    @extend_schema(request=None, responses=KeyedFeedSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, ref: str) -> Response:
        """End a feed; return it as it was. How far its receiver was is forgotten."""
        answer = _shown(_row(ref))
        try:
            services.delete(ref, by=_by(request))
        except NoSuchFeed as error:
            raise Http404 from error
        return answer


routes: list[tuple[str, type[ViewSet], str]] = [("audit-feeds", FeedViewSet, "audit-feed")]
_WORDS = {
    "address_refused": "HTTP needs https://…, syslog tls://host:port, both without a user. It is in neither form.",
    "too_many_feeds": f"There are {services.FEEDS_MAX} feeds already.",
}


def _row(ref: str) -> Feed:
    row = Feed.objects.filter(ref=ref).first()
    if row is None:
        raise Http404
    return row


def _moved(ref: str, verb: Callable[[], None]) -> Feed:
    """Do it to a feed that is there. Raises: Http404, Moved where it is in another state."""
    row = _row(ref)
    try:
        verb()
    except NoSuchFeed as error:
        raise Moved from error
    row.refresh_from_db()
    return row


def _by(request: Request) -> str:
    caller: Any = request.auth
    return str(caller.client_id)


def _told(row: Feed) -> dict[str, Any]:
    return {**vars(row), "lag": lag_of(row)}


def _shown(row: Feed, status: int = 200) -> Response:
    key = base64.b64encode(key_of(row.ref)).decode() if row.kind == "http" else None
    return Response(KeyedFeedSerializer({**_told(row), "key": key}).data, status=status)
