"""The start page: what waits, what happened, what is wrong; and the names that the log's pages use."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from aims.console import labels
from aims.console.queries import home_of
from aims.identifier.models import Agent, AgentState, Resource, TrustDomain
from aims.kit import clock
from aims.people.models import Group, Passkey, Role, RoleHolding, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def person() -> User:
    return User.objects.create(email="ada@acme.example", name="Ada Lindqvist")


def hold(person: User, role: Role) -> None:
    RoleHolding.objects.create(person=person, role=role, since_at=clock.now() - timedelta(days=1))


def agent_of(person: User, *, state: str = AgentState.ACTIVE) -> Agent:
    domain, _made = TrustDomain.objects.get_or_create(name="acme.example")
    return Agent.objects.create(
        identifier="spiffe://acme.example/agent/courier",
        trust_domain=domain,
        name="Courier",
        purpose="Pays invoices",
        contact="ops@acme.example",
        owner=person,
        state=state,
        state_reason="3 denials in an hour" if state == AgentState.SUSPENDED else "",
        state_since_at=clock.now(),
        registered_at=clock.now(),
    )


def passkey_of(person: User, *, cooling: timedelta = timedelta()) -> Passkey:
    now = clock.now()
    return Passkey.objects.create(
        person=person,
        name="Phone",
        credential_id=b"id" * 16,
        public_key=b"key",
        algorithm=-7,
        aaguid="",
        is_backup_eligible=False,
        is_backed_up=False,
        attestation_object=b"",
        client_data_json=b"",
        vouched_by="cli:root",
        enrolment_event="",
        enrolled_at=now,
        usable_from_at=now + cooling,
    )


def titles(person: User) -> list[str]:
    return [trouble.title for trouble in home_of(person, now=clock.now()).troubles]


def test_a_person_without_anything_waiting_reads_so(person: User) -> None:
    home = home_of(person, now=clock.now())
    assert home.headline == "Nothing waits for you, Ada."
    assert home.waiting == ()
    assert home.done == ()
    assert home.troubles == ()


def test_only_those_who_may_read_the_log_see_its_size(person: User) -> None:
    assert home_of(person, now=clock.now()).log_size is None
    hold(person, Role.AUDITOR)
    assert home_of(person, now=clock.now()).log_size == 0


def test_a_suspended_agent_is_trouble_for_its_owner_and_nobody_else(person: User) -> None:
    agent_of(person, state=AgentState.SUSPENDED)
    stranger = User.objects.create(email="cy@acme.example", name="Cy")
    assert titles(person) == ["Courier is suspended."]
    assert titles(stranger) == []


def test_a_missing_policy_is_trouble_for_an_admin_and_stands_on_top(person: User) -> None:
    passkey_of(person)
    assert titles(person) == ["You have one passkey."]
    hold(person, Role.ADMIN)
    assert titles(person) == ["No policy is active.", "You have one passkey."]


def test_a_key_that_cools_down_is_said_to(person: User) -> None:
    passkey_of(person, cooling=timedelta(hours=24))
    assert "You can't approve yet." in titles(person)


def test_a_stranger_is_sent_to_sign_in(client: Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/")


def test_the_patterns_are_not_for_strangers(client: Client) -> None:
    assert client.get("/patterns/").status_code == 404


def test_the_worker_and_the_manifest_lie_at_the_root(client: Client) -> None:
    assert client.get("/sw.js")["Content-Type"].startswith("text/javascript")
    assert client.get("/manifest.webmanifest")["Content-Type"] == "application/manifest+json"


def test_the_log_s_references_get_names(person: User) -> None:
    agent = agent_of(person)
    resource = Resource.objects.create(
        identifier="https://pay.example/", name="Payments API", registered_at=clock.now()
    )
    Group.objects.create(slug="finance", name="Finance")
    refs = [person.ref, agent.ref, agent.identifier, resource.identifier, "group:finance", "system", "usr_gone", ""]
    assert labels.of(refs) == {
        person.ref: "Ada Lindqvist",
        agent.ref: "Courier",
        agent.identifier: "Courier",
        resource.identifier: "Payments API",
        "group:finance": "Finance",
    }


def test_no_references_need_no_question(django_assert_num_queries: pytest.FixtureRequest) -> None:
    with django_assert_num_queries(0):  # type: ignore[operator]
        assert labels.of([]) == {}
