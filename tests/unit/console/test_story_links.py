"""From an agent, a person, a grant, a chain, an approval and its receipt to their story: for whoever may read the log there."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from aims.authorization.models import AccessToken, DelegationGrant
from aims.kit import clock
from aims.people import services as people
from aims.people.models import User
from audit.sequencer import Sequencer
from tests.support.cast import Acting, browser_of, someone
from tests.support.log import log_key as log_key
from tests.support.log import sequencer as sequencer
from tests.support.oauth_client import BY
from tests.unit.approvals.stage import build, number_what_waits

pytestmark = pytest.mark.django_db


def seated(*agents: str) -> User:
    """A guest with a seat before some agents."""
    guest = someone("Gus")
    terms = people.SeatTerms(
        is_guest=True, until_at=clock.now() + timedelta(days=3), agents=agents, period_since_at=None, period_until_at=None
    )  # fmt: skip
    people.open_seat(guest, terms, by=BY, now=clock.now())
    return guest


def leads(browser: Client, page: str, story: str, *, to: bool = True) -> None:
    """Check that a page links to a story that is there, or that it does not name it."""
    answer = browser.get(page)
    assert answer.status_code == 200, page
    assert (f'href="{story}"' in answer.text) is to, (page, story)
    if to:
        assert browser.get(story).status_code == 200, story


def test_an_agent_a_grant_and_a_chain_lead_to_their_stories(
    ada: User, ben: User, adm: User, courier: Acting, sequencer: Sequencer
) -> None:
    assert courier.machine.token(scope="accounts.read").status_code == 200
    sequencer.run_once()
    grant, token = DelegationGrant.objects.get(), AccessToken.of_every_kind.get()
    pages = {
        f"/agents/{courier.agent.ref}/": f"/audit/timeline/agent/{courier.agent.ref}/",
        f"/grants/{grant.ref}/": f"/audit/timeline/grant/{grant.ref}/",
        f"/chains/{token.txn}/": f"/audit/timeline/txn/{token.txn}/",
    }
    guest = seated(courier.agent.identifier)
    for page, story in pages.items():
        for person in (ben, adm, guest):
            leads(browser_of(person), page, story)
        leads(browser_of(ada), page, story, to=False)  # hers, but the log is not


def test_who_reads_another_part_of_the_log_is_led_nowhere(ada: User, courier: Acting, sequencer: Sequencer) -> None:
    sequencer.run_once()
    people.hold_role(ada, "auditor", by=BY, now=clock.now())
    agent = f"/agents/{courier.agent.ref}/"
    leads(browser_of(ada), agent, f"/audit/timeline/agent/{courier.agent.ref}/")
    ada.role_holdings.filter(role="auditor").delete()
    terms = people.SeatTerms(
        is_guest=False, until_at=None, agents=("spiffe://acme.example/agent/other",), period_since_at=None, period_until_at=None
    )  # fmt: skip
    people.open_seat(ada, terms, by=BY, now=clock.now())
    grant = DelegationGrant.objects.get().ref
    leads(browser_of(ada), agent, f"/audit/timeline/agent/{courier.agent.ref}/", to=False)
    leads(browser_of(ada), f"/grants/{grant}/", f"/audit/timeline/grant/{grant}/", to=False)


def test_a_person_leads_to_theirs_for_admins_who_alone_see_the_page(
    ada: User, ben: User, adm: User, sequencer: Sequencer
) -> None:
    sequencer.run_once()
    leads(browser_of(adm), f"/people/{ada.ref}/", f"/audit/timeline/person/{ada.ref}/")
    assert browser_of(ben).get(f"/people/{ada.ref}/").status_code == 403


def test_an_approval_and_its_receipt_lead_to_what_happened_around_it(log_key: object) -> None:
    stage = build()
    asked = stage.open()
    number_what_waits()
    card, story = f"/inbox/{asked.ref}/", f"/audit/timeline/approval/{asked.ref}/"
    readers, approver = [browser_of(stage.ben), browser_of(someone("Adm", "admin"))], browser_of(stage.ada)
    for reader in readers:
        leads(reader, card, story)
    leads(approver, card, story, to=False)
    stage.approve(asked)
    asked.refresh_from_db()
    number_what_waits()
    for page in (card, f"/receipts/{asked.receipt_ref}/"):
        for reader in readers:
            leads(reader, page, story)
        leads(approver, page, story, to=False)
