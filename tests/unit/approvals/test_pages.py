"""The inbox as Ada, Ben, Cy and the admin see it."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from aims.authorization.models import AccessToken, ApprovalRequest
from aims.authorization.services import requests
from aims.kit import clock
from aims.kit.ids import b64url
from aims.people.models import Passkey, User
from aims.policy import queries as policies
from aims.policy.models import PolicyVersion
from approvals.models import Decision, PreparedContext, Receipt
from tests.unit.approvals import stage as stages
from tests.unit.approvals.stage import Stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def stage() -> Stage:
    return stages.build()


def browser(person: User) -> Client:
    """Return a browser in which this person is signed in. CSRF is enforced, as in a real one."""
    client = Client(enforce_csrf_checks=True, headers={"host": "localhost"})
    client.force_login(person, backend="aims.people.backend.PasskeyBackend")
    return client


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.content[:400]
    return answer.content.decode()


def token_of(html: str) -> str:
    return html.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]


def post(client: Client, path: str, token: str, body: Any = None) -> Any:
    headers = {"X-CSRFToken": token}
    if body is None:
        return client.post(path, headers=headers)
    return client.post(path, data=body, content_type="application/json", headers=headers)


# -- who sees what -----------------------------------------------------------------------------------------


def test_a_policy_that_says_nothing_is_named_by_its_id(stage: Stage) -> None:
    request = stage.open()
    version, hash_ = request.policy_version, PolicyVersion.objects.get(number=request.policy_version).hash
    assert policies.words_of(version, hash_, ["not-of-this-version"]) == ["not-of-this-version"]
    assert policies.words_of(version, "another hash", ["within-a-grant"]) == ["within-a-grant"]


def test_an_empty_inbox_teaches(stage: Stage) -> None:
    assert "Nothing has been asked of you yet" in page(browser(stage.ada), "/inbox/")


def test_the_inbox_shows_the_most_urgent_card(stage: Stage) -> None:
    stage.open()
    html = page(browser(stage.ada), "/inbox/")
    assert "Pay 4,200.00 EUR to Nordwind GmbH" in html
    assert 'data-view="list"' in html


def test_a_hidden_character_in_the_list_is_spelt_out_once(stage: Stage) -> None:
    ApprovalRequest.objects.filter(pk=stage.open().pk).update(headline="Pay Nord\u202ewind")
    html = page(browser(stage.ada), "/inbox/part/")
    assert "U+202E" in html
    assert "U+27E8" not in html


def test_the_card_has_its_three_zones_and_the_bytes(stage: Stage) -> None:
    request = stage.open()
    html = page(browser(stage.ada), f"/inbox/{request.ref}/")
    assert "DE02 1203 0000 0000 2020 51" in html
    assert '<blockquote class="said">' in html
    assert "The due date is today." in html
    assert "What is hard or impossible to undo needs the yes of the person it is done for." in html
    assert f'href="/policies/{request.policy_version}/"' in html
    assert "Your passkey signs the statement above" in html
    assert request.request_hash in html
    assert "Not part of what you sign." in html


def test_deny_needs_no_script_and_approve_says_that_it_does(stage: Stage) -> None:
    request = stage.open()
    html = page(browser(stage.ada), f"/inbox/{request.ref}/")
    assert f'method="post" action="/inbox/{request.ref}/deny/"' in html
    assert "Approving needs a passkey, and a passkey needs JavaScript" in html
    assert "Read to the end" in html
    assert "autofocus" not in html


def test_hidden_characters_of_the_agent_are_never_raw(stage: Stage) -> None:
    request = stage.open(agent_says="pay\u202eevil <script>alert(1)</script>")
    html = page(browser(stage.ada), f"/inbox/{request.ref}/")
    assert "\u202e" not in html
    assert "<script>alert" not in html


@pytest.mark.parametrize("path", ["/inbox/{}/", "/inbox/{}/card/"])
def test_a_stranger_finds_no_request(stage: Stage, path: str) -> None:
    request = stage.open()
    cy = stages.person("Cy", "approver", since=clock.now() - timedelta(days=1))
    page(browser(cy), path.format(request.ref), status=404)


@pytest.mark.parametrize("role", ["auditor", "admin"])
def test_who_audits_reads_the_card_and_gets_no_buttons(stage: Stage, role: str) -> None:
    request = stage.open()
    reader = stages.person("Reader", role, since=clock.now() - timedelta(days=1))
    html = page(browser(reader), f"/inbox/{request.ref}/")
    assert "Not yours to decide" in html
    assert "data-decide" not in html
    assert not PreparedContext.objects.exists()


@pytest.mark.parametrize("path", ["/inbox/", "/inbox/apr_1/", "/receipts/rcp_1/"])
def test_nobody_gets_in_without_signing_in(client: Client, path: str) -> None:
    assert client.get(path, headers={"host": "localhost"}).headers["Location"].startswith("/sign-in/?next=")


def test_a_reload_prepares_nothing_new(stage: Stage) -> None:
    request, ada = stage.open(), browser(stage.ada)
    page(ada, f"/inbox/{request.ref}/")
    before = set(PreparedContext.objects.values_list("challenge", flat=True))
    page(ada, f"/inbox/{request.ref}/")
    assert set(PreparedContext.objects.values_list("challenge", flat=True)) == before


def test_without_a_usable_key_there_is_a_reason_and_still_a_no(stage: Stage) -> None:
    request = stage.open()
    Passkey.objects.update(usable_from_at=clock.now() + timedelta(hours=3))
    html = page(browser(stage.ada), f"/inbox/{request.ref}/")
    assert "None of your passkeys may approve this" in html
    assert 'data-decide="deny"' in html
    assert 'data-decide="approve"' not in html


def test_a_key_that_the_log_has_not_numbered_yet_is_not_asked_and_the_card_looks_again(stage: Stage) -> None:
    Passkey.objects.all().delete()
    stages.enrol(stage.ada, stage.authenticator, at=clock.now() - timedelta(hours=1), is_in_the_log=False)
    request, ada = stage.open(), browser(stage.ada)
    answer = ada.get(f"/inbox/{request.ref}/card/")
    html = answer.content.decode()
    assert "enrolment is not in the log yet" in html
    assert " is-settling" in html
    assert "yes-options" not in html
    assert 'data-decide="deny"' in html
    assert not PreparedContext.objects.exists()
    stages.number_what_waits()
    again = ada.get(f"/inbox/{request.ref}/card/", headers={"if-none-match": answer.headers["ETag"]})
    assert again.status_code == 200
    assert "yes-options" in again.content.decode()
    assert "is-settling" not in again.content.decode()


def test_a_second_key_joins_the_card_when_the_log_has_it(stage: Stage) -> None:
    second = stages.enrol(stage.ada, stage.authenticator, at=clock.now() - timedelta(hours=1), is_in_the_log=False)
    request, ada = stage.open(), browser(stage.ada)
    before = ada.get(f"/inbox/{request.ref}/card/")
    assert b64url(bytes(second.credential_id)) not in before.content.decode()
    stages.number_what_waits()
    after = ada.get(f"/inbox/{request.ref}/card/", headers={"if-none-match": before.headers["ETag"]})
    assert b64url(bytes(second.credential_id)) in after.content.decode()


# -- parts and their ETags ------------------------------------------------------------------------------------


def test_a_part_that_did_not_change_is_not_sent_again(stage: Stage) -> None:
    request, ada = stage.open(), browser(stage.ada)
    for path in ("/inbox/part/", f"/inbox/{request.ref}/card/"):
        first = ada.get(path)
        again = ada.get(path, headers={"if-none-match": first.headers["ETag"]})
        assert (first.status_code, again.status_code) == (200, 304)


def test_the_page_names_the_etag_of_its_card(stage: Stage) -> None:
    request, ada = stage.open(), browser(stage.ada)
    html = page(ada, f"/inbox/{request.ref}/")
    etag = ada.head(f"/inbox/{request.ref}/card/").headers["ETag"]
    assert f'etag="{etag.replace(chr(34), "&quot;")}"' in html


def test_a_decision_changes_the_etag(stage: Stage) -> None:
    request, ada = stage.open(), browser(stage.ada)
    before = ada.get(f"/inbox/{request.ref}/card/").headers["ETag"]
    requests.cancel(request, by=stage.agent.identifier, reason="client", now=clock.now())
    after = ada.get(f"/inbox/{request.ref}/card/", headers={"if-none-match": before})
    assert after.status_code == 200
    assert "Withdrawn" in after.content.decode()


# -- deciding ---------------------------------------------------------------------------------------------------


def signed(ada: Client, stage: Stage, path: str, name: str = "yes-options") -> tuple[str, bytes]:
    """Return the CSRF token of the card and the browser's answer to its options."""
    html = page(ada, path)
    options = html.split(f'{name}="')[1].split('"')[0].replace("&quot;", '"')
    return token_of(html), json.dumps(stage.authenticator.get(json.loads(options))).encode()


