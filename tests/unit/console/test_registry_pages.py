"""Pages about agents, resources and policies."""

from __future__ import annotations

from html import unescape

import pytest
from django.test import Client

from aims.console.configuration.change import Applying
from aims.console.configuration.run import apply
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.people import services as people
from aims.people.models import User
from tests.unit.console.test_apply import a_file

pytestmark = pytest.mark.django_db


@pytest.fixture
def registry() -> Agent:
    apply(a_file(), Applying(by="cli:test", now=clock.now()))
    return Agent.objects.get()


def as_(person: User) -> Client:
    client = Client(headers={"host": "localhost:8000"})
    client.force_login(person, backend="aims.people.backend.PasskeyBackend")
    return client


def someone(*roles: str) -> User:
    person = people.create_person(
        email=f"{'-'.join(roles) or 'cy'}@x.example", name="X", by="cli:test", now=clock.now()
    )
    for role in roles:
        people.hold_role(person, role, by="cli:test", now=clock.now())
    return person


def test_the_owner_sees_the_stack_and_may_suspend(registry: Agent) -> None:
    client = as_(registry.owner)
    page = client.get(f"/agents/{registry.ref}/")
    assert page.status_code == 200 and "No static secret" in page.text
    client.post(f"/agents/{registry.ref}/suspend/", {"reason": "odd"})
    registry.refresh_from_db()
    assert registry.state == "suspended"


def test_a_stranger_sees_and_changes_nothing(registry: Agent) -> None:
    client = as_(someone())
    assert client.get(f"/agents/{registry.ref}/").status_code == 404
    assert client.post(f"/agents/{registry.ref}/suspend/", {"reason": "x"}).status_code == 404
    assert registry.name not in client.get("/agents/").text
    assert client.get("/agents/new/").status_code == 403
    registry.refresh_from_db()
    assert registry.state == "active"


def test_an_auditor_reads_and_does_not_act(registry: Agent) -> None:
    client = as_(someone("auditor"))
    assert "Suspend" not in client.get(f"/agents/{registry.ref}/").text
    assert client.post(f"/agents/{registry.ref}/suspend/", {"reason": "x"}).status_code == 403


def test_an_owner_may_not_retire(registry: Agent) -> None:
    assert as_(registry.owner).post(f"/agents/{registry.ref}/retire/", {"reason": "x"}).status_code == 403


def test_an_admin_registers_an_agent_and_a_taken_identifier_is_refused(registry: Agent) -> None:
    client = as_(someone("admin"))
    form = {
        "identifier": "SPIFFE://Acme.Example/agent/two",
        "name": "Two",
        "purpose": "p",
        "contact": "c",
        "owner": registry.owner.ref,
    }
    assert client.post("/agents/new/", form).status_code == 302
    assert Agent.objects.filter(identifier="spiffe://acme.example/agent/two").exists()
    again = client.post("/agents/new/", form)
    assert again.status_code == 422 and "never reused" in again.text


@pytest.mark.parametrize("path", ["/agents/", "/resources/", "/policies/", "/policies/1/"])
def test_every_list_renders(registry: Agent, path: str) -> None:
    assert as_(registry.owner).get(path).status_code == 200
    assert Client(headers={"host": "localhost:8000"}).get(path).status_code == 302


def test_a_resource_shows_its_actions(registry: Agent) -> None:
    page = as_(registry.owner).get(f"/resources/{Resource.objects.get().ref}/")
    assert "Irreversible" in page.text


def test_a_metadata_document_reads_line_by_line_as_it_is_served(registry: Agent) -> None:
    here, browser = f"/resources/{Resource.objects.get().ref}/metadata", as_(someone("admin"))
    page = browser.get(f"{here}/").content.decode()
    document = unescape(page[page.index("<pre") : page.index("</pre>")])
    assert "U+000A" not in document
    assert browser.get(f"{here}.json").content.decode().strip() in document
