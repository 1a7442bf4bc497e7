"""Pages about grants: who sees which, who may give what to whom, and who takes it back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from aims.authorization.models import DelegationGrant
from aims.console.management import ensure_management_api
from aims.identifier.models import Resource
from aims.kit import clock
from aims.people.models import User
from audit.models import InboxRow
from tests.support.cast import Acting, browser_of, someone
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db


def place(acting: Acting, resource: Resource) -> str:
    return f"{reverse('grant-new')}?agent={acting.agent.ref}&resource={resource.ref}"


def terms(**changes: Any) -> dict[str, Any]:
    until = (clock.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    return {"giver": "me", "actions": ["accounts.read"], "until": until, "mission": "Watch"} | changes


def newest() -> DelegationGrant:
    return DelegationGrant.objects.order_by("-pk")[0]


def test_an_owner_gives_in_their_own_name(ada: User, courier: Acting, pay: Resource) -> None:
    form = terms(actions=["accounts.read", "payments.create"], types=["payment_initiation"])
    page = browser_of(ada).post(place(courier, pay), form, follow=True)
    grant = newest()
    assert "Given. Courier may act at Pay" in page.text and "Watch" in page.text
    assert (grant.from_person, grant.given_by, grant.mission) == (ada, ada.ref, "Watch")
    assert grant.actions == ["accounts.read", "payments.create"]
    assert grant.detail_types == ["payment_initiation"]


def test_a_type_that_no_ticked_action_asks_for_says_nothing(ada: User, courier: Acting, pay: Resource) -> None:
    browser_of(ada).post(place(courier, pay), terms(types=["payment_initiation"]))
    assert newest().detail_types == []


def test_only_an_admin_gives_for_the_organisation(ada: User, adm: User, courier: Acting, pay: Resource) -> None:
    refused = browser_of(ada).post(place(courier, pay), terms(giver="organisation"))
    assert refused.status_code == 422 and "giver" in refused.context["form"].errors
    browser_of(adm).post(place(courier, pay), terms(giver="organisation"))
    assert (newest().from_person, newest().given_by) == (None, adm.ref)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"actions": []}, "actions"),
        ({"actions": ["accounts.erase"]}, "actions"),
        ({"types": ["something_else"]}, "types"),
        ({"until": "2020-01-01T00:00"}, "until"),
        ({"until": "2099-01-01T00:00"}, "until"),
        ({"until": "soon"}, "until"),
        ({"mission": "x" * 401}, "mission"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    ada: User, courier: Acting, pay: Resource, change: dict[str, Any], field: str
) -> None:
    before = (DelegationGrant.objects.count(), InboxRow.objects.count())
    page = browser_of(ada).post(place(courier, pay), terms(**change))
    assert page.status_code == 422 and set(page.context["form"].errors) == {field}
    assert (DelegationGrant.objects.count(), InboxRow.objects.count()) == before


def test_nobody_gives_to_an_agent_that_is_not_theirs(
    ben: User, cy: User, adm: User, courier: Acting, pay: Resource
) -> None:
    other = someone("Olga", "owner")
    before = DelegationGrant.objects.count()
    for person in (ben, cy, other):
        assert browser_of(person).post(place(courier, pay), terms()).status_code == 403
    assert DelegationGrant.objects.count() == before
    assert browser_of(adm).post(place(courier, pay), terms()).status_code == 302


def test_only_an_admin_lets_an_agent_manage(ada: User, adm: User, courier: Acting) -> None:
    api = ensure_management_api(by=BY, now=clock.now())
    before = DelegationGrant.objects.count()
    refused = browser_of(ada).post(place(courier, api), terms(actions=["manage.people"]))
    assert refused.status_code == 422 and "resource" in refused.context["form"].errors
    assert DelegationGrant.objects.count() == before
    assert browser_of(adm).post(place(courier, api), terms(actions=["manage.people"])).status_code == 302


def test_an_agent_that_manages_is_given_away_by_admins_only(ada: User, adm: User, cy: User, courier: Acting) -> None:
    api = ensure_management_api(by=BY, now=clock.now())
    browser_of(adm).post(place(courier, api), terms(actions=["manage.people"]))
    path = reverse("agent-owner", args=[courier.agent.ref])
    refused = browser_of(ada).post(path, {"owner": cy.ref})
    assert refused.status_code == 422 and "only an admin may" in refused.text
    assert browser_of(adm).post(path, {"owner": cy.ref}).status_code == 302


def test_retired_resources_can_not_be_chosen(ada: User, courier: Acting, pay: Resource) -> None:
    Resource.objects.update(retired_at=clock.now())
    assert browser_of(ada).get(place(courier, pay)).status_code == 422


def test_the_list_shows_each_what_concerns_them(
    ada: User, ben: User, cy: User, adm: User, courier: Acting, pay: Resource
) -> None:
    counts = [len(browser_of(person).get("/grants/").context["grants"]) for person in (ada, ben, cy, adm)]
    assert counts == [1, 1, 0, 1]


def test_the_list_is_filtered_by_text_state_and_whom_it_is_about(ada: User, courier: Acting, pay: Resource) -> None:
    browser = browser_of(ada)
    browser.post(reverse("grant-revoke", args=[newest().ref]))
    browser.post(place(courier, pay), terms())
    for query, count in (
        (f"agent={courier.agent.ref}", 2),
        (f"agent={courier.agent.ref}&state=ended", 1),
        ("agent=agt_none", 0),
        (f"person={ada.ref}", 2),
        ("person=prs_none", 0),
        (f"resource={pay.ref}", 2),
        (f"resource={'x' * 41}", 0),
        ("state=ends_soon", 1),
        ("state=scheduled", 0),
        ("", 2),
        ("state=ended", 1),
        ("state=in_force", 1),
        ("q=watch", 1),
        ("q=courier", 2),
        ("q=zz", 0),
    ):
        assert len(browser.get(f"/grants/?{query}").context["grants"]) == count, query


def test_a_grant_is_taken_back_after_a_question_once(ada: User, courier: Acting) -> None:
    browser, path = browser_of(ada), reverse("grant-revoke", args=[newest().ref])
    assert "read accounts, write drafts and pay at Pay" in browser.get(path).text and newest().revoked_at is None
    assert "Taken back." in browser.post(path, follow=True).text
    assert newest().revoked_by == ada.ref
    assert "taken back before" in browser.post(path, follow=True).text


def test_only_the_giver_or_an_admin_takes_back(ada: User, ben: User, cy: User, adm: User, courier: Acting) -> None:
    path = reverse("grant-revoke", args=[newest().ref])
    assert browser_of(cy).post(path).status_code == 404
    assert browser_of(ben).post(path).status_code == 403
    assert newest().revoked_at is None
    assert browser_of(adm).post(path).status_code == 302
    assert newest().revoked_by == adm.ref


def test_my_agents_shows_what_each_may_do_for_me(ada: User, cy: User, courier: Acting, magpie: Acting) -> None:
    page = browser_of(ada).get("/me/agents/").context["agents"]
    assert [(mine.agent.name, mine.is_owner, len(mine.grants)) for mine in page] == [
        ("Courier", True, 1),
        ("Magpie", True, 1),
    ]
    assert all(row.can_end for mine in page for row in mine.grants)
    assert "No agent acts for you" in browser_of(cy).get("/me/agents/").text


def test_a_grant_from_me_to_somebody_elses_agent_stands_with_me(adm: User, courier: Acting, pay: Resource) -> None:
    browser_of(adm).post(place(courier, pay), terms())
    page = browser_of(adm).get("/me/agents/")
    assert [(mine.agent.name, mine.is_owner) for mine in page.context["agents"]] == [("Courier", False)]


def test_what_the_organisation_gave_my_agent_is_not_mine_to_take_back(
    ada: User, adm: User, courier: Acting, pay: Resource
) -> None:
    browser_of(adm).post(place(courier, pay), terms(giver="organisation"))
    shown = browser_of(ada).get("/me/agents/").context["agents"][0].grants
    assert [row.can_end for row in shown if row.grant.from_person is None] == [False]
    assert browser_of(ada).post(reverse("grant-revoke", args=[newest().ref])).status_code == 403


def test_a_page_that_can_not_show_all_says_so(ada: User, courier: Acting, pay: Resource) -> None:
    assert "There are more." not in browser_of(ada).get("/me/agents/").text
    row = newest()
    for _ in range(50):
        row.pk, row.ref = None, f"grt_{_}"
        row.save(force_insert=True)
    page = browser_of(ada).get("/me/agents/")
    assert "There are more." in page.text and len(page.context["agents"][0].grants) == 50