def test_ada_approves_on_the_page(stage: Stage) -> None:
    request, ada = stage.open(), browser(stage.ada)
    token, body = signed(ada, stage, f"/inbox/{request.ref}/")
    answer = post(ada, f"/inbox/{request.ref}/approve/", token, body)
    assert answer.json() == {"next": f"/inbox/{request.ref}/"}
    html = page(ada, f"/inbox/{request.ref}/")
    assert "Approved by you" in html
    assert f"/receipts/{Receipt.objects.get().ref}/" in html


def test_a_refusal_is_a_text_for_people(stage: Stage) -> None:
    request, ada = stage.open(), browser(stage.ada)
    token, body = signed(ada, stage, f"/inbox/{request.ref}/")
    PreparedContext.objects.all().delete()
    answer = post(ada, f"/inbox/{request.ref}/approve/", token, body)
    assert answer.status_code == 409
    assert answer.json()["code"] == "context_unknown"
    assert "Reload the page" in answer.json()["text"]


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_deciding_needs_the_csrf_token(stage: Stage, verb: str) -> None:
    request, ada = stage.open(), browser(stage.ada)
    _token, body = signed(ada, stage, f"/inbox/{request.ref}/")
    assert post(ada, f"/inbox/{request.ref}/{verb}/", "", body).status_code == 403
    assert not Decision.objects.exists()


