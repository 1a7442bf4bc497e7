"""The cast of every table test, made by the rooms' own verbs: four people, two agents that exist, one that does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.test import Client

from aims.authorization.services import agents as stopping
from aims.authorization.services.grants import GiveGrant, give_grant
from aims.credentials import services as credentials
from aims.credentials import signing
from aims.identifier import services as identifier
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.people import services as people
from aims.people.models import User
from aims.policy.services import DEFAULT_POLICY, load_policy
from tests.support.oauth_client import BY, PAY, Machine

DOMAIN = "acme.example"
GHOST = f"spiffe://{DOMAIN}/agent/ghost"
SINCE = timedelta(days=1)  # they have held their roles for a day
ACTIONS = (
    identifier.ActionSpec(name="accounts.read", title="Read accounts", reversibility="read-only"),
    identifier.ActionSpec(name="drafts.write", title="Write drafts", reversibility="reversible"),
    identifier.ActionSpec(
        name="payments.create", title="Pay", reversibility="irreversible", detail_type="payment_initiation"
    ),
)


@dataclass(frozen=True)
class Acting:
    """An agent with the key that it signs with."""

    agent: Agent
    machine: Machine


@pytest.fixture
def ada(db: None) -> User:
    """She approves, and answers for the agents."""
    return someone("Ada", "approver", "owner")


@pytest.fixture
def ben(db: None) -> User:
    """He may read the log."""
    return someone("Ben", "auditor")


@pytest.fixture
def cy(db: None) -> User:
    """A person without any right."""
    return someone("Cy")


@pytest.fixture
def adm(db: None) -> User:
    """The admin."""
    return someone("Adm", "admin")


@pytest.fixture
def pay(db: None) -> Resource:
    """A payments API, with the default policy in force."""
    now = clock.now()
    signing.forget()
    credentials.ensure_signing_keys(now)
    identifier.register_trust_domain(DOMAIN, by=BY, now=now)
    load_policy(DEFAULT_POLICY.read_text(), by=BY, now=now)
    command = identifier.RegisterResource(identifier=PAY, name="Pay", actions=ACTIONS)
    return identifier.register_resource(command, by=BY, now=now)


@pytest.fixture
def courier(ada: User, pay: Resource) -> Acting:
    """The good agent: active, Ada's, with a grant of hers."""
    return acting("courier", ada, pay)


@pytest.fixture
def magpie(ada: User, pay: Resource) -> Acting:
    """The agent that was suspended."""
    thief = acting("magpie", ada, pay)
    stopping.suspend_agent(thief.agent, reason="It stole.", by=BY, now=clock.now())
    thief.agent.refresh_from_db()
    return thief


@pytest.fixture
def ghost() -> Machine:
    """An agent that nobody registered."""
    return Machine(GHOST)


def browser_of(person: User | None) -> Client:
    """Return a browser at our own address, signed in unless it is nobody's."""
    client = Client(headers={"host": "localhost:8000"})
    if person is not None:
        client.force_login(person, backend="aims.people.backend.PasskeyBackend")
    return client


def someone(name: str, *roles: str) -> User:
    """Return a person who has held these roles for a day."""
    at = clock.now() - SINCE
    person = people.create_person(email=f"{name.lower()}@{DOMAIN}", name=name, by=BY, now=at)
    for role in roles:
        people.hold_role(person, role, by=BY, now=at)
    return person


def acting(name: str, owner: User, resource: Resource) -> Acting:
    """Return an agent of somebody's, with its key and a grant of theirs for everything there."""
    now, machine = clock.now(), Machine(f"spiffe://{DOMAIN}/agent/{name}")
    command = identifier.RegisterAgent(
        identifier=machine.client_id, name=name.title(), purpose="Pays", contact=f"ops@{DOMAIN}", owner=owner
    )
    agent = identifier.register_agent(command, by=BY, now=now)
    credentials.register_keys(agent.ref, machine.jwks, by=BY, now=now)
    names = tuple(action.name for action in ACTIONS)
    terms = GiveGrant(
        from_person=owner,
        agent=agent,
        resource=resource,
        actions=names,
        detail_types=("payment_initiation",),
        until_at=now + timedelta(days=1),
    )
    give_grant(terms, by=BY, now=now)
    return Acting(agent, machine)
