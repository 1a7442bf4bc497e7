"""Trusting another domain's server by page and by file: the same verb, and what is wrong is said where it is."""

from __future__ import annotations

import json
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
from django.urls import reverse
from joserfc.jwk import ECKey
from ruamel.yaml import YAML

from aims.authorization.models import AccessToken, ForeignServer
from aims.console.configuration.change import Applying
from aims.console.configuration.document import ConfigurationRefused
from aims.console.configuration.run import apply
from aims.credentials.queries import registered_keys_of
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.kit.ids import digest
from aims.people.models import User
from tests.support.cast import Acting, browser_of
from tests.support.oauth_client import BY, PAY

pytestmark = pytest.mark.django_db
ISSUER = "https://login.partner.example"


def jwks() -> dict[str, Any]:
    return {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}


def a_form(ada: User, courier: Acting, **changed: Any) -> dict[str, Any]:
    return {
        "issuer": ISSUER,
        "name": "Partner",
        "accepts": ["chaining", "id-jag"],
        "receives": ["chaining"],
        "scopes": "accounts.read accounts.list",
        "subjects": f"ada at there {ada.email}\n",
        "clients": f"courier-there {courier.agent.identifier}",
        "jwks": json.dumps(jwks()),
    } | changed


def a_token(courier: Acting, jti: str, **terms: Any) -> AccessToken:
    base: dict[str, Any] = {"audience": PAY, "expires": clock.now() + timedelta(minutes=5), "issued_at": clock.now()}
    row = AccessToken(agent=courier.agent, jti=jti, token_checksum=digest(jti), **(base | terms))
    row.save(force_insert=True)
    return row


def test_a_server_is_trusted_changed_and_retired(adm: User, ada: User, courier: Acting) -> None:
    browser, path = browser_of(adm), reverse("trust")
    assert "Partner is trusted in this way." in browser.post(path, a_form(ada, courier), follow=True).text
    server = ForeignServer.objects.get()
    assert (server.accepts, server.scopes) == (["chaining", "id-jag"], ["accounts.list", "accounts.read"])
    assert server.subjects.get().subject == "ada at there"
    assert len(registered_keys_of(server.ref)) == 1
    edit = reverse("trust-edit", args=[server.ref])
    shown = browser.get(edit).context["form"]
    assert (shown["subjects"].value(), shown["clients"].value()) == (
        f"ada at there {ada.email}",
        f"courier-there {courier.agent.identifier}",
    )
    less = a_form(ada, courier, accepts=["chaining"], issuer="https://other.example", subjects="")
    assert "Saved." in browser.post(edit, less, follow=True).text
    server.refresh_from_db()
    assert (server.issuer, server.accepts, server.subjects.count()) == (ISSUER, ["chaining"], 0)
    assert "No token stands on its word now." in browser.get(path).text
    assert "trusted no more" in browser.post(reverse("trust-retire", args=[server.ref]), follow=True).text
    assert browser.get(edit).status_code == 404
    assert browser.post(path, a_form(ada, courier)).context["form"].errors


def test_who_retires_a_server_is_told_what_ends_with_it(adm: User, ada: User, courier: Acting) -> None:
    browser, path, now = browser_of(adm), reverse("trust"), clock.now()
    browser.post(path, a_form(ada, courier))
    server = ForeignServer.objects.get()
    top = a_token(courier, "tok_top", foreign=server)
    a_token(courier, "tok_below", parent=top, root_ref="tok_top")
    a_token(courier, "tok_said", kind="id-jag", audience=ISSUER)
    a_token(courier, "tok_over", foreign=server, expires=now)
    a_token(courier, "tok_else")
    told = "3 tokens that stand on its word end at once"
    assert told in browser.get(path).text
    question = reverse("trust-retire", args=[server.ref])
    assert told in browser.get(question).text
    browser.post(question)
    assert set(AccessToken.of_every_kind.filter(revoked_at=None).values_list("jti", flat=True)) == {
        "tok_over",
        "tok_else",
    }


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"issuer": "http://partner.example"}, "issuer"),
        ({"name": ""}, "name"),
        ({"accepts": ["everything"]}, "accepts"),
        ({"subjects": "nobody nobody@acme.example"}, "subjects"),
        ({"subjects": "one"}, "__all__"),
        ({"clients": "x spiffe://acme.example/none"}, "clients"),
        ({"jwks": "{"}, "jwks"),
        ({"jwks_uri": "http://10.0.0.1/"}, "jwks_uri"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_trusted(
    adm: User, ada: User, courier: Acting, changed: dict[str, Any], field: str
) -> None:
    page = browser_of(adm).post(reverse("trust"), a_form(ada, courier, **changed))
    assert (page.status_code, field in page.context["form"].errors) == (422, True), page.context["form"].errors
    assert not ForeignServer.objects.exists()


def test_only_admins_trust(ada: User, ben: User, courier: Acting) -> None:
    for person in (ada, ben):
        assert browser_of(person).post(reverse("trust"), a_form(ada, courier)).status_code == 403
    assert not ForeignServer.objects.exists()


def applied(item: dict[str, Any]) -> list[str]:
    stream = BytesIO()
    YAML().dump({"trusted_servers": [item]}, stream)
    return [str(change) for change in apply(stream.getvalue(), Applying(by=BY, now=clock.now()))]


def test_a_file_trusts_changes_and_retires(ada: User, courier: Acting) -> None:
    item: dict[str, Any] = {
        "issuer": ISSUER,
        "name": "Partner",
        "accepts": ["id-jag"],
        "scopes": ["accounts.read"],
        "subjects": [{"subject": "ada@there", "person": ada.email}],
        "clients": [{"client_id": "courier-there", "agent": courier.agent.identifier}],
        "jwks": jwks(),
    }
    assert applied(item) == [f"+ trusted server {ISSUER}"]
    assert applied(item) == []
    assert applied({"issuer": ISSUER, "name": "Partner"}) == []
    assert applied(item | {"subjects": []}) == [f"~ trusted server {ISSUER}: subjects"]
    assert applied({"issuer": ISSUER, "name": "P", "state": "retired"})[-1] == f"- trusted server {ISSUER}: retired"
    assert applied({"issuer": ISSUER, "name": "P", "state": "retired"}) == []


@pytest.mark.parametrize(
    "changed",
    [
        {"accepts": ["x"]},
        {"subjects": [{"subject": "a", "person": "nobody@acme.example"}]},
        {"clients": [{"client_id": "a", "agent": "spiffe://acme.example/none"}]},
        {"jwks": {"keys": []}, "jwks_uri": "https://x.example"},
        {"issuer": "http://partner.example"},
    ],
)
def test_a_file_that_is_wrong_changes_nothing(changed: dict[str, Any]) -> None:
    with pytest.raises((AimsError, ConfigurationRefused)):
        applied({"issuer": ISSUER, "name": "P"} | changed)
    assert not ForeignServer.objects.exists()
