"""How a client that registered itself becomes an agent: by an admin, or by a trust rule. RFC 7591 §5."""

from __future__ import annotations

from typing import Any

import pytest

from aims.authorization.client_errors import NotWaiting, TrustRuleRefused
from aims.authorization.client_metadata import GRANT_TYPES
from aims.authorization.client_models import ClientRegistration, TrustRule
from aims.authorization.endpoints.token import GRANTS
from aims.authorization.known_clients import Standing, client_for
from aims.authorization.registration_states import RegistrationState
from aims.authorization.services import admission, trust_rules
from aims.authorization.services.agents import retire_agent
from aims.credentials import services as credentials
from aims.credentials.errors import KeysRefused
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.people.models import User
from tests.protocol.registration.desk import CALLBACK, Desk, jwks_of, new_key
from tests.support.cast import Acting
from tests.support.oauth_client import BY, Machine

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
LOOPBACK = "http://127.0.0.1:3030/callback"


@pytest.fixture
def desk() -> Desk:
    return Desk()


def row_of(held: dict[str, Any]) -> ClientRegistration:
    return ClientRegistration.objects.get(client_id=held["client_id"])


def admitted(held: dict[str, Any], owner: User) -> Agent:
    command = admission.AdmitClient(owner=owner, name="Nimble", purpose="Sorts mail", contact="ops@acme.example")
    return admission.admit(row_of(held), command, by=BY, now=clock.now())


def rule(kind: str, value: str, owner: User) -> TrustRule:
    return trust_rules.add_rule(kind, value, owner=owner, by=BY, now=clock.now())


@pytest.mark.spec("RFC 7591", "5", "an admitted client is an agent with its client_id as identifier, and no secret")
def test_an_admin_makes_an_agent_of_it(desk: Desk, ada: User) -> None:
    held = desk.registered()
    agent, known = admitted(held, ada), client_for(held["client_id"])
    assert (agent.identifier, agent.owner, agent.name) == (held["client_id"], ada, "Nimble")
    assert known.standing is Standing.KNOWN and known.is_public and known.redirect_uris == (CALLBACK,)
    assert known.application and known.application.client_secret == ""


@pytest.mark.spec("RFC 7591", "5", "before it is admitted its key authenticates nobody; afterwards it does")
def test_its_key_counts_once_it_is_admitted(desk: Desk, ada: User, pay: Resource) -> None:
    key = new_key()
    held = desk.registered(grant_types=["client_credentials"], redirect_uris=None, jwks=jwks_of(key))
    machine = Machine(held["client_id"], key)
    refused = machine.token(scope="accounts.read")
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    admitted(held, ada)
    answer = machine.token(scope="accounts.read")  # a client now, and without a grant it may do nothing
    assert (answer.status_code, answer.json()["error"]) == (400, "access_denied")


@pytest.mark.spec(
    "RFC 6749", "5.2", "a client that registered itself uses the grant types it was admitted with, and no others"
)
@pytest.mark.parametrize("grant_type", sorted(GRANT_TYPES - {"authorization_code"}))
def test_other_grant_types_are_closed_to_it(desk: Desk, ada: User, pay: Resource, grant_type: str) -> None:
    key = new_key()
    held = desk.registered(grant_types=["authorization_code"], jwks=jwks_of(key))
    admitted(held, ada)
    answer = Machine(held["client_id"], key).token(grant_type=grant_type, scope="accounts.read")
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


@pytest.mark.spec("RFC 7591", "2", "every grant type of the token endpoint can be registered, and no other")
def test_what_can_be_registered_is_what_answers() -> None:
    assert set(GRANTS) == GRANT_TYPES


@pytest.mark.spec("RFC 7591", "5", "nobody gets in with the key of another")
def test_a_client_with_somebody_elses_key_is_not_admitted(desk: Desk, courier: Acting, ada: User) -> None:
    held = desk.registered(grant_types=["client_credentials"], redirect_uris=None, jwks=jwks_of(courier.machine.key))
    with pytest.raises(KeysRefused):
        admitted(held, ada)
    assert row_of(held).state == RegistrationState.QUARANTINED
    assert not Agent.objects.filter(identifier=held["client_id"]).exists()


@pytest.mark.spec("RFC 7591", "5", "who was refused is told nothing, and may be admitted after all")
def test_an_admin_refuses_and_may_think_again(desk: Desk, ada: User) -> None:
    held = desk.registered()
    admission.refuse(row_of(held), reason="Never heard of it.", by=BY, now=clock.now())
    assert client_for(held["client_id"]).standing is Standing.REFUSED
    with pytest.raises(NotWaiting):
        admission.refuse(row_of(held), reason="", by=BY, now=clock.now())
    assert admitted(held, ada).state == "active"


