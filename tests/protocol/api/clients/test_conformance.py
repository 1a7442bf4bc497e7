"""Schemathesis against a running server: what the OpenAPI document says is what happens, for good input and bad."""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case
from schemathesis.specs.openapi import checks

from aims.console.api.schema import document
from tests.protocol.api.clients.conftest import WITHIN_S, Steward

EXAMPLES = 6  # for each operation, beside those that cover its schema
DESCRIBED = json.loads(json.dumps(document()))
# Well-formed is not yet acceptable: an owner that nobody is, or an identifier of a foreign trust domain, is a 400.
# Who may call at all has tests of its own below.
LEFT_OUT = [checks.positive_data_acceptance, checks.ignored_auth]
REPORTS = "/api/v1/events/"  # takes what is signed, from whoever signed it, in forms of its own: tests/protocol/events
api = schemathesis.openapi.from_dict(DESCRIBED)


@pytest.fixture
def nothing_collected() -> Iterator[None]:
    """Python before 3.11.9: a collection while Hypothesis parses a lambda may end in a SystemError (gh-106905)."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("nothing_collected")
@api.parametrize()
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
def test_an_operation_does_what_its_description_says(case: Case[Any], steward: Steward) -> None:
    _aim(case, steward)
    response = case.call(base_url=steward.base_url, headers=steward.headers)
    # RFC 9110 §13.2.1, §15.5.14: a precondition and the size are looked at first; what they refuse is refused.
    left_out = [*LEFT_OUT, checks.negative_data_rejection] if response.status_code in (412, 413) else LEFT_OUT
    if case.path == REPORTS:
        left_out = [*left_out, checks.missing_required_header]  # signed reports need no token
    case.validate_response(response, excluded_checks=left_out)


def test_the_document_is_the_one_that_the_server_publishes(steward: Steward) -> None:
    assert requests.get(f"{steward.base_url}/api/schema/", timeout=WITHIN_S).json() == DESCRIBED


@pytest.mark.spec("RFC 6750", "3", "a challenge without an error where nobody tried, with one where the token is bad")
@pytest.mark.parametrize("path", [path for path in DESCRIBED["paths"] if path != REPORTS])
def test_nobody_gets_in_without_a_good_token(steward: Steward, path: str) -> None:
    url = steward.base_url + re.sub(r"{\w+}", "1", path)
    for method in DESCRIBED["paths"][path]:
        for headers, error in (({}, False), ({"Authorization": "Bearer x.y.z"}, True)):
            answer = requests.request(method, url, headers=headers, timeout=WITHIN_S)
            assert answer.status_code == 401 and answer.headers["Content-Type"] == "application/problem+json"
            challenge = answer.headers["WWW-Authenticate"]
            assert challenge.startswith("Bearer ") and ('error="invalid_token"' in challenge) is error


WRITING = [
    (method, path)
    for path, methods in DESCRIBED["paths"].items()
    for method, operation in methods.items()
    if "requestBody" in operation and not path.startswith(REPORTS)
]
BAD: dict[str, tuple[bytes, str, int, str]] = {
    "malformed": (b'{"name":', "application/json", 400, "invalid_json"),
    "a list": (b"[]", "application/json", 400, "invalid_json"),
    "a member twice": (b'{"name":"a","name":"a"}', "application/json", 400, "invalid_json"),
    "a fraction": (b'{"name":1.5}', "application/json", 400, "invalid_json"),
    "too deep": (b'{"a":' * 40 + b"1" + b"}" * 40, "application/json", 400, "invalid_json"),
    "too large": (b'{"a":"' + b"x" * (256 * 1024) + b'"}', "application/json", 413, "body_too_large"),
    "a form": (b"name=a", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    "XML": (b"<a/>", "application/xml", 415, "unsupported_media_type"),
}


@pytest.mark.spec("RFC 9457", "3", "a body that can't be read is a problem document with a stable code")
@pytest.mark.parametrize(("method", "path"), WRITING)
def test_a_body_that_can_not_be_read_changes_nothing(steward: Steward, method: str, path: str) -> None:
    row = steward.rows[path.split("/")[3]]
    target = re.sub(r"{\w+}", row, path).removeprefix("/api/v1/")
    nothing = {"nothing": (b"", "application/json", 400, "invalid_json")} if method in ("patch", "put") else {}
    for wrong, (body, kind, status, code) in (BAD | nothing).items():
        answer = steward.call(method.upper(), target, data=body, headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()["code"]) == (status, code), wrong


@pytest.mark.parametrize("path", list(DESCRIBED["paths"]))
def test_another_method_is_405_and_says_which_are_allowed(steward: Steward, path: str) -> None:
    target = re.sub(r"{\w+}", steward.rows[path.split("/")[3]], path).removeprefix("/api/v1/")
    for method in {"get", "post", "put", "patch", "delete"} - set(DESCRIBED["paths"][path]):
        answer = steward.call(method.upper(), target, json={})
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed"), method
        allowed = {name.strip().lower() for name in answer.headers["Allow"].split(",")}
        assert allowed - {"head", "options"} == set(DESCRIBED["paths"][path])


def _aim(case: Case[Any], steward: Steward) -> None:
    """Let a well-formed call reach a row: made-up keys lead nowhere."""
    meta: Any = case.meta
    if meta is not None and meta.generation.mode.is_positive:
        row = steward.rows[case.path.split("/")[3]]
        case.path_parameters = dict.fromkeys(case.path_parameters or {}, row)
