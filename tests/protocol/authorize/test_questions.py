"""The authorization endpoint: whom it asks, whom it sends away, and where to. Spec: RFC 6749 §4.1, RFC 9126 §4, RFC 9207."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.test import Client

from aims.authorization.models import Application, AuthorizationCode, DelegationGrant, PushedRequest
from aims.authorization.services import agents as stopping
from aims.identifier.models import Resource
from aims.kit import clock
from aims.people.models import Passkey, User
from aims.policy.services import load_policy
from tests.support.cast import Acting, browser_of, someone
from tests.support.desk import BACK, CHALLENGE, Desk, desk, payment, signed_in, sit_down, went
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db


@pytest.fixture
def at(courier: Acting, ada: User) -> Desk:
    return desk(courier, ada)


@pytest.fixture
def public(at: Desk) -> Desk:
    """Courier as a client without a key, as the SDK of MCP is."""
    Application.objects.update(token_endpoint_auth_method="none", client_type="public")
    return at


def brought(at: Desk, *, http: Client | None = None, **changed: Any) -> Any:
    """Let a browser come with the whole request in its address."""
    return (http or at.ada.http).get("/oauth/authorize?" + urlencode(at.form(**changed), doseq=True))


@pytest.mark.spec("RFC 9207", "2", "a code comes with state and the issuer")
def test_a_person_agrees_and_the_browser_takes_the_code_along(at: Desk) -> None:
    reference = at.pushed()
    page = at.opens(reference)
    assert page.status_code == 200
    for words in ("Courier", "client.example", "Read accounts", "Ada", "Deny"):
        assert words in page.content.decode()
    answer = went(at.answers(reference))
    assert answer.keys() == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("a state", settings.ISSUER)
    code = AuthorizationCode.objects.get()
    assert code.grant is not None
    assert (code.scope, code.redirect_uri, code.code_challenge) == ("accounts.read", BACK, CHALLENGE)
    assert code.expires <= clock.now() + timedelta(seconds=60)


@pytest.mark.spec("RFC 9207", "2", "an error comes with state and the issuer too")
def test_a_person_says_no(at: Desk) -> None:
    reference = at.pushed()
    answer = went(at.answers(reference, decision="deny"))
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "a state", settings.ISSUER)
    assert not AuthorizationCode.objects.exists()
    assert not DelegationGrant.objects.exists()
    assert at.answers(reference).status_code == 400


@pytest.mark.spec("RFC 9126", "4", "a reference is used once")
def test_a_question_is_answered_once_and_may_be_reloaded_until_then(at: Desk) -> None:
    reference = at.pushed()
    assert [at.opens(reference).status_code for _ in range(2)] == [200, 200]
    went(at.answers(reference))
    assert at.opens(reference).status_code == 400
    assert at.answers(reference).status_code == 400
    assert AuthorizationCode.objects.count() == DelegationGrant.objects.count() == 1


@pytest.mark.spec("RFC 9126", "4", "beside a request_uri every other parameter is ignored")
def test_the_address_changes_nothing_about_a_pushed_request(at: Desk) -> None:
    reference = at.pushed()
    page = at.opens(reference, redirect_uri="https://evil.example/", scope="drafts.write", state="other")
    assert page.status_code == 200
    assert "drafts" not in page.content.decode()
    assert went(at.answers(reference))["state"] == "a state"


@pytest.mark.spec("RFC 6749", "4.1.2.1", "never redirected where client or redirect URI is not certain")
@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": None},
        {"client_id": "spiffe://acme.example/agent/ghost"},
        {"client_id": "https://client.example/\0"},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": BACK + "#fragment"},
        {"redirect_uri": [BACK, "https://evil.example/"]},
        {"scope": ["accounts.read", "drafts.write"]},
    ],
)
def test_a_browser_stays_here_where_it_is_not_certain_where_to_go(public: Desk, changed: dict[str, Any]) -> None:
    answer = brought(public, **changed)
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    assert "Refresh" not in answer.headers
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.spec("RFC 9126", "4", "who has a key pushes its request")
def test_an_agent_with_a_key_can_not_bring_its_request_in_the_address(at: Desk) -> None:
    answer = brought(at)
    assert answer.status_code == 303
    assert (went(answer)["error"], went(answer)["iss"]) == ("invalid_request", settings.ISSUER)


@pytest.mark.spec("RFC 6749", "4.1.1", "a public client brings its request in the address")
def test_a_client_without_a_key_brings_its_request_in_the_address(public: Desk) -> None:
    answer = brought(public)
    assert answer.status_code == 303
    assert PushedRequest.objects.get().is_pushed is False
    assert public.ada.http.get(answer["Location"]).status_code == 200
    reference = answer["Location"].partition("request_uri=")[2].replace("%3A", ":")
    assert "code" in went(public.answers(reference))


@pytest.mark.spec("RFC 6749", "4.1.2.1", "an error of the request goes to the client")
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"scope": "no.such"}, "invalid_scope"),
        ({"resource": "https://elsewhere.example/"}, "invalid_target"),
        ({"authorization_details": "[]"}, "invalid_authorization_details"),
        ({"prompt": "none"}, "login_required"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_to_its_client(public: Desk, changed: dict[str, Any], code: str) -> None:
    answer = brought(public, http=browser_of(None), **changed)
    assert answer.status_code == 303
    assert (went(answer)["error"], went(answer)["iss"], went(answer)["state"]) == (code, settings.ISSUER, "a state")
    assert not PushedRequest.objects.exists()


def test_a_stranger_signs_in_first_and_comes_back(at: Desk, request: pytest.FixtureRequest) -> None:
    pushed = at.opens(at.pushed(), http=browser_of(None))
    public: Desk = request.getfixturevalue("public")
    for answer in (pushed, brought(public, http=browser_of(None))):
        assert answer.status_code == 303
        assert answer["Location"].startswith("/sign-in/?next=%2Foauth%2Fauthorize%3F")


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1", "a request may come by POST")
def test_a_request_by_post_is_read_as_one_by_get(public: Desk) -> None:
    body = urlencode(public.form())
    answer = browser_of(None).post("/oauth/authorize", body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 303
    assert answer["Location"].startswith("/oauth/authorize?")


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.6", "prompt=none: login, consent or interaction is required")
def test_where_nobody_may_be_asked_the_client_is_told_what_it_takes(at: Desk) -> None:
    reference = at.pushed(prompt="none")
    assert went(at.opens(reference, http=browser_of(None)))["error"] == "login_required"
    assert went(at.opens(at.pushed(prompt="none")))["error"] == "consent_required"
    assert went(at.opens(at.pushed(prompt="none", scope="drafts.write")))["error"] == "interaction_required"
    assert went(at.opens(at.pushed(prompt="none", login_hint="ben@acme.example")))["error"] == "login_required"
    assert not PushedRequest.objects.exists()


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1", "max_age and prompt=login: the person signs in afresh")
@pytest.mark.parametrize("changed", [{"prompt": "login"}, {"max_age": "60"}, {"prompt": "select_account"}])
def test_an_old_sign_in_is_made_anew(at: Desk, changed: dict[str, str]) -> None:
    old = signed_in(at.ada.person, at.ada.key, at=clock.now() - timedelta(hours=1))
    reference = at.pushed(**changed)
    answer = at.opens(reference, http=old)
    assert answer.status_code == 303
    assert answer["Location"].startswith("/sign-in/?next=")
    assert answer["Location"].endswith("&again=1")
    assert old.get(answer["Location"]).status_code == 200  # asked although signed in
    assert at.opens(reference, http=signed_in(at.ada.person, at.ada.key)).status_code == 200


@pytest.mark.spec("RFC 9470", "5", "acr_values that can't be met: unmet_authentication_requirements")
def test_a_sign_in_of_the_wanted_kind_or_none(at: Desk) -> None:
    assert at.opens(at.pushed(acr_values="phr")).status_code == 200
    Passkey.objects.update(is_backup_eligible=True)
    reference = at.pushed(acr_values="phrh")
    assert at.opens(reference)["Location"].endswith("&again=1")  # perhaps another key
    again = signed_in(at.ada.person, at.ada.key)
    assert went(at.opens(reference, http=again))["error"] == "unmet_authentication_requirements"
    assert went(at.opens(at.pushed(acr_values="phrh", prompt="none")))["error"] == "unmet_authentication_requirements"


@pytest.mark.spec("RFC 9396", "3", "each object of authorization_details stands before the person")
def test_a_payment_is_shown_as_its_card_says_it(at: Desk) -> None:
    at.asked = {"scope": "accounts.read"}
    page = at.opens(at.pushed(authorization_details=payment("4200.00"))).content.decode()
    assert "Pay 4,200.00 EUR to Acme" in page
    assert "DE02 1001 0010 9307 1186 03" in page
    assert "EUR in all" in page
    assert "Agree, then sign" in page


def test_nobody_frames_the_question_keeps_it_or_hears_where_it_came_from(at: Desk) -> None:
    answer = at.opens(at.pushed())
    policy = answer["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert (answer["X-Frame-Options"], answer["Cache-Control"]) == ("DENY", "no-store")
    assert answer["Referrer-Policy"] == "same-origin"  # no-referrer would make the form's Origin null


def test_a_form_without_its_token_answers_nothing(at: Desk) -> None:
    reference, strict = at.pushed(), Client(enforce_csrf_checks=True, headers={"host": "localhost:8000"})
    strict.cookies = at.ada.http.cookies
    assert at.answers(reference, http=strict).status_code == 403
    assert PushedRequest.objects.exists()


def test_an_agent_that_is_stopped_in_the_middle_gets_nothing(at: Desk) -> None:
    reference = at.pushed()
    assert at.opens(reference).status_code == 200
    stopping.suspend_agent(at.courier.agent, reason="It stole.", by=BY, now=clock.now())
    for answer in (at.opens(reference), at.answers(reference)):
        assert answer.status_code == 403
        assert "stopped" in answer.content.decode()
    assert not AuthorizationCode.objects.exists()


def test_a_resource_that_is_retired_in_the_middle_is_no_target(at: Desk) -> None:
    reference = at.pushed()
    Resource.objects.update(retired_at=clock.now())
    assert went(at.answers(reference))["error"] == "invalid_target"
    assert not DelegationGrant.objects.exists()


def test_who_is_no_approver_lets_no_agent_act(at: Desk, cy: User) -> None:
    sitting = sit_down(cy)
    answer = went(at.opens(at.pushed(), http=sitting.http))
    assert answer["error"] == "access_denied"


def test_who_was_deactivated_meanwhile_is_nobody(at: Desk) -> None:
    reference = at.pushed()
    User.objects.filter(pk=at.ada.person.pk).update(is_active=False)
    assert at.answers(reference).headers["Location"].startswith("/sign-in/")
    assert not AuthorizationCode.objects.exists()


def test_what_the_policy_forbids_is_not_asked(at: Desk) -> None:
    load_policy('@id("no") forbid (principal, action, resource);', by=BY, now=clock.now())
    answer = at.opens(at.pushed())
    assert answer.status_code == 303
    assert went(answer)["error"] == "access_denied"
    assert not PushedRequest.objects.exists()


@pytest.mark.spec("OpenID Connect Core 1.0", "3.1.2.1", "a sign-in alone is agreed to as well")
def test_a_sign_in_alone_gives_no_grant(at: Desk) -> None:
    at.asked = {"scope": "openid", "resource": None}
    reference = at.pushed(nonce="n")
    assert "know who you are" in at.opens(reference).content.decode()
    assert "code" in went(at.answers(reference))
    assert AuthorizationCode.objects.get().nonce == "n"
    assert not DelegationGrant.objects.exists()


def test_someone_elses_browser_can_not_go_on_with_a_question(at: Desk) -> None:
    other = sit_down(someone("Bo", "approver"))
    at.asked = {"scope": "drafts.write"}
    reference = at.pushed()
    asked = at.answers(reference)["Location"].removeprefix("/inbox/").strip("/")
    assert at.opens(reference, http=other.http).status_code == 400
    assert other.http.get(f"/oauth/authorize/go-on/{asked}/").status_code == 400
