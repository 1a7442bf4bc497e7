"""What a person's yes is: a grant of exactly that, a code on it, or a decision to be signed first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from aims.authorization.models import (
    ApprovalRequest,
    AuthorizationCode,
    Consent,
    DelegationGrant,
    PushedRequest,
)
from aims.authorization.services.requests import cancel
from aims.kit import clock
from aims.people.models import User
from aims.policy.services import load_policy
from tests.support.cast import Acting, someone
from tests.support.desk import Desk, desk, payment, signed_in, sit_down, went
from tests.support.oauth_client import BY
from tests.support.racing import at_once
from tests.unit.approvals.stage import entries

pytestmark = pytest.mark.django_db
GO_ON = "/oauth/authorize/go-on/"


@pytest.fixture
def at(courier: Acting, ada: User) -> Desk:
    return desk(courier, ada)


def signs(at: Desk, **form: Any) -> ApprovalRequest:
    """Agree to something that has to be signed; return what waits for the signature."""
    reference = at.pushed()
    answer = at.answers(reference, **form)
    asked = ApprovalRequest.objects.get()
    assert answer.headers["Location"] == f"/inbox/{asked.ref}/"
    assert not AuthorizationCode.objects.exists()
    return asked


def test_a_yes_is_a_grant_of_exactly_what_was_left_ticked(at: Desk) -> None:
    at.asked = {"scope": "accounts.read offline_access openid"}
    reference = at.pushed()
    went(at.answers(reference, scope=["accounts.read", "openid"], span="3600", count="5", per_day="2"))
    grant = DelegationGrant.objects.get()
    assert (grant.actions, grant.detail_types, grant.depth) == (["accounts.read"], [], 0)
    assert grant.budget == {"count": 5, "per_day": 2}
    assert grant.from_person == at.ada.person
    assert grant.given_by == at.ada.person.ref
    assert timedelta(minutes=59) < grant.until_at - clock.now() <= timedelta(hours=1)
    assert AuthorizationCode.objects.get().scope == "accounts.read openid"
    assert entries("authorization.consent.agreed")[0]["data"]["is_narrowed"] is True


@pytest.mark.parametrize(
    "form",
    [{"scope": []}, {"scope": ["offline_access"]}, {"count": "0"}, {"count": "many"}, {"span": "999999999"},
     {"scope": ["drafts.write"]}, {"detail": ["0"]}],
)  # fmt: skip
def test_a_form_that_leaves_nothing_or_wants_more_agrees_to_nothing(at: Desk, form: dict[str, Any]) -> None:
    at.asked = {"scope": "accounts.read offline_access"}
    reference = at.pushed()
    assert at.answers(reference, **form).status_code == 422
    assert not DelegationGrant.objects.exists()
    assert PushedRequest.objects.exists()


def test_who_agreed_before_is_not_asked_the_same_again(at: Desk) -> None:
    went(at.answers(at.pushed()))
    again = at.opens(at.pushed())
    assert again.status_code == 303
    assert "code" in went(again)
    assert "code" in went(at.opens(at.pushed(prompt="none")))
    assert DelegationGrant.objects.count() == 1
    assert AuthorizationCode.objects.count() == 3
    assert [entry["data"]["is_remembered"] for entry in entries("authorization.consent.agreed")] == [False, True, True]


@pytest.mark.parametrize("changed", [{"prompt": "consent"}, {"scope": "accounts.read openid"}, {"max_age": "0"}])
def test_who_is_asked_for_more_or_to_be_asked_is_asked(at: Desk, changed: dict[str, str]) -> None:
    went(at.answers(at.pushed()))
    answer = at.opens(at.pushed(**changed))
    assert answer.status_code == 200 or answer["Location"].startswith("/sign-in/")


def test_a_yes_that_was_taken_back_is_forgotten(at: Desk) -> None:
    went(at.answers(at.pushed()))
    DelegationGrant.objects.update(revoked_at=clock.now())
    assert at.opens(at.pushed()).status_code == 200


def test_details_count_only_as_they_were_read(at: Desk) -> None:
    load_policy('@id("all") permit (principal, action, resource);', by=BY, now=clock.now())
    at.asked = {"scope": None, "authorization_details": payment("10.00")}
    went(at.answers(at.pushed(), scope=[], detail=["0"]))
    assert Consent.objects.get().details[0]["instructedAmount"]["amount"] == "10.00"
    assert at.opens(at.pushed(authorization_details=payment("5.00"))).status_code == 303
    assert at.opens(at.pushed(authorization_details=payment("11.00"))).status_code == 200


def test_what_can_not_be_undone_is_signed_before_there_is_a_code(at: Desk) -> None:
    at.asked = {"scope": "accounts.read", "authorization_details": payment()}
    asked = signs(at, detail=["0"])
    assert (asked.door, asked.subject, asked.reversibility) == ("authorize", at.ada.person, "irreversible")
    assert not DelegationGrant.objects.exists()
    going = at.ada.approve(asked).json()["next"]
    assert going == f"{GO_ON}{asked.ref}/"
    assert "code" in went(at.ada.http.get(going))
    code, grant = AuthorizationCode.objects.get(), DelegationGrant.objects.get()
    assert (code.request, code.grant, grant.approval) == (asked, grant, asked)
    assert at.ada.http.get(going).status_code == 400


@pytest.mark.spec("RFC 6750", "3.1", "a scope that was insufficient is asked for by name: more than reading is signed")
def test_scope_alone_is_signed_even_where_policy_would_allow_it(at: Desk) -> None:
    load_policy('@id("all") permit (principal, action, resource);', by=BY, now=clock.now())
    at.asked = {"scope": "drafts.write"}
    asked = signs(at)
    page = at.ada.http.get(f"/inbox/{asked.ref}/").content.decode()
    assert "Allow Write drafts at Pay" in page
    assert "in whatever way the agent chooses" in page
    assert asked.required == 1


def test_what_is_signed_says_for_how_long_and_how_often(at: Desk) -> None:
    at.asked = {"scope": "drafts.write"}
    asked = signs(at, span="3600", count="3")
    page = at.ada.http.get(f"/inbox/{asked.ref}/").content.decode()
    assert "3 times in all" in page
    assert "It may ask for this until" in page
    at.ada.approve(asked)
    went(at.ada.http.get(f"{GO_ON}{asked.ref}/"))
    assert DelegationGrant.objects.get().budget == {"count": 3}


def test_a_signed_no_ends_it(at: Desk) -> None:
    at.asked = {"scope": "drafts.write"}
    asked = signs(at)
    answer = at.ada.http.post(f"/inbox/{asked.ref}/deny/")
    assert answer["Location"] == f"{GO_ON}{asked.ref}/"
    assert went(at.ada.http.get(answer["Location"]))["error"] == "access_denied"
    assert not DelegationGrant.objects.exists()
    assert entries("authorization.consent.refused")[0]["data"]["request"] == asked.ref


def test_a_request_that_was_withdrawn_is_no_yes(at: Desk) -> None:
    at.asked = {"scope": "drafts.write"}
    asked = signs(at)
    assert at.ada.http.get(f"{GO_ON}{asked.ref}/").status_code == 200  # it waits
    cancel(asked, by=BY, reason="client", now=clock.now())
    assert went(at.ada.http.get(f"{GO_ON}{asked.ref}/"))["error"] == "access_denied"


def test_who_signs_on_another_device_does_not_carry_the_code_away(at: Desk) -> None:
    at.asked = {"scope": "drafts.write"}
    asked = signs(at)
    desk_browser, at.ada.http = at.ada.http, signed_in(at.ada.person, at.ada.key)
    assert at.ada.approve(asked).json()["next"] == f"/inbox/{asked.ref}/"
    assert at.ada.http.get(f"{GO_ON}{asked.ref}/").status_code == 400
    assert "Go on" in desk_browser.get(f"/inbox/{asked.ref}/").content.decode()
    assert "code" in went(desk_browser.get(f"{GO_ON}{asked.ref}/"))


def test_who_does_not_decide_waits_for_those_who_do(at: Desk) -> None:
    owner = someone("Olga", "approver", "owner")
    at.courier.agent.owner = owner
    at.courier.agent.save(update_fields=["owner"])
    load_policy('@id("o") @ask("owner") permit (principal, action, resource);', by=BY, now=clock.now())
    olga = sit_down(owner)
    answer = at.answers(at.pushed())
    asked = ApprovalRequest.objects.get()
    going = f"{GO_ON}{asked.ref}/"
    assert answer["Location"] == going
    assert "Others decide" in at.ada.http.get(going).content.decode()
    assert "Take it back" in at.ada.http.get(going).content.decode()
    assert "not yours alone" in at.ada.http.get(f"{going}part/").content.decode()
    assert olga.approve(asked).json()["next"] == f"/inbox/{asked.ref}/"
    assert "Go on" in at.ada.http.get(f"{going}part/").content.decode()
    assert "code" in went(at.ada.http.get(going))


def test_who_waits_may_take_it_back(at: Desk) -> None:
    at.asked = {"scope": "drafts.write"}
    asked = signs(at)
    assert went(at.ada.http.post(f"{GO_ON}{asked.ref}/withdraw/"))["error"] == "access_denied"
    asked.refresh_from_db()
    assert asked.state == "cancelled"


@pytest.mark.django_db(transaction=True)
@pytest.mark.spec("RFC 9126", "4", "two answers to one pushed request at once give one code")
def test_two_clicks_give_one_code(at: Desk) -> None:
    reference = at.pushed()
    others = [signed_in(at.ada.person, at.ada.key) for _ in range(2)]
    connection.close()
    answers = at_once(*(lambda http=http: at.answers(reference, http=http) for http in others))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    assert AuthorizationCode.objects.count() == DelegationGrant.objects.count() == 1
