"""Lists, a page at a time by key: a row that comes or goes meanwhile moves nothing."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from aims.console.errors import QueryRefused

PAGE_DEFAULT, PAGE_MAX = 50, 200
KEY_MAX = 80
OWN_PARAMETERS = frozenset({"after", "limit"})


class KeysetPagination(BasePagination):
    """Follows the view's ``lookup_field`` upwards, or downwards where the view says ``is_newest_first``."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """Return the rows of the page that was asked for. Raises QueryRefused."""
        self._key: str = getattr(view, "lookup_field", "ref")
        falls = bool(getattr(view, "is_newest_first", False))
        _check_names(request, view)
        limit, after = _limit(request), request.query_params.get("after")
        if after is not None:
            queryset = queryset.filter(**{f"{self._key}__{'lt' if falls else 'gt'}": self._value(queryset, after)})
        rows = list(queryset.order_by(f"{'-' if falls else ''}{self._key}")[: limit + 1])
        self._next = None
        if len(rows) > limit:
            last = str(getattr(rows[limit - 1], self._key))
            self._next = replace_query_param(request.build_absolute_uri(), "after", last)
        return rows[:limit]

    def get_paginated_response(self, data: Any) -> Response:
        """Return the page. next: the address of what follows, null at the end."""
        return Response({"items": data, "next": self._next})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe the page for OpenAPI."""
        return {
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": schema | {"maxItems": PAGE_MAX},
                "next": {"type": ["string", "null"], "format": "uri"},
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """Describe the two parameters for OpenAPI."""
        key = {"type": "string", "minLength": 1, "maxLength": KEY_MAX}
        limit = {"type": "integer", "minimum": 1, "maximum": PAGE_MAX, "default": PAGE_DEFAULT}
        return [
            {"name": "after", "in": "query", "required": False, "schema": key, "description": "The last key seen."},
            {"name": "limit", "in": "query", "required": False, "schema": limit},
        ]

    def _value(self, queryset: QuerySet[Any], text: str) -> Any:
        is_number = queryset.model._meta.get_field(self._key).get_internal_type() != "CharField"
        if not is_number and len(text) <= KEY_MAX and text.isascii() and text.isprintable():
            return text
        if is_number and text.isascii() and text.isdigit() and len(text) < 10:
            return int(text)
        raise QueryRefused("after is the key of a row of this list.")


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(PAGE_DEFAULT))
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= PAGE_MAX):
        raise QueryRefused(f"limit is a number from 1 to {PAGE_MAX}.")
    return int(text)


def _check_names(request: Request, view: Any) -> None:
    """Refuse a parameter that is not known, is given twice, or says nothing."""
    filters = getattr(getattr(view, "filterset_class", None), "base_filters", {})
    for name, values in request.query_params.lists():
        if name not in OWN_PARAMETERS and name not in filters:
            raise QueryRefused
        if len(values) != 1:
            raise QueryRefused("A query parameter is given twice.")
        if values == [""]:
            raise QueryRefused("A query parameter is empty: leave it out.")
