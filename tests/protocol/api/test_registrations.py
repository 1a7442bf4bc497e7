"""Clients that registered themselves, and trust rules, over the management API and by a configuration file."""

from __future__ import annotations

import json
from typing import Any

import pytest

from aims.authorization.client_models import ClientRegistration, TrustRule
from aims.console.configuration.change import Applying
from aims.console.configuration.document import ConfigurationRefused
from aims.console.configuration.run import apply
from aims.identifier.models import Agent
from aims.kit import clock
from tests.protocol.api.conftest import Desk, problem_of, recorded
from tests.protocol.registration.desk import Desk as Stranger
from tests.protocol.registration.desk import jwks_of

pytestmark = pytest.mark.django_db


def ref() -> str:
    return str(ClientRegistration.objects.get().ref)


def decision(desk: Desk, **changed: Any) -> dict[str, Any]:
    base = {"name": "Nimble", "purpose": "Sorts", "contact": "a@b.example", "owner": desk.stage.ada.ref}
    return {name: value for name, value in (base | changed).items() if value is not None}


def test_a_client_is_read_and_admitted(desk: Desk) -> None:
    held = Stranger().registered()
    listed = desk.get("client-registrations/?state=quarantined").json()["items"]
    assert [row["client_id"] for row in listed] == [held["client_id"]]
    answer = desk.post(f"client-registrations/{ref()}/admit/", decision(desk))
    assert answer.status_code == 200 and answer.json()["state"] == "admitted"
    agent = Agent.objects.get(identifier=held["client_id"])
    assert answer.json()["agent"] == agent.ref
    entry = recorded("authorization.client.admitted")[0]
    assert entry["by"] == desk.steward.client_id and entry["agent"] == held["client_id"]


def test_a_client_is_refused_once(desk: Desk) -> None:
    Stranger().registered()
    reason = {"reason": "Unknown."}
    assert desk.post(f"client-registrations/{ref()}/refuse/", reason).json()["state"] == "refused"
    again = desk.post(f"client-registrations/{ref()}/refuse/", reason)
    assert problem_of(again) == (409, "registration_not_waiting")


def test_nobody_is_admitted_twice_or_with_a_key_of_another(desk: Desk) -> None:
    Stranger().registered(jwks=jwks_of(desk.steward.key))
    assert problem_of(desk.post(f"client-registrations/{ref()}/admit/", decision(desk))) == (400, "keys_refused")
    assert ClientRegistration.objects.get().state == "quarantined"


@pytest.mark.parametrize("wrong", [{"owner": "usr_nobody"}, {"name": None}, {"colour": "red"}, {"groups": ["none"]}])
def test_a_decision_that_is_wrong_admits_nobody(desk: Desk, wrong: dict[str, Any]) -> None:
    Stranger().registered()
    assert problem_of(desk.post(f"client-registrations/{ref()}/admit/", decision(desk, **wrong))) == (400, "invalid")


def test_other_scopes_admit_nobody(desk: Desk) -> None:
    Stranger().registered()
    token = desk.issue("manage.resources")
    answer = desk.post(f"client-registrations/{ref()}/admit/", decision(desk), token=token)
    assert problem_of(answer) == (403, "insufficient_scope")
    assert problem_of(desk.get("trust-rules/", token=token)) == (403, "insufficient_scope")


def test_a_rule_is_added_and_ended(desk: Desk) -> None:
    rule = {"kind": "redirect_host", "value": "app.example", "owner": desk.stage.ada.ref}
    made = desk.post("trust-rules/", rule)
    assert made.status_code == 201, made.content
    assert problem_of(desk.post("trust-rules/", rule)) == (400, "trust_rule_refused")
    assert Stranger().registered() and ClientRegistration.objects.get().state == "admitted"
    ended = desk.post(f"trust-rules/{made.json()['ref']}/end/")
    assert ended.json()["ended_at"] is not None
    assert problem_of(desk.post(f"trust-rules/{made.json()['ref']}/end/")) == (400, "trust_rule_refused")
    assert desk.get("trust-rules/?is_ended=false").json()["items"] == []


def file_with(**rule: str) -> bytes:
    people = [{"email": "eve@acme.example", "name": "Eve"}, {"email": "fay@acme.example", "name": "Fay"}]
    base = {"kind": "document_host", "value": "nimble.example", "owner": "eve@acme.example"}
    return json.dumps({"people": people, "trust_rules": [base | rule]}).encode()


def applied(raw: bytes) -> list[str]:
    return [
        str(change) for change in apply(raw, Applying(by="cli:test", now=clock.now())) if "person" not in str(change)
    ]


def test_a_file_names_rules_and_the_same_again_changes_nothing() -> None:
    assert applied(file_with()) == ["+ trust rule document_host nimble.example"]
    assert applied(file_with()) == []
    assert len(applied(file_with(owner="fay@acme.example"))) == 2
    assert TrustRule.objects.get(ended_at=None).owner.name == "Fay"
    assert applied(file_with(owner="fay@acme.example", state="ended")) == [
        "- trust rule document_host nimble.example: ended"
    ]
    assert applied(file_with(state="ended")) == []


@pytest.mark.parametrize("wrong", [{"kind": "colour"}, {"owner": "nobody@x.example"}, {"state": "on"}, {"value": ""}])
def test_a_file_with_a_wrong_rule_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigurationRefused):
        applied(file_with(**wrong))
    assert not TrustRule.objects.exists()
