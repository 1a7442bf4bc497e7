"""The API in OpenAPI 3.1, and a page to read it. It describes the product and holds nothing of a deployment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator

from aims.authorization.endpoints.published import Published
from aims.console.api.problems import MEDIA_TYPE, TEXTS
from aims.console.api.urls import urlpatterns
from aims.console.management import audience
from aims.people.access import signed_in

METHODS = ("get", "post", "put", "patch", "delete")
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable; for machines."},
        "detail": {"type": "string", "description": "What, why, what now; for people."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


class OwnAccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How OpenAPI calls our access tokens."""

    target_class = "aims.console.api.auth.OwnAccessToken"
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme. Spec: RFC 6750, RFC 9068."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "at+jwt"}


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing that can be called, as the page shows it. takes, gives: names of schemas."""

    method: str
    path: str
    says: str
    takes: str
    gives: str


def with_problems(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Say of every operation that its errors are problem documents (a hook of drf-spectacular)."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for _, _, operation in _operations(result):
        for status in [*TEXTS, 413]:
            operation["responses"].setdefault(str(status), {"description": "Refused", "content": content})
    return result


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
    for path, method, operation in _operations(found):
        sections.setdefault(operation["tags"][0], []).append(_shown(path, method, operation))
    types = [{"name": name, "rows": _members(body)} for name, body in sorted(found["components"]["schemas"].items())]
    return render(request, "api/docs.html", {"sections": sections, "types": types, "audience": audience()})


def _operations(found: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in found["paths"].items():
        yield from ((path, method, methods[method]) for method in METHODS if method in methods)


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
