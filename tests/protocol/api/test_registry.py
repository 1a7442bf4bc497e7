"""Agents, resources, policies, grants, people and the log over the API."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.models import Application
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.policy.models import PolicyVersion
from audit.sequencer import Sequencer
from tests.protocol.api.conftest import Desk, problem_of, recorded
from tests.support.domain import Domain
from tests.support.oauth_client import POLICY, Machine

pytestmark = pytest.mark.django_db


def test_an_agent_is_registered_with_keys_and_a_client_row_and_gets_a_token(desk: Desk) -> None:
    robin = Machine("spiffe://acme.example/robin")
    body = desk.new_agent() | {
        "jwks": robin.jwks,
        "backchannel_token_delivery_mode": "ping",
        "backchannel_client_notification_endpoint": "https://robin.example/ping",
    }
    answer = desk.post("agents/", body)
    assert answer.status_code == 201, answer.content
    shown = answer.json()
    assert shown["state"] == "active" and shown["backchannel_token_delivery_mode"] == "ping"
    row = Application.objects.get(client_id=robin.client_id)
    assert row.client_secret == "" and "urn:openid:params:grant-type:ciba" in row.grant_types
    assert robin.token(scope="accounts.read").json()["error"] == "access_denied"  # known, and granted nothing
    [entry] = [entry for entry in recorded("identifier.agent.registered") if entry["data"]["agent"] == shown["ref"]]
    assert entry["by"] == desk.steward.client_id


def test_an_agent_lives_its_states(desk: Desk) -> None:
    ref = desk.post("agents/", desk.new_agent()).json()["ref"]
    for verb, state in (("suspend", "suspended"), ("resume", "active"), ("stop", "suspended"), ("retire", "retired")):
        answer = desk.post(f"agents/{ref}/{verb}/", {"reason": "test"})
        assert (answer.status_code, answer.json()["state"]) == (200, state)
    assert problem_of(desk.post(f"agents/{ref}/resume/", {"reason": "x"})) == (409, "unlawful_move")
    assert problem_of(desk.post("agents/", desk.new_agent())) == (409, "identifier_taken")


def test_a_patch_changes_what_it_names(desk: Desk) -> None:
    ref = desk.post("agents/", desk.new_agent()).json()["ref"]
    answer = desk.call("PATCH", f"agents/{ref}/", {"purpose": "Sings louder"})
    assert answer.status_code == 200 and answer.json()["purpose"] == "Sings louder"
    assert answer.json()["name"] == "Robin"
    assert problem_of(desk.call("PATCH", f"agents/{ref}/", {"identifier": "spiffe://acme.example/x"}))[0] == 400


def test_keys_are_read_and_replaced(desk: Desk) -> None:
    ref = desk.post("agents/", desk.new_agent()).json()["ref"]
    key = Machine("x").jwks
    answer = desk.call("PUT", f"agents/{ref}/keys/", {"jwks": key})
    assert answer.status_code == 200 and len(answer.json()["jwks"]["keys"]) == 1
    assert desk.get(f"agents/{ref}/keys/").json() == answer.json()
    again = desk.call("PUT", f"agents/{ref}/keys/", {"jwks": key, "jwks_uri": "https://robin.example/jwks"})
    assert problem_of(again)[0] == 400
    private = Machine("y").key.as_dict(private=True)
    assert problem_of(desk.call("PUT", f"agents/{ref}/keys/", {"jwks": {"keys": [private]}}))[0] == 400


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"colour": "red"}, "/colour"),
        ({"name": 7}, "/name"),
        ({"name": None}, "/name"),
        ({"owner": "usr_nobody"}, "/owner"),
        ({"owner": {"ref": "x"}}, "/owner"),
        ({"groups": ["nowhere"]}, "/groups/0"),
        ({"name": "x" * 81}, "/name"),
    ],
)
def test_a_wrong_member_is_pointed_at(desk: Desk, change: dict[str, Any], pointer: str) -> None:
    answer = desk.post("agents/", desk.new_agent() | change)
    assert problem_of(answer) == (400, "invalid")
    assert pointer.removesuffix("/0") in {error["pointer"].removesuffix("/0") for error in answer.json()["errors"]}
    assert not Agent.objects.filter(name="Robin").exists()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b'{"name":"a","name":"b"}', 400),
        (b'{"name":1.5}', 400),
        (b"[]", 400),
        (b"\xff", 400),
        (b'{"a":' * 40 + b"1" + b"}" * 40, 400),
        (b'{"name":"' + b"x" * (256 * 1024) + b'"}', 413),
        (b'{"name":"\\ud800"}', 400),
    ],
)
def test_only_strict_json_of_bounded_size_is_read(desk: Desk, raw: bytes, status: int) -> None:
    assert problem_of(desk.post("agents/", raw))[0] == status


def test_another_media_type_is_refused(desk: Desk) -> None:
    assert problem_of(desk.post("agents/", b"a=b", content_type="application/x-www-form-urlencoded"))[0] == 415


def test_refused_values_of_the_rooms_are_problems_too(desk: Desk) -> None:
    strange = desk.new_agent() | {"identifier": "spiffe://elsewhere.example/x"}
    assert problem_of(desk.post("agents/", strange)) == (400, "unknown_trust_domain")
    ping = desk.new_agent() | {"backchannel_token_delivery_mode": "ping"}
    assert problem_of(desk.post("agents/", ping)) == (400, "client_settings_refused")
    assert not Agent.objects.filter(name="Robin").exists()


def test_a_list_goes_on_where_it_stopped_and_knows_its_parameters(desk: Desk) -> None:
    for number in range(4):
        assert desk.post("agents/", desk.new_agent(f"a{number}")).status_code == 201
    seen: list[str] = []
    path: str | None = "agents/?limit=2"
    while path:
        page = desk.get(path).json()
        seen += [row["name"] for row in page["items"]]
        path = page["next"] and page["next"].partition("/api/v1/")[2]
    assert len(seen) == len(set(seen)) == 6
    assert [row["name"] for row in desk.get("agents/?identifier=spiffe://acme.example/a2").json()["items"]] == ["A2"]
    for query in ("limit=0", "limit=201", "limit=x", "colour=red", "limit=1&limit=2", "after=%00", "state=odd"):
        assert desk.get(f"agents/?{query}").status_code == 400, query


def test_a_resource_is_registered_changed_and_retired(desk: Desk) -> None:
    action = {"name": "read", "title": "Read", "reversibility": "read-only"}
    body = {"identifier": "https://crm.example/", "name": "CRM", "kind": "tool", "actions": [action]}
    answer = desk.post("resources/", body)
    assert answer.status_code == 201, answer.content
    ref = answer.json()["ref"]
    assert problem_of(desk.post("resources/", body)) == (409, "identifier_taken")
    answer = desk.call("PATCH", f"resources/{ref}/", {"actions": [action | {"reversibility": "irreversible"}]})
    assert answer.json()["actions"][0]["reversibility"] == "irreversible"
    assert desk.post(f"resources/{ref}/retire/").json()["retired_at"]
    assert problem_of(desk.post(f"resources/{ref}/retire/"))[0] == 409
    assert desk.post(f"resources/{ref}/return/").json()["retired_at"] is None
    wrong = body | {"identifier": "https://x.example/", "actions": [action | {"reversibility": "harmless"}]}
    assert desk.post("resources/", wrong).json()["errors"][0]["pointer"] == "/actions/0/reversibility"


def test_trust_domains_are_registered_once(desk: Desk) -> None:
    for _ in range(2):
        assert desk.post("trust-domains/", {"name": "birds.example"}).status_code == 200
    assert len(recorded("identifier.trust_domain.registered")) == 2  # acme and birds
    assert desk.post("trust-domains/birds.example/retire/").json()["retired_at"]
    assert problem_of(desk.post("trust-domains/", {"name": "UPPER.example"}))[0] == 400


def test_a_trust_bundle_is_put_read_and_dropped(desk: Desk) -> None:
    bundle = Domain().bundle(spiffe_sequence=3)
    path = "trust-domains/acme.example/bundle/"
    assert desk.get(path).json()["bundle"] is None
    held = desk.call("PUT", path, {"bundle": bundle, "bundle_endpoint_url": "https://b.example/x"}).json()
    assert (held["bundle"], held["sequence"], held["failure"]) == (bundle, 3, "")
    older = desk.call("PUT", path, {"bundle": Domain().bundle(spiffe_sequence=2)})
    assert problem_of(older) == (400, "bundle_refused")
    assert problem_of(desk.call("PUT", path, {"bundle_endpoint_url": "http://b.example/"})) == (400, "scheme")
    assert desk.post("trust-domains/acme.example/drop-bundle/").status_code == 200
    assert desk.get(path).json()["bundle_endpoint_url"] == ""


def test_an_agents_method_is_changed_by_the_names_of_its_registration(desk: Desk) -> None:
    ref = desk.stage.agent.ref
    named = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "courier.acme.example"}
    shown = desk.call("PATCH", f"agents/{ref}/", named).json()
    assert (shown["token_endpoint_auth_method"], shown["tls_client_auth_name"]) == ("tls_client_auth", "san_dns")
    two = named | {"tls_client_auth_san_ip": "192.0.2.1"}
    assert problem_of(desk.call("PATCH", f"agents/{ref}/", two)) == (400, "client_settings_refused")
    secret = {"token_endpoint_auth_method": "client_secret_basic"}
    assert problem_of(desk.call("PATCH", f"agents/{ref}/", secret))[0] == 400
    back = desk.call("PATCH", f"agents/{ref}/", {"token_endpoint_auth_method": "private_key_jwt"}).json()
    assert back["tls_client_auth_value"] == ""


def test_a_policy_is_loaded_and_a_wrong_one_is_not(desk: Desk) -> None:
    answer = desk.post("policies/", {"text": POLICY + "\n// second\n"})
    assert answer.status_code == 200 and answer.json()["is_active"]
    assert problem_of(desk.post("policies/", {"text": "permit(principal, action, resource);"}))[1] == "policy_refused"
    assert PolicyVersion.objects.get(is_active=True).number == answer.json()["number"]
    assert [row["number"] for row in desk.get("policies/").json()["items"]] == [2, 1]


def test_a_grant_is_given_and_taken_back(desk: Desk) -> None:
    body = {
        "agent": desk.stage.agent.ref,
        "resource": desk.stage.pay.ref,
        "actions": ["accounts.read"],
        "until_at": (clock.now() + timedelta(hours=1)).isoformat(),
    }
    answer = desk.post("grants/", body)
    assert answer.status_code == 201, answer.content
    assert answer.json()["from_person"] is None and answer.json()["given_by"] == desk.steward.client_id
    ref = answer.json()["ref"]
    assert desk.post(f"grants/{ref}/revoke/").json()["revoked_at"]
    assert problem_of(desk.post(f"grants/{ref}/revoke/"))[0] == 409
    assert problem_of(desk.post("grants/", body | {"actions": ["fly"]})) == (400, "invalid_grant_terms")


def test_an_agent_never_widens_the_right_to_manage(desk: Desk) -> None:
    api = Resource.objects.get(name="Management API")
    until = (clock.now() + timedelta(hours=1)).isoformat()
    given = {"agent": desk.stage.agent.ref, "resource": api.ref, "actions": ["manage.people"], "until_at": until}
    assert problem_of(desk.post("grants/", given)) == (403, "managed_by_people")
    assert problem_of(desk.call("PATCH", f"resources/{api.ref}/", {"name": "Mine"})) == (403, "managed_by_people")
    own = f"agents/{desk.agent.ref}/"
    assert problem_of(desk.call("PUT", f"{own}keys/", {"jwks": Machine("z").jwks})) == (403, "managed_by_people")
    assert problem_of(desk.call("PATCH", own, {"name": "Boss"})) == (403, "managed_by_people")
    assert len(recorded("console.call.refused")) == 4
    for role in ("admin", "approver"):
        assert problem_of(desk.post(f"people/{desk.stage.ada.ref}/give-role/", {"role": role}))[0] == 400


@pytest.mark.parametrize("way", ["invite", "recover", "link", "passkeys"])
def test_no_machine_lets_anybody_in(desk: Desk, way: str) -> None:
    assert desk.post(f"people/{desk.stage.ada.ref}/{way}/").status_code == 404
    assert desk.post(f"people/{way}/").status_code in (404, 405)


def test_people_get_roles_and_groups(desk: Desk) -> None:
    ada = desk.stage.ada.ref
    assert "owner" in desk.post(f"people/{ada}/give-role/", {"role": "owner"}).json()["roles"]
    assert desk.post("groups/", {"slug": "finance", "name": "Finance"}).status_code == 201
    assert problem_of(desk.post("groups/", {"slug": "finance", "name": "Finance"})) == (409, "group_taken")
    assert desk.post("groups/finance/join/", {"person": ada}).json()["groups"] == ["finance"]
    assert problem_of(desk.post("groups/finance/join/", {"person": "usr_none"}))[0] == 400
    assert problem_of(desk.post("people/", {"email": "b@x.example", "name": "B", "is_active": True}))[0] == 400


def test_the_log_is_read_with_proof_and_the_reading_is_recorded(desk: Desk, sequencer: Sequencer) -> None:
    sequencer.run_once()
    page = desk.get("audit-entries/?type=identifier.agent.registered&limit=1").json()
    assert len(page["items"]) == 1 and page["next"] is not None
    entry = desk.get(f"audit-entries/{page['items'][0]['index']}/").json()
    assert json.loads(entry["canon"])["type"] == "identifier.agent.registered"
    assert entry["proof"].startswith("c2sp.org/tlog-proof@v1")
    assert {row["by"] for row in recorded("audit.log.viewed")} == {desk.steward.client_id}
    for query in ("colour=red", "limit=201", "before=x", "since=never"):
        assert problem_of(desk.get(f"audit-entries/?{query}"))[0] == 400
    assert problem_of(desk.get("audit-entries/999999/"))[0] == 404


def test_the_log_is_searched_in_its_language_and_a_mistake_is_pointed_at(desk: Desk, sequencer: Sequencer) -> None:
    sequencer.run_once()
    found = desk.get("audit-entries/?q=type:agent.registered+-type:token.*&type=identifier.*").json()["items"]
    assert {entry["type"] for entry in found} == {"identifier.agent.registered"}
    assert recorded("audit.log.viewed")[-1]["data"] == {"page": "list", "at": None, "query": ["type"]}
    answer = desk.get("audit-entries/?q=decision:denied+agnt:courier")
    assert problem_of(answer) == (400, "query_unknown_field")
    assert {name: answer.json()[name] for name in ("start", "end", "nearest")} == {
        "start": 16, "end": 20, "nearest": "agent",
    }  # fmt: skip
    for query in ("q=%00", "q=%ED%A0%80%22", "q=(((((((((a)))))))))", "q=a&q=b", "q=" + "x" * 2001, "agent=%E2%80%AE"):
        assert problem_of(desk.get(f"audit-entries/?{query}"))[0] == 400, query


def test_servers_of_other_domains_are_trusted_and_retired(desk: Desk) -> None:
    ada, courier = desk.stage.ada, desk.stage.agent
    body = {
        "issuer": "https://idp.example",
        "name": "Idp",
        "accepts": ["chaining"],
        "scopes": ["accounts.read"],
        "subjects": [{"subject": "ada@there", "person": ada.ref}],
        "clients": [{"client_id": "courier-there", "agent": courier.ref}],
    }
    made = desk.call("POST", "trusted-servers/", body).json()
    assert (made["accepts"], made["subjects"][0]["person"], made["clients"][0]["agent"]) == (
        ["chaining"],
        ada.ref,
        courier.ref,
    )
    again = desk.call("POST", "trusted-servers/", body | {"accepts": []}).json()
    assert (again["ref"], again["accepts"]) == (made["ref"], [])
    assert desk.call("POST", "trusted-servers/", body | {"accepts": ["x"]}).status_code == 400
    assert desk.call("POST", "trusted-servers/", body | {"issuer": "http://idp.example"}).status_code in (400, 409, 422)
    assert desk.call("POST", f"trusted-servers/{made['ref']}/retire/").json()["retired_at"]
