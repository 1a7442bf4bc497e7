"""Stories for machines: what a story's page gives on paper."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.http import Http404, HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from audit.access import scope_of_caller
from audit.errors import NoSuchStory
from audit.exports.story import Asked
from audit.exports.story.taking import pdf_response, take
from audit.search.errors import TooBroad
from audit.timeline.extras import mounted
from audit.timeline.gather import KINDS
from audit.timeline.views import PLACES, place_in
from audit.write import NOBODY

PARAMETERS = ("kind", "ref", *PLACES)


class StoryViewSet(ViewSet):
    """Stories of the audit log: of a transaction, an approval, a trace, a grant, an agent or a person."""

    read_scope = "read.audit"

    @extend_schema(
        parameters=[
            OpenApiParameter("kind", str, required=True, enum=list(KINDS)),
            OpenApiParameter("ref", str, required=True, description="what it is of; an agent by its identifier"),
            *(OpenApiParameter(name, int, description=f"only what comes {name} this entry") for name in PLACES),
        ],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    @action(detail=False, methods=["get"])
    def pdf(self, request: Request) -> HttpResponse:
        """Return a story as a PDF; taking it is recorded."""
        said = request.query_params
        unknown = [name for name in said if name not in PARAMETERS]
        if unknown or any(len(values) != 1 for _, values in said.lists()):
            raise ValidationError(
                dict.fromkeys(unknown, ["There is no such parameter."]) or "A parameter is given twice."
            )
        if missing := [name for name in ("kind", "ref") if not said.get(name)]:
            raise ValidationError(dict.fromkeys(missing, ["This is needed."]))
        place = place_in(said)
        if wrong := [name for name in PLACES if name in said and name not in place]:
            raise ValidationError(dict.fromkeys(wrong, ["This is not the number of an entry."]))
        caller: Any = request.auth
        asked = _asked(caller)
        facts = replace(NOBODY, subject=caller.person.ref if caller.person else None)
        try:
            return pdf_response(take(said["kind"], said["ref"], asked, facts=facts, **place))
        except NoSuchStory as error:
            raise Http404 from error
        except TooBroad as error:
            raise ValidationError({"ref": [error.message]}) from error


routes: list[tuple[str, type[ViewSet], str]] = [("audit-stories", StoryViewSet, "audit-story")]


def _asked(caller: Any) -> Asked:
    """Return who asks. A machine for itself sees no card: cards are judged by what a person may see."""
    place = mounted()
    return Asked(
        by=str(caller.client_id),
        at=datetime.now(UTC),
        scope=scope_of_caller(caller),
        reader=caller.person,
        labels=place.labels,
        extras=place.extras,
    )
