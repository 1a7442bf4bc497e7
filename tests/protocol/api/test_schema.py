"""The OpenAPI document: well-formed, complete, and no wider than the API."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern
from drf_spectacular.drainage import reset_generator_stats
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from aims.console.api.describing import operations
from aims.console.api.problems import MEDIA_TYPE
from aims.console.api.refusals import ADDRESS_CODES, TABLE
from aims.console.api.schema import document
from aims.console.api.urls import urlpatterns
from aims.console.management import SCOPES
from aims.kit import fetch
from aims.kit.fetch import FetchRefused
from tests.protocol.api.conftest import Desk, problem_of

OPERATIONS = {
    str(operation["operationId"]): (path, method, operation) for path, method, operation in operations(document())
}
FILES = {"audit_exports_bundle_retrieve": "application/zip", "audit_stories_pdf_retrieve": "application/pdf"}


def named(name: str) -> dict[str, Any]:
    return OPERATIONS[name][2]


@pytest.mark.spec("OpenAPI 3.1", "4", "the document follows the specification's own schema")
def test_the_document_is_openapi_3_1() -> None:
    served = json.loads(Client().get("/api/schema/").content)
    validate_schema(served)  # type: ignore[no-untyped-call]  # the schema of the OpenAPI Initiative
    assert served["openapi"] == "3.1.1"
    for schema in served["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_the_document_is_made_without_a_warning_and_names_no_hash(capsys: pytest.CaptureFixture[str]) -> None:
    document.cache_clear()
    reset_generator_stats()
    made = document()
    assert capsys.readouterr().err == ""  # where the generator says what it could only guess
    names = {name for name in made["components"]["schemas"] if name.endswith("Enum")}
    assert {"ResourceKindEnum", "TokenKindEnum", "ProfileEnum", "TrustRuleKindEnum"} <= names
    sets = [tuple(made["components"]["schemas"][name]["enum"]) for name in names]
    assert len(set(sets)) == len(sets)  # one name for each set of words


@pytest.mark.spec("OpenAPI 3.1", "4.8.1", "every reference leads somewhere")
def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(document())
    names = {part.partition('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
    assert names <= set(document()["components"]["schemas"])


def test_every_address_of_the_api_is_described_and_nothing_else() -> None:
    told = {(method, path) for path, method, _ in operations(document())}
    answered = set()
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern)
        view: Any = pattern.callback
        path = re.sub(r"\(\?P<(\w+)>[^)]*\)", r"{\1}", str(pattern.pattern))
        answered |= {
            (method, f"/{path.removeprefix('^').removesuffix('$')}") for method in view.actions if method != "head"
        }
    assert told == answered


def test_every_operation_has_words_and_names_its_scope_and_its_refusals() -> None:
    known = {spec.name for spec in SCOPES}
    for name, (path, method, operation) in OPERATIONS.items():
        assert operation["description"].strip(), name
        scopes = [scope for asked in operation["security"] for scope in asked["accessToken"]]
        assert scopes and set(scopes) <= known, name
        wanted = {"401", "403", "406"} | ({"404"} if "{" in path else set()) | ({"409"} if method != "get" else set())
        wanted |= {"400", "413", "415"} if "requestBody" in operation else set()
        assert wanted <= set(operation["responses"]), name
        for status, answer in operation["responses"].items():
            assert answer.get("description") or status.startswith("2"), name
            good = FILES.get(name, "application/json")
            assert set(answer.get("content", {})) == {good if status.startswith("2") else MEDIA_TYPE}


def test_the_table_of_refusals_names_operations_that_exist() -> None:
    assert set(TABLE) == {name for name, (_, method, _) in OPERATIONS.items() if method != "get"}


@pytest.mark.parametrize(
    "url", ["no url", "https://u@h.example/", "ftp://h.example/", "http://h.example/", "https://[/"]
)
def test_an_address_is_refused_at_once_with_a_code_that_the_document_names(url: str) -> None:
    with pytest.raises(FetchRefused) as refused:
        fetch.check_url(url)
    assert refused.value.code in ADDRESS_CODES


def test_a_secret_of_the_deployment_is_not_in_the_document(settings: Any) -> None:
    text = json.dumps(document())
    assert settings.ISSUER not in text and settings.SECRET_KEY not in text


@pytest.mark.django_db
@pytest.mark.spec("RFC 9110", "13.1.1", "a change is refused where the entity tag is another by now")
def test_a_stale_change_is_refused(desk: Desk) -> None:
    created = desk.post("agents/", desk.new_agent())
    path, first = f"agents/{created.json()['ref']}/", created["ETag"]
    assert desk.get(path)["ETag"] == first
    changed = desk.call("PATCH", path, {"purpose": "Sings louder"}, HTTP_IF_MATCH=first)
    assert changed.status_code == 200 and changed["ETag"] != first
    stale = desk.call("PATCH", path, {"purpose": "Whispers"}, HTTP_IF_MATCH=first)
    assert problem_of(stale) == (412, "precondition_failed")
    assert desk.get(path).json()["purpose"] == "Sings louder"
    for tag in ("*", f'"0", {changed["ETag"]}'):
        assert desk.call("PATCH", path, {"purpose": "Sings louder"}, HTTP_IF_MATCH=tag).status_code == 200
    stale = desk.call("PUT", f"{path}keys/", {"jwks": {"keys": []}}, HTTP_IF_MATCH=first)
    assert problem_of(stale) == (412, "precondition_failed")


@pytest.mark.django_db
@pytest.mark.spec("RFC 9110", "13.1.1", "weak tags never match")
def test_a_weak_or_malformed_tag_never_matches(desk: Desk) -> None:
    created = desk.post("agents/", desk.new_agent())
    path = f"agents/{created.json()['ref']}/"
    for tag in ("", f"W/{created['ETag']}", "1", "x" * 5000):
        assert problem_of(desk.call("PATCH", path, {"name": "X"}, HTTP_IF_MATCH=tag))[0] == 412, tag


@pytest.mark.django_db
def test_a_resource_carries_its_version_too(desk: Desk) -> None:
    created = desk.post("resources/", {"identifier": "https://crm.example/", "name": "CRM"})
    path = f"resources/{created.json()['ref']}/"
    assert desk.call("PATCH", path, {"name": "C"}, HTTP_IF_MATCH=created["ETag"]).status_code == 200
    assert problem_of(desk.call("PATCH", path, {"name": "D"}, HTTP_IF_MATCH=created["ETag"]))[0] == 412
    stale = desk.call("PUT", f"{path}keys/", {"jwks": {"keys": []}}, HTTP_IF_MATCH=created["ETag"])
    assert problem_of(stale) == (412, "precondition_failed")


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["is_revoked=AAA", "is_revoked=True", "agent=", "after=", "limit="])
def test_a_filter_that_can_not_be_read_is_refused(desk: Desk, query: str) -> None:
    assert problem_of(desk.get(f"grants/?{query}"))[0] == 400


@pytest.mark.django_db
def test_a_flag_filters_both_ways(desk: Desk) -> None:
    [grant, *_] = desk.get("grants/?is_revoked=false").json()["items"]
    assert desk.post(f"grants/{grant['ref']}/revoke/").status_code == 200
    assert [row["ref"] for row in desk.get("grants/?is_revoked=true").json()["items"]] == [grant["ref"]]


@pytest.mark.django_db
@pytest.mark.spec("RFC 9110", "15.5.6", "405 names what is allowed, whatever the scope")
def test_a_method_that_is_not_known_is_405(desk: Desk) -> None:
    answer = desk.call("DELETE", "approval-requests/", token=desk.issue("read.audit"))
    assert problem_of(answer) == (405, "method_not_allowed")
    assert "GET" in answer["Allow"]
