"""Verbs on agents, resources and trust domains: what they change, what they refuse, and the one entry of each."""

from __future__ import annotations

import pytest

from aims.identifier import services
from aims.identifier.errors import (
    ActionRefused,
    FieldRefused,
    IdentifierRefused,
    IdentifierTaken,
    OwnerRefused,
    ResourceRefused,
    UnknownTrustDomain,
    UnlawfulMove,
)
from aims.identifier.models import Agent, Resource, TrustDomain
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people.models import Group, User
from audit.models import InboxRow
from tests.support.cast import DOMAIN, Acting
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db


def command(owner: User, **changes: str) -> services.RegisterAgent:
    texts = {"identifier": f"spiffe://{DOMAIN}/agent/kestrel", "name": "Kestrel", "purpose": "Merges", "contact": "ops"}
    texts |= changes
    return services.RegisterAgent(
        identifier=texts["identifier"],
        name=texts["name"],
        purpose=texts["purpose"],
        contact=texts["contact"],
        owner=owner,
    )


def update(agent: Agent, **changes: str) -> tuple[str, ...]:
    texts = {"name": agent.name, "purpose": agent.purpose, "contact": agent.contact} | changes
    wanted = services.UpdateAgent(
        name=texts["name"], purpose=texts["purpose"], contact=texts["contact"], related_groups=()
    )
    return services.update_agent(agent, wanted, by=BY, now=clock.now())


def entries() -> int:
    return InboxRow.objects.count()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"identifier": "spiffe://acme.example"}, IdentifierRefused),
        ({"identifier": "spiffe://ACME.example/a"}, IdentifierRefused),
        ({"identifier": "spiffe://elsewhere.example/a"}, UnknownTrustDomain),
        ({"identifier": "spiffe://acme.example/agent/courier"}, IdentifierTaken),
        ({"name": " "}, FieldRefused),
        ({"purpose": "x" * 401}, FieldRefused),
        ({"contact": "nul\x00"}, FieldRefused),
    ],
)
def test_an_agent_that_breaks_a_rule_is_not_registered(
    courier: Acting, ada: User, change: dict[str, str], error: type[AimsError]
) -> None:
    before = entries()
    with pytest.raises(error):
        services.register_agent(command(ada, **change), by=BY, now=clock.now())
    assert Agent.objects.count() == 1 and entries() == before


def test_nobody_who_left_answers_for_an_agent(courier: Acting, ada: User, cy: User) -> None:
    User.objects.filter(pk=cy.pk).update(is_active=False)
    cy.refresh_from_db()
    with pytest.raises(OwnerRefused):
        services.register_agent(command(cy), by=BY, now=clock.now())
    with pytest.raises(OwnerRefused):
        services.transfer_owner(courier.agent, to=cy, by=BY, now=clock.now())


def test_a_change_names_its_fields_raises_the_version_and_writes_one_entry(courier: Acting) -> None:
    agent, before = Agent.objects.get(), entries()
    version = agent.version
    assert update(agent, contact="new", name=" Courier ") == ("contact",)
    assert (agent.version, entries()) == (version + 1, before + 1)
    assert update(agent) == () and (agent.version, entries()) == (version + 1, before + 1)


def test_groups_are_a_change_too(courier: Acting) -> None:
    agent = Agent.objects.get()
    group = Group.objects.create(slug="finance", name="Finance")
    same = services.UpdateAgent(name=agent.name, purpose=agent.purpose, contact=agent.contact, related_groups=(group,))
    assert services.update_agent(agent, same, by=BY, now=clock.now()) == ("related_groups",)


def test_an_owner_is_changed_once(courier: Acting, cy: User) -> None:
    before = entries()
    assert services.transfer_owner(courier.agent, to=cy, by=BY, now=clock.now())
    assert not services.transfer_owner(courier.agent, to=cy, by=BY, now=clock.now())
    assert Agent.objects.get().owner == cy and entries() == before + 1