def test_another_browser_of_the_same_person_cannot_send_the_answer(stage: Stage) -> None:
    request, ada, elsewhere = stage.open(), browser(stage.ada), browser(stage.ada)
    _token, body = signed(ada, stage, f"/inbox/{request.ref}/")
    token = token_of(page(elsewhere, f"/inbox/{request.ref}/"))
    assert post(elsewhere, f"/inbox/{request.ref}/approve/", token, body).status_code == 409
    assert not Decision.objects.exists()


def test_ada_denies_with_one_tap(stage: Stage) -> None:
    request, ada = stage.open(), browser(stage.ada)
    token = token_of(page(ada, f"/inbox/{request.ref}/"))
    answer = post(ada, f"/inbox/{request.ref}/deny/", token)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/inbox/{request.ref}/")
    assert "Denied by you" in page(ada, f"/inbox/{request.ref}/")


def test_ada_denies_with_a_signature(stage: Stage) -> None:
    request, ada = stage.open(), browser(stage.ada)
    token, body = signed(ada, stage, f"/inbox/{request.ref}/", "no-options")
    assert post(ada, f"/inbox/{request.ref}/deny/", token, body).status_code == 200
    assert Decision.objects.get().is_signed


@pytest.mark.parametrize("verb", ["approve", "deny"])
def test_looking_decides_nothing(stage: Stage, verb: str) -> None:
    request = stage.open()
    page(browser(stage.ada), f"/inbox/{request.ref}/{verb}/", status=405)


def test_an_expired_request_says_what_to_do_now(stage: Stage) -> None:
    request = stage.open(requested_expiry_s=5, now=clock.now() - timedelta(seconds=30))
    html = page(browser(stage.ada), f"/inbox/{request.ref}/")
    assert "Expired" in html
    assert "the agent has to ask again" in html
    assert "data-decide" not in html


# -- receipts ------------------------------------------------------------------------------------------------------


def test_ada_reads_and_downloads_the_receipt(stage: Stage) -> None:
    stage.approve(stage.open())
    receipt, ada = Receipt.objects.get(), browser(stage.ada)
    assert receipt.hash in page(ada, f"/receipts/{receipt.ref}/")
    answer = ada.get(f"/receipts/{receipt.ref}/file/")
    assert (answer.content.decode(), answer.headers["Content-Type"]) == (receipt.jws, "application/jwt")


def test_a_stranger_finds_no_receipt(stage: Stage) -> None:
    stage.approve(stage.open())
    cy = stages.person("Cy", "approver", since=clock.now() - timedelta(days=1))
    page(browser(cy), f"/receipts/{Receipt.objects.get().ref}/", status=404)
    page(browser(cy), f"/receipts/{Receipt.objects.get().ref}/file/", status=404)


def test_the_holder_of_the_token_fetches_its_receipt_and_no_other(stage: Stage, client: Client) -> None:
    request = stage.open()
    stage.approve(request)
    receipt = Receipt.objects.get()
    request.refresh_from_db()
    AccessToken.objects.create(
        token="the-token",
        token_checksum=hashlib.sha256(b"the-token").hexdigest(),
        request=request,
        agent=stage.agent,
        expires=clock.now(),
        jti="tok_1",
    )
    path = f"/receipts/{receipt.ref}"
    local = {"host": "localhost"}
    got = client.get(path, headers=local | {"authorization": "Bearer the-token"})
    assert (got.content.decode(), got.headers["Content-Type"]) == (receipt.jws, "application/jwt")
    assert client.get(path, headers=local).status_code == 401
    assert client.get(path, headers=local | {"authorization": "Bearer other"}).status_code == 401
    other = client.get("/receipts/rcp_other", headers=local | {"authorization": "Bearer the-token"})
    assert other.status_code == 401
