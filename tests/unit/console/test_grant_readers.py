"""What each reader of a grant's pages is told, and who hears that it ended: nobody learns of what is between others."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.urls import reverse
from pytest_django import DjangoCaptureOnCommitCallbacks

from aims.authorization.models import ApprovalRequest, DelegationGrant
from aims.authorization.services import agents as stopping
from aims.authorization.services.grants import GiveGrant, NarrowGrant, give_grant, narrow_grant, revoke_grant
from aims.console.registry import grant_history
from aims.identifier.models import Resource
from aims.kit import clock, nudge
from aims.kit.nudge import Topic
from aims.people.models import User
from audit import read
from audit.sequencer import Sequencer
from tests.support.cast import Acting, browser_of, someone
from tests.support.log import log_key as log_key
from tests.support.log import sequencer as sequencer
from tests.support.oauth_client import BY
from tests.support.requests import asked
from tests.unit.console.test_grant_page import another, give, narrower, pass_down, path, read_token

pytestmark = pytest.mark.django_db
HEADLINE = "Pay 10.00 EUR to"
Run = DjangoCaptureOnCommitCallbacks


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """Return whose inbox bell rang, in order."""
    kept, refs = list(nudge._listeners), list[str]()
    nudge.listen(lambda topic, to: refs.extend(to) if topic == Topic.INBOX else None)
    yield refs
    nudge._listeners[:] = kept


@pytest.fixture
def passed_on(ada: User, courier: Acting, pay: Resource) -> DelegationGrant:
    """Olga answers for Kestrel and passed on what it had to Robin, which is Max's; Robin asks Ada for a payment."""
    olga, max_ = someone("Olga", "owner"), someone("Max", "owner")
    middle = pass_down(give(courier, pay), another(olga))
    below = GiveGrant(
        from_person=ada, agent=another(max_, "robin"), resource=pay, actions=("payments.create",),
        detail_types=("payment_initiation",), until_at=middle.until_at, budget=middle.budget, parent=middle,
    )  # fmt: skip
    grant = give_grant(below, by=olga.ref, now=clock.now())
    asked(grant.agent, ada, pay)
    return grant


def test_a_preview_names_a_request_to_those_who_may_see_it(ada: User, adm: User, passed_on: DelegationGrant) -> None:
    for person in (ada, adm):
        page = browser_of(person).get(path("revoke", passed_on)).text
        assert "1 waiting request is withdrawn" in page
        assert HEADLINE in page
        assert "not yours to see" not in page


def test_a_preview_only_counts_what_is_between_others(passed_on: DelegationGrant) -> None:
    olga = User.objects.get(name="Olga")
    page = browser_of(olga).get(path("revoke", passed_on)).text
    assert "1 waiting request is withdrawn" in page
    assert "1 that is not yours to see" in page
    assert HEADLINE not in page
    assert ApprovalRequest.objects.get().ref not in page


def test_a_preview_links_no_grant_that_its_reader_may_not_open(passed_on: DelegationGrant, pay: Resource) -> None:
    cy, olga = someone("Cy", "approver"), User.objects.get(name="Olga")
    other = GiveGrant(
        from_person=cy, agent=passed_on.agent, resource=pay, actions=("payments.create",),
        detail_types=("payment_initiation",), until_at=clock.now() + timedelta(days=9),
    )  # fmt: skip
    kept = give_grant(other, by=BY, now=clock.now())
    hers = browser_of(olga).get(path("revoke", passed_on)).text
    assert "Some of it stays allowed by other grants" in hers
    assert "some that are not yours to see" in hers
    assert kept.ref not in hers
    assert "Cy" not in hers
    assert kept.ref in browser_of(someone("Adm", "admin")).get(path("revoke", passed_on)).text


def test_a_history_that_was_cut_says_so_and_leads_to_the_log(
    ada: User, ben: User, courier: Acting, pay: Resource, sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    grant = give(courier, pay)
    for count in (9, 8, 7):
        grant.refresh_from_db()
        terms = NarrowGrant(
            actions=tuple(grant.actions), detail_types=tuple(grant.detail_types), until_at=grant.until_at,
            budget=grant.budget | {"count": count}, depth=grant.depth,
        )  # fmt: skip
        narrow_grant(grant, terms, by=ada.ref, now=clock.now())
    sequencer.run_once()
    whole = browser_of(ben).get(path("", grant))
    assert whole.context["history"].since_at is None
    assert "may be missing here" not in whole.text
    monkeypatch.setattr(grant_history, "PAGES_MAX", 1)
    monkeypatch.setattr(read, "PAGE_MAX", 2)
    cut = browser_of(ben).get(path("", grant))
    assert [told.title for told in cut.context["history"].told] == ["Narrowed a permission"] * 2
    assert "entries may be missing here" in cut.text
    assert cut.text.count(f'href="{reverse("audit:list")}?agent=') == 2
    hers = browser_of(ada).get(path("", grant)).text
    assert "ask an auditor" in hers
    assert reverse("audit:list") not in hers


def test_whose_grant_ended_hears_of_it(
    ada: User, courier: Acting, pay: Resource, heard: list[str], django_capture_on_commit_callbacks: Run
) -> None:
    cy = someone("Cy", "approver")
    grant = give(courier, pay, from_person=cy)
    with django_capture_on_commit_callbacks(execute=True):
        revoke_grant(grant, by=BY, now=clock.now())
    assert {cy.ref, ada.ref} <= set(heard)


def test_whose_tokens_ended_hears_of_it(
    ada: User, courier: Acting, pay: Resource, heard: list[str], django_capture_on_commit_callbacks: Run
) -> None:
    give(courier, pay)
    read_token(courier)
    heard.clear()
    with django_capture_on_commit_callbacks(execute=True):
        stopping.suspend_agent(courier.agent, reason="odd", by=BY, now=clock.now())
    assert ada.ref in heard


def test_a_narrower_grant_that_ends_nothing_does_not_say_that_all_ends(
    ada: User, courier: Acting, pay: Resource
) -> None:
    grant = give(courier, pay)
    page = browser_of(ada).get(path("narrow", grant), narrower(grant)).text
    assert "nothing ends now" in page
    assert "nothing new can be had by it" not in page
    assert "nothing new can be had by it" in browser_of(ada).get(path("revoke", grant)).text