def test_a_retired_agent_neither_moves_nor_changes(courier: Acting, cy: User) -> None:
    agent, now = courier.agent, clock.now()
    services.retire(agent, reason="old", by=BY, now=now)
    before = entries()
    for verb in (services.suspend, services.resume, services.retire):
        with pytest.raises(UnlawfulMove):
            verb(agent, reason="again", by=BY, now=now)
    with pytest.raises(UnlawfulMove):
        update(agent, contact="new")
    with pytest.raises(UnlawfulMove):
        services.transfer_owner(agent, to=cy, by=BY, now=now)
    assert agent.is_retired and entries() == before


def test_a_stop_needs_a_reason_and_a_return_does_not(courier: Acting) -> None:
    with pytest.raises(FieldRefused) as refused:
        services.suspend(courier.agent, reason=" ", by=BY, now=clock.now())
    assert refused.value.field == "reason"
    services.suspend(courier.agent, reason="odd", by=BY, now=clock.now())
    services.resume(courier.agent, reason="", by=BY, now=clock.now())
    assert Agent.objects.get().state == "active"


DELETE = services.ActionSpec(name="events.delete", title="Delete", reversibility="irreversible")


@pytest.mark.parametrize(
    ("identifier", "actions", "error"),
    [
        ("https://x.example/#a", (), ResourceRefused),
        ("/relative", (), ResourceRefused),
        ("https://user@x.example/", (), ResourceRefused),
        ("https://x.example/ä", (), ResourceRefused),
        ("https://" + "x" * 2048, (), ResourceRefused),
        ("https://x.example/", (DELETE, DELETE), ActionRefused),
        (
            "https://x.example/",
            (services.ActionSpec(name="a b", title="A", reversibility="reversible"),),
            ActionRefused,
        ),
        ("https://x.example/", (services.ActionSpec(name="a", title="A", reversibility="easy"),), ActionRefused),
        ("https://x.example/", (services.ActionSpec(name="a", title="", reversibility="reversible"),), FieldRefused),
    ],
)
def test_a_resource_that_breaks_a_rule_is_not_registered(
    identifier: str, actions: tuple[services.ActionSpec, ...], error: type[AimsError]
) -> None:
    wanted = services.RegisterResource(identifier=identifier, name="X", actions=actions)
    with pytest.raises(error):
        services.register_resource(wanted, by=BY, now=clock.now())
    assert not Resource.objects.exists() and entries() == 0


def test_a_resource_changes_but_for_its_identifier(pay: Resource) -> None:
    before, now = entries(), clock.now()
    wanted = services.RegisterResource(identifier=pay.identifier, name="Payments", actions=(DELETE,))
    assert services.update_resource(pay, wanted, by=BY, now=now) == ("name", "actions")
    assert services.update_resource(pay, wanted, by=BY, now=now) == ()
    assert entries() == before + 1
    other = services.RegisterResource(identifier="https://other.example/", name="Payments")
    with pytest.raises(ResourceRefused):
        services.update_resource(pay, other, by=BY, now=now)


def test_a_resource_is_retired_and_returned_once_each(pay: Resource) -> None:
    now = clock.now()
    services.retire_resource(pay, by=BY, now=now)
    with pytest.raises(UnlawfulMove):
        services.retire_resource(pay, by=BY, now=now)
    services.return_resource(pay, by=BY, now=now)
    with pytest.raises(UnlawfulMove):
        services.return_resource(pay, by=BY, now=now)


def test_a_retired_trust_domain_takes_no_more_agents(courier: Acting, ada: User) -> None:
    domain = TrustDomain.objects.get(name=DOMAIN)
    services.retire_trust_domain(domain, by=BY, now=clock.now())
    with pytest.raises(UnknownTrustDomain):
        services.register_agent(command(ada), by=BY, now=clock.now())
    with pytest.raises(UnlawfulMove):
        services.retire_trust_domain(domain, by=BY, now=clock.now())
    assert Agent.objects.get().state == "active"
