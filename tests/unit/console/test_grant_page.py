"""One grant's pages: all that it says, who may narrow, take back and pass on, and what they see before."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from aims.authorization.models import AccessToken, DelegationGrant
from aims.authorization.services.grants import GiveGrant, NarrowGrant, give_grant, narrow_grant, revoke_grant
from aims.console.management import ensure_management_api
from aims.identifier import services as identifier
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.people.models import User
from audit.models import InboxRow
from audit.sequencer import Sequencer
from tests.support.cast import Acting, browser_of, someone
from tests.support.codes import agreed, error, granted
from tests.support.log import log_key as log_key
from tests.support.log import sequencer as sequencer
from tests.support.oauth_client import BY, stage

pytestmark = pytest.mark.django_db
MINUTE = "%Y-%m-%dT%H:%M"


def give(acting: Acting, pay: Resource, **changed: Any) -> DelegationGrant:
    """Give Courier a grant beside that of the cast, and take that one back, so that this one alone counts."""
    before = list(DelegationGrant.objects.filter(agent=acting.agent, revoked_at=None))
    base: dict[str, Any] = {
        "from_person": acting.agent.owner,
        "actions": ("accounts.read", "payments.create"),
        "detail_types": ("payment_initiation",),
        "until_at": clock.now() + timedelta(days=20),
        "depth": 2,
        "budget": {"count": 10, "amounts": {"EUR": "25000.00"}},
        "mission": "Settle <November>",
    }
    grant = give_grant(GiveGrant(agent=acting.agent, resource=pay, **(base | changed)), by=BY, now=clock.now())
    for row in before:
        revoke_grant(row, by=BY, now=clock.now())
    return grant


def another(owner: User, name: str = "kestrel") -> Agent:
    command = identifier.RegisterAgent(
        identifier=f"spiffe://acme.example/{name}",
        name=name.title(),
        purpose="Helps",
        contact="a@b.example",
        owner=owner,
    )
    return identifier.register_agent(command, by=BY, now=clock.now())


def pass_down(grant: DelegationGrant, agent: Agent, **changed: Any) -> DelegationGrant:
    base: dict[str, Any] = {
        "from_person": grant.from_person,
        "actions": tuple(grant.actions),
        "detail_types": tuple(grant.detail_types),
        "until_at": grant.until_at,
        "budget": grant.budget,
        "depth": grant.depth - 1,
        "parent": grant,
    }
    return give_grant(GiveGrant(agent=agent, resource=grant.resource, **(base | changed)), by=BY, now=clock.now())


def path(name: str, grant: DelegationGrant) -> str:
    return reverse(f"grant-{name}" if name else "grant", args=[grant.ref])


def narrower(grant: DelegationGrant, **changed: Any) -> dict[str, Any]:
    """Return the fields of the narrow form, as a browser sends them."""
    return {
        "seen": grant.version,
        "actions": ["accounts.read"],
        "until": timezone.localtime(grant.until_at).strftime(MINUTE),
        "depth": "1",
        "count": "5",
        "amounts": "25000.00 EUR",
    } | changed


def read_token(acting: Acting) -> str:
    answer = acting.machine.token(scope="accounts.read")
    assert answer.status_code == 200, answer.content
    return str(answer.json()["access_token"])


def test_the_page_says_all_that_the_grant_says(ada: User, courier: Acting, pay: Resource) -> None:
    grant = give(courier, pay)
    child = pass_down(grant, another(ada))
    token = read_token(courier)
    page = browser_of(ada).get(path("", grant))
    for words in (
        "Courier may read accounts and pay at Pay",
        "Settle &lt;November&gt;",
        "1 of 10 uses, 9 left",
        "0.00 of 25,000.00 EUR, 25,000.00 EUR left",
        "may be passed on 2 times",
        "given directly, without a request",
        "From Ada",
        "bearer",
        "Irreversible",
        f"/grants/{child.ref}/",
        str(AccessToken.objects.get().jti),
    ):
        assert words in page.text, words
    assert token not in page.text


def test_who_has_no_part_in_a_grant_does_not_find_it(
    ada: User, ben: User, cy: User, adm: User, courier: Acting, pay: Resource
) -> None:
    grant = give(courier, pay)
    for name, statuses in {
        "": (404, 200, 200, 200),
        "chain": (404, 200, 200, 200),
        "narrow": (404, 403, 200, 200),
        "revoke": (404, 403, 200, 200),
        "pass-on": (404, 403, 200, 200),
    }.items():
        found = tuple(browser_of(person).get(path(name, grant)).status_code for person in (cy, ben, ada, adm))
        assert found == statuses, name


def test_what_happened_to_a_grant_stands_on_its_page(
    ada: User, ben: User, courier: Acting, pay: Resource, sequencer: Sequencer
) -> None:
    grant = give(courier, pay)
    terms = NarrowGrant(
        actions=("accounts.read",), detail_types=(), until_at=grant.until_at, budget=grant.budget, depth=0
    )
    narrow_grant(grant, terms, by=ada.ref, now=clock.now())
    sequencer.run_once()
    told = browser_of(ada).get(path("", grant)).context["history"].told
    assert [(each.title, each.who) for each in told] == [
        ("Narrowed a permission", "Ada"),
        ("Let an agent do something", BY),
    ]
    assert "/audit/" not in browser_of(ada).get(path("", grant)).text
    assert reverse("audit:entry", args=[told[0].index]) in browser_of(ben).get(path("", grant)).text


def test_narrowing_shows_what_ends_before_it_does(ada: User, courier: Acting, pay: Resource) -> None:
    grant = give(courier, pay)
    child = pass_down(grant, another(ada))
    browser, form = browser_of(ada), narrower(grant, count="1")
    read_token(courier)
    preview = browser.get(path("narrow", grant), form)
    for words in (
        "no longer: payments.create",
        "1 time in all",
        "may be passed on once",
        "1 grant below becomes narrower",
    ):
        assert words in preview.text, words
    grant.refresh_from_db()
    assert grant.narrowed_at is None
    assert "Narrowed." in browser.post(path("narrow", grant), form, follow=True).text
    grant.refresh_from_db()
    child.refresh_from_db()
    assert (grant.actions, grant.budget["count"], grant.depth) == (["accounts.read"], 1, 1)
    assert (child.actions, child.depth) == (["accounts.read"], 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"actions": []}, "actions"),
        ({"actions": ["drafts.write"]}, "actions"),
        ({"until": "2020-01-01T00:00"}, "__all__"),
        ({"until": "2099-01-01T00:00"}, "__all__"),
        ({"depth": "3"}, "depth"),
        ({"count": "11"}, "__all__"),
        ({"count": ""}, "__all__"),
        ({"count": "-1"}, "count"),
        ({"count": "1e3"}, "count"),
        ({"amounts": ""}, "__all__"),
        ({"amounts": "25000.01 EUR"}, "__all__"),
        ({"amounts": "1 EUR\n2 EUR"}, "amounts"),
        ({"amounts": "EUR"}, "amounts"),
        ({"amounts": "1.234 EUR"}, "amounts"),
        ({"amounts": "1 XYZ"}, "amounts"),
        ({"seen": "1"}, "__all__"),
        ({"seen": "x"}, "seen"),
    ],
)
@pytest.mark.parametrize("way", ["get", "post"])
def test_what_is_wider_or_malformed_or_stale_is_refused(
    ada: User, courier: Acting, pay: Resource, change: dict[str, Any], field: str, way: str
) -> None:
    grant = give(courier, pay)
    before = InboxRow.objects.count()
    answer = getattr(browser_of(ada), way)(path("narrow", grant), narrower(grant, **change))
    assert (answer.status_code, set(answer.context["form"].errors)) == (422, {field})
    assert "preview" not in answer.context
    grant.refresh_from_db()
    assert grant.narrowed_at is None and InboxRow.objects.count() == before


def test_a_form_that_changes_nothing_is_told_so_to_the_minute(ada: User, courier: Acting, pay: Resource) -> None:
    grant = give(courier, pay)
    same = narrower(
        grant,
        actions=["accounts.read", "payments.create"],
        types=["payment_initiation"],
        count="10",
        depth="2",
    )
    answer = browser_of(ada).get(path("narrow", grant), same)
    assert answer.status_code == 422 and "Nothing is narrower" in answer.text


def test_a_grant_that_ended_is_not_narrowed_again(ada: User, courier: Acting, pay: Resource) -> None:
    grant = give(courier, pay)
    form = narrower(grant)
    revoke_grant(grant, by=BY, now=clock.now())
    browser = browser_of(ada)
    assert "nothing to narrow" in browser.get(path("narrow", grant), follow=True).text
    assert "nothing to narrow" in browser.post(path("narrow", grant), form, follow=True).text
    assert "taken back before" in browser.get(path("revoke", grant), follow=True).text


def test_taking_back_shows_what_dies_and_then_it_dies(ada: User, adm: User, courier: Acting, pay: Resource) -> None:
    grant = give(courier, pay)
    child = pass_down(grant, another(ada))
    read_token(courier)
    preview = browser_of(ada).get(path("revoke", grant))
    for words in ("1 token ends at once", "1 grant below is taken back", "Kestrel, until"):
        assert words in preview.text, words
    assert "stays allowed" not in preview.text
    browser_of(ada).post(path("revoke", grant), {"seen": grant.version})
    child.refresh_from_db()
    assert child.revoked_by == ada.ref and not AccessToken.objects.filter(revoked_at=None).exists()
    shown = browser_of(adm).get(path("", grant))
    assert "Taken back on" in shown.text and "By Ada." in shown.text


def test_the_preview_says_what_another_grant_goes_on_to_allow(ada: User, courier: Acting, pay: Resource) -> None:
    grant = give(courier, pay)
    other = GiveGrant(
        from_person=None, agent=courier.agent, resource=pay, actions=("accounts.read",), detail_types=(),
        until_at=clock.now() + timedelta(days=5),
    )  # fmt: skip
    give_grant(other, by=BY, now=clock.now())
    read_token(courier)
    page = browser_of(ada).get(path("revoke", grant))
    assert "Some of it stays allowed" in page.text and "from the organisation until" in page.text
    assert "token ends at once" not in page.text
    assert (
        "Some of it stays" not in browser_of(ada).get(path("narrow", grant), narrower(grant, count="10")).text
    )  # what is lost is paying, which the other never allowed


def test_what_was_decided_on_an_older_grant_is_shown_again(ada: User, courier: Acting, pay: Resource) -> None:
    grant = give(courier, pay)
    seen = grant.version
    browser_of(ada).post(path("narrow", grant), narrower(grant))
    page = browser_of(ada).post(path("revoke", grant), {"seen": seen}, follow=True)
    assert "Somebody changed this grant" in page.text and "Take this back from Courier?" in page.text
    grant.refresh_from_db()
    assert grant.revoked_at is None


def test_a_grant_is_passed_on_in_part_and_never_wider(ada: User, courier: Acting, pay: Resource) -> None:
    grant, kestrel = give(courier, pay), another(ada)
    browser = browser_of(ada)
    assert "Kestrel" in browser.get(path("pass-on", grant)).text
    where = f"{path('pass-on', grant)}?agent={kestrel.ref}"
    until = timezone.localtime(clock.now() + timedelta(days=3)).strftime(MINUTE)
    form = {"actions": ["accounts.read"], "until": until, "count": "3", "amounts": "10 EUR", "depth": "1"}
    for change in ({"actions": ["drafts.write"]}, {"count": "11"}, {"count": ""}, {"depth": "2"}, {"amounts": ""}):
        assert browser.post(where, form | change).status_code == 422, change
    page = browser.post(where, form, follow=True)
    child = DelegationGrant.objects.latest("pk")
    assert (child.parent, child.from_person, child.given_by, child.depth) == (grant, ada, ada.ref, 1)
    assert child.budget == {"count": 3, "amounts": {"EUR": "10"}} and "Passed on" in page.text


def test_nobody_passes_on_to_the_agent_itself_or_what_may_not_be_passed_on(
    ada: User, courier: Acting, pay: Resource
) -> None:
    grant = give(courier, pay)
    where = f"{path('pass-on', grant)}?agent={courier.agent.ref}"
    assert browser_of(ada).get(where).status_code == 422
    flat = give(courier, pay, depth=0)
    assert "may not be passed on" in browser_of(ada).get(path("pass-on", flat), follow=True).text
    assert "Pass on" not in browser_of(ada).get(path("", flat)).text


def test_who_passed_it_on_may_take_that_back_and_nothing_above(ada: User, courier: Acting, pay: Resource) -> None:
    olga = someone("Olga", "owner")
    kestrel, robin = another(olga), another(olga, "robin")
    grant = give(courier, pay)
    child = pass_down(grant, kestrel)
    form = {"actions": ["accounts.read"], "until": timezone.localtime(grant.until_at).strftime(MINUTE),
            "count": "1", "amounts": "1 EUR"}  # fmt: skip
    assert browser_of(olga).post(f"{path('pass-on', child)}?agent={robin.ref}", form).status_code == 302
    below = DelegationGrant.objects.latest("pk")
    assert (below.given_by, below.from_person) == (olga.ref, ada)
    for row, status in ((grant, 404), (child, 403), (below, 302)):
        assert browser_of(olga).post(path("revoke", row)).status_code == status


def test_a_right_to_manage_is_passed_on_by_admins_only(ada: User, adm: User, courier: Acting, pay: Resource) -> None:
    api = ensure_management_api(by=BY, now=clock.now())
    grant = give(courier, api, actions=("read.audit",), detail_types=(), budget={}, from_person=ada)
    kestrel = another(ada)
    assert browser_of(ada).get(path("pass-on", grant)).status_code == 403
    assert browser_of(adm).get(f"{path('pass-on', grant)}?agent={kestrel.ref}").status_code == 200


def test_a_grant_is_given_with_a_budget_a_beginning_and_a_depth(ada: User, courier: Acting, pay: Resource) -> None:
    where = f"{reverse('grant-new')}?agent={courier.agent.ref}&resource={pay.ref}"
    now = timezone.localtime(clock.now())
    form = {
        "giver": "me",
        "actions": ["accounts.read"],
        "starts": (now + timedelta(days=1)).strftime(MINUTE),
        "until": (now + timedelta(days=3)).strftime(MINUTE),
        "count": "100",
        "per_hour": "10",
        "per_day": "50",
        "amounts": "5000 JPY\n25000.00 eur\n",
        "depth": "2",
    }
    assert browser_of(ada).post(where, form | {"starts": form["until"]}).status_code == 422
    page = browser_of(ada).post(where, form, follow=True)
    grant = DelegationGrant.objects.latest("pk")
    assert grant.budget == {
        "count": 100, "per_hour": 10, "per_day": 50, "amounts": {"EUR": "25000.00", "JPY": "5000"},
    }  # fmt: skip
    assert grant.depth == 2 and grant.starts_at is not None
    for words in ("Not begun", "Begins on", "0 of 10 uses this hour", "0 of 5,000 JPY, 5,000 JPY left"):
        assert words in page.text, words


def test_my_agents_says_what_each_may_and_what_it_asked(ada: User, courier: Acting, pay: Resource) -> None:
    grant = give(courier, pay, until_at=clock.now() + timedelta(days=2))
    read_token(courier)
    with clock.shifted(timedelta(days=1, hours=22)):
        page = browser_of(ada).get("/me/agents/")
    assert "May read accounts and pay at Pay" in page.text and "1 of 10 uses, 9 left" in page.text
    assert path("narrow", grant) in page.text and path("revoke", grant) in page.text
    assert "Courier: a permission ends in 1 h." in page.text or "Courier: a permission ends in 2 h." in page.text
    assert [mine.used_at is not None for mine in page.context["agents"]] == [True]


def test_the_terms_can_be_changed_after_the_preview(ada: User, courier: Acting, pay: Resource) -> None:
    grant = give(courier, pay)
    preview = browser_of(ada).get(path("narrow", grant), narrower(grant))
    again = browser_of(ada).get(path("narrow", grant) + preview.context["again"])
    assert "preview" not in again.context and again.context["form"]["count"].value() == "5"


def test_sign_ins_that_renew_tokens_stand_on_the_page_and_in_the_preview_and_end(
    db: None, sequencer: Sequencer
) -> None:
    signed_in = agreed(stage())
    first = granted(signed_in.redeem(signed_in.code()))
    (grant,) = DelegationGrant.objects.filter(authorization_codes__isnull=False)
    browser = browser_of(signed_in.on.ada)
    page = browser.get(path("", grant))
    assert "Sign-ins that renew its tokens" in page.text and "Ada agreed" in page.text
    assert first["refresh_token"] not in page.text
    assert "1 sign-in ends: it can renew no token any more" in browser.get(path("revoke", grant)).text
    browser.post(path("revoke", grant), {"seen": grant.version})
    assert error(signed_in.refresh(first["refresh_token"])) == "invalid_grant"
    sequencer.run_once()
    page = browser.get(path("", grant))
    assert "Sign-ins that renew" not in page.text
    assert "Ended a sign-in for good" in [told.title for told in page.context["history"].told]
