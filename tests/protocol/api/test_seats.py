"""A machine that acts for an auditor reads of the registry what their seat opens, and no other agent."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aims.authorization.models import AccessToken, DelegationGrant
from aims.identifier.models import Resource
from aims.kit import clock
from aims.people import services as people
from aims.people.models import User
from tests.protocol.api.conftest import Desk, problem_of
from tests.support.cast import acting
from tests.support.oauth_client import PAY
from tests.support.requests import asked

pytestmark = pytest.mark.django_db


@pytest.fixture
def seated(desk: Desk) -> Desk:
    """The desk's token, issued on behalf of an auditor whose seat opens Courier; Heron is another agent, used as well."""
    ada, pay = User.objects.get(pk=desk.stage.ada.pk), Resource.objects.get(identifier=PAY)
    people.hold_role(ada, "approver", by="usr_adm", now=clock.now() - timedelta(days=1))
    heron = acting("heron", ada, pay)
    assert heron.machine.token(scope="accounts.read").status_code == 200
    assert desk.stage.courier.token(scope="accounts.read").status_code == 200
    for agent in (heron.agent, desk.stage.agent):
        asked(agent, ada, pay)
    terms = people.SeatTerms(
        is_guest=True, until_at=clock.now() + timedelta(days=1), agents=(desk.stage.agent.identifier,),
        period_since_at=None, period_until_at=None,
    )  # fmt: skip
    seat, _link = people.open_seat("eve@audit.example", terms, by="usr_adm", now=clock.now())
    AccessToken.objects.filter(agent=desk.agent).update(subject_ref=seat.person.ref)
    return desk


def txn_of(name: str) -> str:
    return AccessToken.objects.filter(agent__name=name).exclude(txn="").latest("pk").txn


def test_lists_hold_the_agents_of_the_seat_and_what_is_theirs(seated: Desk) -> None:
    mine = seated.stage.agent.ref
    assert [row["ref"] for row in seated.get("agents/").json()["items"]] == [mine]
    for kind in ("grants/", "approval-requests/"):
        rows = seated.get(kind).json()["items"]
        assert rows and {row["agent"] for row in rows} == {mine}, kind


def test_what_is_about_another_agent_is_not_there(seated: Desk) -> None:
    grant = DelegationGrant.objects.get(agent__name="Heron")
    request = grant.agent.approval_requests.get()
    for path in (
        f"agents/{grant.agent.ref}/", f"agents/{grant.agent.ref}/keys/", f"grants/{grant.ref}/", f"grants/{grant.ref}/chain/",
        f"grants/{grant.ref}/impact/", f"approval-requests/{request.ref}/", f"chains/{txn_of('Heron')}/",
    ):  # fmt: skip
        assert problem_of(seated.get(path))[0] == 404, path
    assert problem_of(seated.post(f"agents/{grant.agent.ref}/suspend/", {"reason": "Because."}))[0] == 404


def test_what_is_about_the_agent_of_the_seat_is(seated: Desk) -> None:
    grant = DelegationGrant.objects.filter(agent=seated.stage.agent).latest("pk")
    for path in (f"agents/{grant.agent.ref}/", f"grants/{grant.ref}/chain/", f"chains/{txn_of('Courier')}/"):
        assert seated.get(path).status_code == 200, path
    assert problem_of(seated.get(f"grants/{grant.ref}/impact/"))[0] == 403, "who may not end it is not shown what ends"


def test_who_could_do_something_names_agents_of_the_seat_only(seated: Desk) -> None:
    resource = Resource.objects.get(identifier=PAY)
    found = seated.get(f"grants/who/?resource={resource.ref}&action=accounts.read").json()["items"]
    assert {ref for way in found for ref in way["agents"]} == {seated.stage.agent.ref}


def test_people_are_for_admins(seated: Desk) -> None:
    assert [row["email"] for row in seated.get("people/").json()["items"]] == ["eve@audit.example"]
    assert problem_of(seated.get(f"people/{seated.stage.ada.ref}/"))[0] == 404


def test_a_machine_that_acts_for_itself_reads_them_all(seated: Desk) -> None:
    AccessToken.objects.filter(agent=seated.agent).update(subject_ref=seated.agent.identifier)
    assert {"Courier", "Heron", "Steward"} <= {row["name"] for row in seated.get("agents/").json()["items"]}
