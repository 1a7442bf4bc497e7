"""What stands on the page of a question: what it may do, what it may do already, for how long, and two answers."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from aims.authorization.models import DelegationGrant
from aims.authorization.services.grants import GiveGrant, give_grant
from aims.identifier.models import Resource
from aims.kit import clock
from aims.people.models import User
from tests.support.cast import Acting, someone
from tests.support.desk import Desk, desk, payment, went
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db
HOUR_S, DAY_S = 3600, 86_400


@pytest.fixture
def at(courier: Acting, ada: User) -> Desk:
    return desk(courier, ada)


def give(at: Desk, person: User, **changed: object) -> DelegationGrant:
    """Give Courier something that it does not ask for here, so that the question is asked all the same."""
    terms: dict[str, Any] = {"from_person": person, "agent": at.courier.agent, "resource": Resource.objects.get()}
    terms |= {"actions": ("drafts.write",), "detail_types": (), "until_at": clock.now() + timedelta(days=2)} | changed
    return give_grant(GiveGrant(**terms), by=BY, now=clock.now())


@pytest.mark.parametrize(("scope", "span_s"), [("accounts.read", HOUR_S), ("accounts.read offline_access", DAY_S)])
def test_the_shortest_time_that_makes_sense_is_chosen_at_first(at: Desk, scope: str, span_s: int) -> None:
    page = at.opens(at.pushed(scope=scope)).text
    (checked,) = re.findall(r'<input type="radio"[^>]*value="(\d+)"[^>]*checked', page)
    assert int(checked) == span_s


def test_who_chooses_no_time_gives_the_shortest(at: Desk) -> None:
    went(at.answers(at.pushed(), span=""))
    assert DelegationGrant.objects.get().until_at <= clock.now() + timedelta(seconds=HOUR_S)


def test_a_rate_an_hour_can_be_set(at: Desk) -> None:
    reference = at.pushed()
    assert "Times an hour" in at.opens(reference).text
    assert at.answers(reference, per_hour="0").status_code == 422
    went(at.answers(reference, per_hour="7"))
    assert DelegationGrant.objects.get().budget == {"per_hour": 7}


def test_what_was_allowed_before_stands_on_the_page_with_its_way_out(at: Desk) -> None:
    held = [give(at, at.ada.person, starts_at=starts) for starts in (None, clock.now() + timedelta(days=1))]
    page = at.opens(at.pushed()).text
    assert "What you allowed it there before" in page
    assert all(reverse("grant", args=[grant.ref]) in page for grant in held)
    assert "Write drafts" in page


def test_what_others_gave_and_what_has_ended_does_not(at: Desk) -> None:
    ended = give(at, at.ada.person)
    DelegationGrant.objects.filter(pk=ended.pk).update(revoked_at=clock.now())
    give(at, someone("Olga", "approver"))
    assert "What you allowed it there before" not in at.opens(at.pushed()).text


def test_more_than_a_handful_is_counted(at: Desk) -> None:
    for _grant in range(7):
        give(at, at.ada.person)
    page = at.opens(at.pushed()).text
    assert page.count('href="/grants/grt_') == 5
    assert "and 2 more" in page


def test_a_second_yes_is_a_grant_beside_the_first(at: Desk) -> None:
    for _time in range(2):
        went(at.answers(at.pushed(prompt="consent")))
    assert DelegationGrant.objects.filter(revoked_at=None).count() == 2


@pytest.mark.parametrize("asked", [{}, {"scope": None, "authorization_details": payment()}])
def test_the_yes_waits_until_all_was_read_and_needs_no_script(at: Desk, asked: dict[str, str]) -> None:
    page = at.opens(at.pushed(**asked)).text
    sheet = page[page.index("<read-to-end") : page.index("</read-to-end>")]
    bar = sheet[sheet.index('<div class="bar">') :]
    yes = re.findall(r'<button[^>]*value="agree"[^>]*>', re.sub(r"(?s)<noscript>.*?</noscript>", "", bar))
    assert len(yes) == 1 and 'data-when="read"' in yes[0]
    assert re.search(r'<button[^>]*data-when="unread" disabled>', bar)
    assert re.search(r'<noscript><button[^>]*value="agree"', bar)
    assert 'value="agree"' not in page.replace(bar, "")
    assert "read-to-end" in re.findall(r'<script type="module" src="([^"]*)"', page)[-1]


def test_a_key_pressed_in_a_field_answers_nothing(at: Desk) -> None:
    """The first button of a form is what Enter presses (HTML §4.10.22.2); one that is disabled does nothing."""
    page = at.opens(at.pushed()).text
    form = page[page.index('action="/oauth/authorize/decide"') :]
    assert re.findall(r"<button[^>]*>", form)[0] == "<button disabled hidden>"
