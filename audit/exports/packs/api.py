"""Evidence packs for machines: asked for here, then an export like any other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from audit.access import scope_of_caller
from audit.errors import NoSuchStory
from audit.exports.api import MEMBER, ExportSerializer, Strict, Text, shown
from audit.exports.errors import ExportError
from audit.exports.packs import asking
from audit.exports.packs.subject import KINDS
from audit.search.errors import TooBroad
from audit.timeline.extras import mounted


class PackSerializer(Strict):
    """What a pack is about. surroundings: also every entry between the first and the last, where that is offered."""

    kind = serializers.ChoiceField(choices=KINDS)
    ref = Text(max_length=2048)
    formats = serializers.ListField(child=Text(max_length=20), max_length=10, required=False)
    surroundings = serializers.BooleanField(required=False, default=False)


class PackViewSet(ViewSet):
    """Evidence packs: the story of something, its entries with their proofs, and the receipts of its approvals."""

    manage_scope = "read.audit"

    @extend_schema(request=PackSerializer, responses={201: ExportSerializer})
    def create(self, request: Request) -> Response:
        """Ask for a pack. A worker makes it; it is looked at and taken as an export is."""
        asked = PackSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        caller: Any = request.auth
        try:
            row = asking.ask(
                said["kind"],
                said["ref"],
                formats=said.get("formats", ()),
                with_surroundings=said["surroundings"],
                scope=scope_of_caller(caller),
                extras=mounted().extras,
                by=str(caller.client_id),
                reader=_reader(caller),
                now=datetime.now(UTC),
            )
        except NoSuchStory as error:
            raise Http404 from error
        except TooBroad as error:
            raise ValidationError({"ref": [error.message]}) from error
        except ExportError as error:
            raise ValidationError({MEMBER.get(error.code, "non_field_errors"): [str(error)]}) from error
        return Response(shown(row), status=201)


routes: list[tuple[str, type[ViewSet], str]] = [("audit-packs", PackViewSet, "audit-pack")]


def _reader(caller: Any) -> str:
    """Return by whose rights cards and receipts are shown: the person's for whom it acts, or nobody's."""
    return str(caller.person.ref) if caller.person else ""
