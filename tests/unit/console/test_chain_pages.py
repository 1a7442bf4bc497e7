"""The chain on one screen: who acts through whom, where it broke, and who could do something."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.urls import reverse
from pytest_django import Settings

from aims.authorization import chains
from aims.authorization.models import AccessToken, DelegationGrant
from aims.authorization.services import agents as stopping
from aims.authorization.services.grants import GiveGrant, give_grant, revoke_grant
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.people import services as people
from audit.sequencer import Sequencer
from tests.protocol.token_exchange.test_exchange import Chain, walk
from tests.protocol.token_exchange.test_exchange import chain as chain
from tests.support.cast import browser_of, someone
from tests.support.chains import DOMAIN, TXN, to_txn
from tests.support.codes import agreed, error, granted
from tests.support.log import log_key as log_key
from tests.support.log import sequencer as sequencer
from tests.support.oauth_client import BY, stage

pytestmark = pytest.mark.django_db


def txn() -> str:
    return AccessToken.of_every_kind.latest("pk").txn


def page_of(person: object, name: str = "chain") -> str:
    return str(browser_of(person).get(reverse(name, args=[txn()])).text)  # type: ignore[arg-type]


def whys() -> list[str]:
    (top,) = chains.tree_of(txn(), now=clock.now())
    return [hop.why for hop in top.walk()]


def users_grant(chain: Chain) -> DelegationGrant:
    """Return the grant that lets Courier call b: the top of the chain."""
    return DelegationGrant.objects.get(agent=chain.on.agent, resource=chain.links[0].resource)


def test_the_chain_shows_each_hop_with_its_agent_resource_scope_and_authority(
    chain: Chain, sequencer: Sequencer
) -> None:
    walk(chain, 2)
    sequencer.run_once()
    page = browser_of(chain.on.ada).get(reverse("chain", args=[txn()]))
    flat = page.context["flat"]
    assert [(link.number, link.hop.token.agent.name, link.resource, link.state, link.policy) for link in flat] == [
        ("1", "Courier", "b", "in_force", 1),
        ("1.1", "b", "c", "in_force", 1),
        ("1.1.1", "c", "d", "in_force", 1),
    ]
    for words in ("3 tokens count now", "Ada", "accounts.read", "grant from Ada", "called, acts on", "policy 1"):
        assert words in page.text, words


@pytest.mark.spec(
    "AIMS Console", "grants", "taking back the user's grant ends the third agent's access within a second"
)
def test_taking_back_the_users_grant_cuts_the_whole_chain_within_a_second(chain: Chain) -> None:
    walk(chain, 2)
    grant, ada = users_grant(chain), browser_of(chain.on.ada)
    preview = ada.get(reverse("grant-revoke", args=[grant.ref]))
    assert "3 tokens end at once" in preview.text
    begun = time.monotonic()
    assert ada.post(reverse("grant-revoke", args=[grant.ref])).status_code == 302
    assert all(token.is_expired() for token in AccessToken.objects.all())
    assert time.monotonic() - begun < 1
    assert whys() == ["grant_revoked", "above", "above"]
    page = page_of(chain.on.ada)
    assert "Cut at Courier: its grant was taken back." in page and "ended with the hop above" in page


def test_transaction_tokens_stand_between_the_hops_and_end_with_them(
    chain: Chain, settings: Settings, sequencer: Sequencer
) -> None:
    settings.TRUST_DOMAIN = DOMAIN
    b, c = chain.links[:2]
    inside = to_txn(b, chain.first()).json()["access_token"]
    onward = {"subject_token_type": TXN, "resource": c.resource.identifier, "scope": "accounts.read"}
    assert b.exchange(inside, **onward).status_code == 200
    sequencer.run_once()
    flat = browser_of(chain.on.ada).get(reverse("chain", args=[txn()])).context["flat"]
    assert [(link.number, link.hop.token.agent.name, link.resource, link.is_inside, link.policy) for link in flat] == [
        ("1", "Courier", "b", False, 1),
        ("1.1", "b", "b", True, 1),
        ("1.1.1", "b", "c", False, 1),
    ]
    grant = users_grant(chain)
    shown = browser_of(chain.on.ada).get(reverse("grant", args=[grant.ref]))
    assert len(shown.context["tokens"]) == 3 and "transaction token" in shown.text and inside not in shown.text
    assert "3 tokens end at once" in browser_of(chain.on.ada).get(reverse("grant-revoke", args=[grant.ref])).text
    revoke_grant(grant, by=BY, now=clock.now())
    assert whys() == ["grant_revoked", "above", "above"]


def test_a_chain_cut_in_the_middle_goes_on_above(chain: Chain) -> None:
    walk(chain, 3)
    b = chain.links[0].agent
    revoke_grant(DelegationGrant.objects.get(agent=b), by=BY, now=clock.now())
    assert whys() == ["", "grant_revoked", "above", "above"]
    assert "Cut at b: its grant was taken back." in page_of(chain.on.ada)


def test_an_agent_that_is_stopped_cuts_it_and_so_does_its_client(chain: Chain) -> None:
    walk(chain, 2)
    stopping.suspend_agent(chain.links[0].agent, reason="odd", by=BY, now=clock.now())
    assert whys() == ["", "agent_suspended", "above"]
    courier = chain.on.courier
    token = chain.first()
    courier.post("/oauth/revoke", courier.signed({"token": token}))
    assert whys() == ["by_client"]


def test_a_chain_that_ran_out_was_not_cut(chain: Chain) -> None:
    walk(chain, 1)
    with clock.shifted(timedelta(hours=2)):
        assert whys() == ["ran_out", "ran_out"]
        page = page_of(chain.on.ada)
    assert "Every token of it ran out." in page and "Cut at" not in page


def test_who_has_no_part_in_a_chain_does_not_find_it(chain: Chain) -> None:
    walk(chain, 1)
    found = {
        name: browser_of(someone(name, *roles)).get(reverse("chain", args=[txn()])).status_code
        for name, roles in {"Cy": (), "Olga": ("owner", "approver"), "Ben": ("auditor",), "Adm": ("admin",)}.items()
    }
    assert found == {"Cy": 404, "Olga": 404, "Ben": 200, "Adm": 200}
    assert browser_of(chain.on.ada).get(reverse("chain", args=["txn_none"])).status_code == 404


def test_who_answers_for_one_agent_of_it_sees_it_and_can_not_cut_it(chain: Chain) -> None:
    olga = someone("Olga", "owner")
    Agent.objects.filter(pk=chain.links[0].agent.pk).update(owner=olga)
    walk(chain, 1)
    assert "Take back the grant" not in page_of(olga)
    assert "Take back the grant" in page_of(chain.on.ada)
    assert browser_of(olga).get(reverse("grant-chain", args=[users_grant(chain).ref])).status_code == 404


def test_an_auditor_before_one_agent_sees_its_hop_and_nothing_of_the_others(chain: Chain) -> None:
    walk(chain, 2)
    b, c = chain.links[0].agent, chain.links[1].agent
    terms = people.SeatTerms(
        is_guest=True, until_at=clock.now() + timedelta(days=1), agents=(b.identifier,),
        period_since_at=None, period_until_at=None,
    )  # fmt: skip
    seat, _link = people.open_seat("eve@audit.example", terms, by=BY, now=clock.now())
    page = browser_of(seat.person).get(reverse("chain", args=[txn()]))
    assert [(link.number, link.hop.token.agent.name) for link in page.context["flat"]] == [("1", "b")]
    # On whose behalf it runs is said by its own token; nothing else of the one above, and nothing of the one below.
    assert "on behalf of Courier" in page.text
    assert not [mark for mark in (chain.on.agent.ref, c.ref, c.identifier) if mark in page.text]
    grant = DelegationGrant.objects.get(agent=b)
    lineage = browser_of(seat.person).get(reverse("grant-chain", args=[grant.ref]))
    assert lineage.status_code == 200 and "Courier" not in lineage.text
    assert browser_of(seat.person).get(reverse("grant-chain", args=[users_grant(chain).ref])).status_code == 404


def test_no_token_stands_on_the_page(chain: Chain) -> None:
    answers = walk(chain, 2)
    page = page_of(chain.on.ada)
    assert not any(answer.json()["access_token"] in page for answer in answers)


def test_the_chain_of_a_grant_shows_what_it_was_passed_on_as_and_its_transactions(chain: Chain) -> None:
    ada, b = chain.on.ada, chain.links[0].agent
    until = clock.now() + timedelta(days=1)
    base = {"from_person": ada, "resource": chain.on.pay, "actions": ("accounts.read",), "detail_types": ()}
    top = give_grant(GiveGrant(agent=chain.on.agent, until_at=until, depth=1, **base), by=BY, now=clock.now())  # type: ignore[arg-type]
    child = give_grant(GiveGrant(agent=b, until_at=until, parent=top, **base), by=BY, now=clock.now())  # type: ignore[arg-type]
    for grant in (top, child):
        page = browser_of(ada).get(reverse("grant-chain", args=[grant.ref]))
        held = page.context["held"]
        assert (held.row.grant, [each.row.grant for each in held.below]) == (top, [child])
    walk(chain, 2)
    page = browser_of(ada).get(reverse("grant-chain", args=[users_grant(chain).ref]))
    assert [(found, len(hops), is_live) for found, hops, is_live in page.context["transactions"]] == [(txn(), 3, True)]
    assert "Courier, down to c" in page.text


def test_who_could_names_every_agent_and_through_whom(chain: Chain) -> None:
    adm = someone("Adm", "admin")
    c = chain.links[1]
    where = f"{reverse('grants-who')}?resource={c.resource.ref}"
    page = browser_of(adm).get(f"{where}&action=accounts.read")
    ways = [(way.agent.agent.name, [each.agent.name for each in way.through]) for way in page.context["paths"]]
    assert ways == [("b", []), ("Courier", ["b"])]
    assert "through" in page.text and "Itself" in page.text
    stopping.suspend_agent(c.agent, reason="odd", by=BY, now=clock.now())
    stopping.suspend_agent(chain.links[0].agent, reason="odd", by=BY, now=clock.now())
    page = browser_of(adm).get(f"{where}&action=accounts.read")
    assert [way.path.is_open for way in page.context["paths"]] == [False, False]
    assert "Nobody" not in page.text and "Not now: an agent is stopped" in page.text


def test_who_could_counts_neither_what_has_ended_nor_what_has_not_begun(chain: Chain) -> None:
    c = chain.links[1].resource
    rows = DelegationGrant.objects.filter(resource=c)
    for change in (
        {"starts_at": clock.now() + timedelta(hours=1)},
        {"until_at": clock.now() - timedelta(seconds=1)},
        {"revoked_at": clock.now()},
        {"actions": ["accounts.list"]},
    ):
        before = rows.values(*change).get()
        rows.update(**change)
        assert chains.who_could(c, "accounts.read", now=clock.now()) == [], change
        rows.update(**before)


def test_a_ring_of_agents_ends(chain: Chain) -> None:
    b, c = chain.links[:2]
    until = clock.now() + timedelta(days=1)
    for agent, resource in ((c.agent, b.resource), (chain.on.agent, c.resource)):
        base = {"from_person": None, "actions": ("accounts.read",), "detail_types": (), "until_at": until}
        give_grant(GiveGrant(agent=agent, resource=resource, **base), by=BY, now=clock.now())  # type: ignore[arg-type]
    paths = chains.who_could(c.resource, "accounts.read", now=clock.now())
    names = [[grant.agent.name for grant in path.grants] for path in paths]
    assert names == [["Courier"], ["b"], ["Courier", "b"], ["c", "b"], ["Courier", "c", "b"]]
    assert all(len(set(each)) == len(each) for each in names)


@pytest.mark.parametrize("query", ["", "?resource=none", "?resource=", "?resource=%00"])
def test_who_could_answers_what_it_can_not_read(db: None, query: str) -> None:
    adm = someone("Adm", "admin")
    assert browser_of(adm).get(reverse("grants-who") + query).status_code == (422 if query else 200)


def test_only_those_who_see_all_ask_who_could(db: None) -> None:
    found = [
        browser_of(someone(name, *roles)).get(reverse("grants-who")).status_code
        for name, roles in (("Cy", ()), ("Ada", ("owner", "approver")), ("Ben", ("auditor",)), ("Adm", ("admin",)))
    ]
    assert found == [403, 403, 200, 200]
    assert Resource.objects.count() == 0


def test_a_chain_links_only_what_its_reader_may_open(chain: Chain) -> None:
    olga = someone("Olga", "owner")
    b = chain.links[0].agent
    Agent.objects.filter(pk=b.pk).update(owner=olga)
    walk(chain, 1)
    (top,) = browser_of(olga).get(reverse("chain", args=[txn()])).context["links"]
    assert (top.may_open, [may_open for _grant, may_open in top.grants]) == (False, [False])
    assert (top.below[0].may_open, [may_open for _grant, may_open in top.below[0].grants]) == (True, [True])
    page = page_of(olga)
    assert reverse("agent", args=[b.ref]) in page and reverse("agent", args=[chain.on.agent.ref]) not in page
    assert users_grant(chain).ref not in page


def test_a_sign_in_that_ended_says_so(db: None) -> None:
    signed_in = agreed(stage())
    first = granted(signed_in.redeem(signed_in.code()))
    granted(signed_in.refresh(first["refresh_token"]))
    assert error(signed_in.refresh(first["refresh_token"])) == "invalid_grant"  # used twice: the family ends
    found = chains.tree_of(txn(), now=clock.now())
    assert {hop.why for top in found for hop in top.walk()} == {"family_ended"}
    assert "its sign-in ended" in page_of(signed_in.on.ada)
