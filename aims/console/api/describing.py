"""What drf-spectacular cannot see: scopes, refusals with their codes, entity tags, the words of a section."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from aims.console.api.auth import scopes_of
from aims.console.api.problems import MEDIA_TYPE, TEXTS
from aims.console.api.refusals import BODY, ENTRANCE, LIST, TABLE, codes_of, query_codes
from aims.kit.forms import MACHINE_BODY_MAX_BYTES

UNVERSIONED = ("/keys/", "/chain/", "/metadata/")  # what a viewset with versions answers without one
NAMING = {"audit_packs_create", "audit_stories_pdf_retrieve"}  # what they are about is no part of their address
METHODS = ("get", "post", "put", "patch", "delete")
BODY_LIMIT = f"{MACHINE_BODY_MAX_BYTES // 1024} KiB"
ABOUT = f"""Agents, resources, grants, policies, people and the audit log. Nothing here decides an approval request or
enrols a passkey.

**Getting in.** An access token of client credentials (RFC 6749 §4.4) whose `resource` is `<issuer>/api/v1/`, with a scope
that was granted to the agent. One that is bound to a key comes as `DPoP` with a proof of it (RFC 9449 §7), one that is bound to a
certificate with that certificate (RFC 8705 §3). Each operation names the scopes of which it needs one.

**Refusals** are problem documents (RFC 9457). `code` is stable and each operation lists its own; `detail` is for people;
`errors` points at members (RFC 6901). An address that does not know a method answers 405 with `Allow`. Nothing has changed
after a refusal.

**Limits.** A body is a JSON object of at most {BODY_LIMIT}, 32 levels deep, without fractions, without a member twice or
one that is not known. Lists give 50 rows, at most 200, and go on after a key.

**Twice.** There is no idempotency key, because repeating is safe: what is registered twice or moved twice answers 409, a
trust domain or a policy text that is there already is returned as it is, PUT and PATCH with the same values write nothing.

**At the same moment.** Agents, resources, grants and scheduled reports carry an `ETag`. Sent back as `If-Match`, a change answers 412 where somebody
else was first. Without it a PATCH changes only the members that it names."""
PROBLEM = {
    "type": "object",
    "description": "Why nothing happened. Spec: RFC 9457.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string", "description": "The words of the status."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "description": "Stable; for machines."},
        "detail": {"type": "string", "description": "What, why, what now; for people."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "The member. Spec: RFC 6901."},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
CHALLENGE = {
    "WWW-Authenticate": {
        "description": "RFC 6750 §3, RFC 9449 §7.1: the error, and the scope that would do.",
        "required": True,
        "schema": {"type": "string", "pattern": "^(Bearer|DPoP) "},
    }
}
ETAG = {
    "ETag": {
        "description": "The version that was shown, for If-Match.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9]+"$'},
    }
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag that you read. Another version by now: 412. Spec: RFC 9110 §13.1.1.",
    "schema": {"type": "string", "pattern": '^(\\*|"[0-9]+")$'},
}


class OwnAccessTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How OpenAPI calls our access tokens."""

    target_class = "aims.console.api.auth.OwnAccessToken"
    name = "accessToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        """Return the scheme. Spec: RFC 6750, RFC 9068."""
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "at+jwt",
            "description": "RFC 9068, from client credentials with the resource `<issuer>/api/v1/`.",
        }


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Finish the document (a hook of drf-spectacular)."""
    views = {(path, method.lower()): callback.cls for path, _, method, callback in generator.endpoints}
    result["info"]["description"] = ABOUT
    result["components"]["schemas"]["Problem"] = PROBLEM
    result["tags"] = _tags(result, views)
    for path, method, operation in operations(result):
        view = views[path, method]
        if operation.get("description") == _words(view):
            operation["description"] = (
                "Read a page of the list." if operation["operationId"].endswith("list") else "Read one."
            )
        operation["security"] = [{"accessToken": [name]} for name in sorted(scopes_of(view, method.upper()))]
        operation["responses"] |= _refusals(operation, method, path)
        _mark_versions(operation, method, path, view)
    return result


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield path, method and operation of all that can be called."""
    for path, methods in document["paths"].items():
        yield from ((path, method, methods[method]) for method in METHODS if method in methods)


def _tags(result: dict[str, Any], views: dict[tuple[str, str], Any]) -> list[dict[str, str]]:
    words = {operation["tags"][0]: _words(views[path, method]) for path, method, operation in operations(result)}
    return [{"name": name, "description": text} for name, text in words.items()]


def _words(view: Any) -> str:
    return " ".join(str(view.__doc__).split())


def _refusals(operation: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    codes: dict[int, set[str]] = {}
    for status, code in _codes(operation, method, path):
        codes.setdefault(status, set()).add(code)
    return {str(status): _refusal(status, sorted(found)) for status, found in sorted(codes.items())}


def _codes(operation: dict[str, Any], method: str, path: str) -> Iterator[tuple[int, str]]:
    name = str(operation["operationId"])
    is_of_one = "{" in path or name in NAMING
    shared = [401, 403, 406, *([404] if is_of_one else []), *([409] if method != "get" else [])]
    yield from ((status, TEXTS[status][0]) for status in shared)
    yield from ENTRANCE
    yield from codes_of(TABLE.get(name, ()))
    if "requestBody" in operation:
        yield from ((status, TEXTS[status][0]) for status in (400, 415))
        yield from codes_of(BODY)
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        yield 400, TEXTS[400][0]
    if name == "audit_entries_list":
        yield from query_codes()
    if name.endswith("_list"):
        yield 400, TEXTS[400][0]
        yield from codes_of(LIST)


def _refusal(status: int, codes: list[str]) -> dict[str, Any]:
    narrowed = {
        "allOf": [
            {"$ref": "#/components/schemas/Problem"},
            {"properties": {"status": {"const": status}, "code": {"enum": codes}}},
        ]
    }
    words = ", ".join(f"`{code}`" for code in codes)
    described = {
        "description": f"{HTTPStatus(status).phrase}: {words}.",
        "content": {MEDIA_TYPE: {"schema": narrowed}},
    }
    return described | ({"headers": CHALLENGE} if status in (401, 403) else {})


def _mark_versions(operation: dict[str, Any], method: str, path: str, view: Any) -> None:
    if not getattr(view, "is_versioned", False) or operation["operationId"].endswith("_list"):
        return
    if not path.endswith(UNVERSIONED):
        success = next(answer for status, answer in operation["responses"].items() if status.startswith("2"))
        success["headers"] = ETAG
    if "412" in operation["responses"]:
        operation["parameters"].append(IF_MATCH)