@pytest.mark.spec("RFC 7591", "5", "a client is admitted once, and never after it withdrew")
def test_what_does_not_wait_is_not_admitted(desk: Desk, ada: User) -> None:
    held, gone = desk.registered(), desk.registered()
    admitted(held, ada)
    desk.manage("DELETE", gone)
    for each in (held, gone):
        with pytest.raises(NotWaiting):
            admitted(each, ada)


@pytest.mark.spec("RFC 7591", "5", "a retired agent does not come back by registering a change")
def test_a_retired_agent_stays_retired(desk: Desk, ada: User) -> None:
    held = desk.registered()
    retire_agent(admitted(held, ada), reason="Done.", by=BY, now=clock.now())
    desk.manage("PUT", held, desk.rewritten(held, scope="other"))
    with pytest.raises(NotWaiting):
        admitted(held, ada)


@pytest.mark.spec("RFC 7591", "5", "an admin's rule lets in who fits, under the rule's own word")
@pytest.mark.parametrize(
    ("kind", "value", "members"),
    [
        ("redirect_host", "app.example", {}),
        ("redirect_host", "127.0.0.1", {"redirect_uris": [LOOPBACK]}),
        ("software_id", "nimble-7", {"software_id": "nimble-7"}),
    ],
)
def test_a_rule_admits_who_fits(desk: Desk, ada: User, kind: str, value: str, members: dict[str, Any]) -> None:
    made = rule(kind, value, ada)
    held = desk.registered(client_name="Ada's payroll", **members)
    row = row_of(held)
    assert (row.state, row.rule) == (RegistrationState.ADMITTED, made)
    assert row.agent and row.agent.owner == ada and row.agent.name.startswith(value) and "payroll" not in row.agent.name


@pytest.mark.spec("RFC 7591", "5", "a rule is compared whole, with all of the redirect URIs")
@pytest.mark.parametrize(
    "uris",
    [
        ["https://app.example.evil.example/"],
        ["https://evilapp.example/"],
        ["https://sub.app.example/"],
        [CALLBACK, "https://evil.example/"],
        [LOOPBACK],
    ],
)
def test_a_rule_admits_nobody_else(desk: Desk, ada: User, uris: list[str]) -> None:
    rule("redirect_host", "app.example", ada)
    rule("document_host", "app.example", ada)
    assert row_of(desk.registered(redirect_uris=uris)).state == RegistrationState.QUARANTINED


@pytest.mark.spec("RFC 7591", "5", "a rule lets in only so many, and nobody once it ended or its owner left")
def test_a_rule_has_its_bounds(desk: Desk, ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rule("redirect_host", "app.example", ada)
    monkeypatch.setattr(admission, "BY_RULE_MAX_PER_DAY", 1)
    states = [row_of(desk.registered()).state for _ in range(2)]
    assert states == [RegistrationState.ADMITTED, RegistrationState.QUARANTINED]
    monkeypatch.setattr(admission, "BY_RULE_MAX_PER_DAY", 100)
    User.objects.filter(pk=ada.pk).update(is_active=False)
    assert row_of(desk.registered()).state == RegistrationState.QUARANTINED
    User.objects.filter(pk=ada.pk).update(is_active=True)
    trust_rules.end_rule(made, by=BY, now=clock.now())
    assert row_of(desk.registered()).state == RegistrationState.QUARANTINED


@pytest.mark.spec("RFC 7591", "5", "a rule that goes wrong leaves the client waiting")
def test_a_rule_admits_nobody_with_somebody_elses_key(desk: Desk, courier: Acting, ada: User) -> None:
    rule("redirect_host", "app.example", ada)
    held = desk.registered(jwks=jwks_of(courier.machine.key))
    assert row_of(held).state == RegistrationState.QUARANTINED


@pytest.mark.spec("RFC 7591", "5", "the key of a registration that only waits stays free for its owner")
def test_a_waiting_registration_takes_no_key(desk: Desk, courier: Acting) -> None:
    key = new_key()
    desk.registered(jwks=jwks_of(key))
    assert credentials.register_keys(courier.agent.ref, jwks_of(key), by=BY, now=clock.now())


@pytest.mark.spec("RFC 7591", "5", "a rule compares with one thing, once")
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("redirect_host", "*.example"),
        ("redirect_host", "https://app.example/"),
        ("document_host", "app.example:8443"),
        ("document_host", "App.example"),
        ("redirect_host", ""),
        ("software_id", " "),
        ("software_id", "a\x00b"),
        ("software_id", "x" * 256),
        ("colour", "red"),
        ("software_id", "taken"),
    ],
)
def test_a_rule_that_compares_with_nothing_is_refused(ada: User, kind: str, value: str) -> None:
    rule("software_id", "taken", ada)
    with pytest.raises(TrustRuleRefused):
        rule(kind, value, ada)
