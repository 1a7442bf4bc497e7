"""The API in OpenAPI 3.1, and a page to read it. It describes the product and holds nothing of a deployment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from aims.authorization.endpoints.published import Published
from aims.console.api.describing import operations
from aims.console.api.urls import urlpatterns
from aims.console.management import audience
from aims.people.access import signed_in


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that can be called, as the page shows it. takes, gives: names of schemas."""

    method: str
    path: str
    says: str
    takes: str
    gives: str


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document; it changes with the code only."""
    generator: Any = SchemaGenerator
    return dict(generator(patterns=urlpatterns).get_schema(request=None, public=True))


schema = Published(document, media_type="application/vnd.oai.openapi+json")


@require_safe
@signed_in
def docs(request: HttpRequest) -> HttpResponse:
    """Show what can be called, to people."""
    found = document()
    sections: dict[str, list[Operation]] = {}
    for path, method, operation in operations(found):
        sections.setdefault(operation["tags"][0], []).append(_shown(path, method, operation))
    types = [{"name": name, "rows": _members(body)} for name, body in sorted(found["components"]["schemas"].items())]
    return render(request, "api/docs.html", {"sections": sections, "types": types, "audience": audience()})


def _shown(path: str, method: str, operation: dict[str, Any]) -> Operation:
    taken = operation.get("requestBody", {}).get("content", {})
    given: dict[str, Any] = next((body for code, body in operation["responses"].items() if code.startswith("2")), {})
    return Operation(
        method=method.upper(),
        path=path,
        says=str(operation.get("description", "")),
        takes=_name(taken),
        gives=_name(given.get("content", {})),
    )


def _name(content: dict[str, Any]) -> str:
    reference = str(content.get("application/json", {}).get("schema", {}).get("$ref", ""))
    return reference.rpartition("/")[2]


def _members(body: dict[str, Any]) -> list[dict[str, str]]:
    required = set(body.get("required", ()))
    return [
        {"label": name, "value": _kind(member) + ("" if name in required else " (optional)")}
        for name, member in body.get("properties", {}).items()
    ]


def _kind(member: dict[str, Any]) -> str:
    kind = member.get("type") or member.get("$ref", "").rpartition("/")[2] or "value"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
