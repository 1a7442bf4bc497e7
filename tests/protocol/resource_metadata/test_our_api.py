"""Our own API as a protected resource, and what we write for others. RFC 9728, RFC 6750 §3."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from aims.authentication import dpop
from aims.console.management import SCOPES, audience
from aims.console.resource_metadata import told_by
from aims.credentials.services import set_jwks_uri
from aims.identifier.models import Resource
from aims.identifier.services import RegisterResource, register_resource
from aims.kit import clock
from tests.protocol.api.conftest import Desk, desk
from tests.support.dpop import Key
from tests.support.oauth_client import BY, PAY

__all__ = ["desk"]
pytestmark = pytest.mark.django_db
WHERE = "/.well-known/oauth-protected-resource/api/v1/"


def get(path: str, **extra: Any) -> Any:
    return Client(headers={"host": "localhost:8000"}).get(path, **extra)


@pytest.mark.spec("RFC 9728", "3.3", "resource is the identifier that the address was made from, to the letter")
def test_our_api_says_what_it_is() -> None:
    answer = get(WHERE)
    body = answer.json()
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert body["resource"] == audience() and body["authorization_servers"] == [settings.ISSUER]
    assert body["scopes_supported"] == [spec.name for spec in SCOPES]
    assert body["bearer_methods_supported"] == ["header"]
    assert body["dpop_signing_alg_values_supported"] == sorted(dpop.ALGORITHMS)
    assert body["tls_client_certificate_bound_access_tokens"] is True
    assert "dpop_bound_access_tokens_required" not in body  # a certificate or, where policy allows, nothing will do


@pytest.mark.spec("RFC 9728", "3", "nothing is answered for what is no resource of ours")
@pytest.mark.parametrize("path", ["", "/", "/api/v1", "/api/v2/", "/api/v1/agents/"])
def test_other_addresses_are_no_resource(path: str) -> None:
    assert get(f"/.well-known/oauth-protected-resource{path}").status_code == 404


@pytest.mark.spec("RFC 9728", "4", "the authorization server names its resource")
def test_the_two_documents_name_each_other() -> None:
    assert get("/.well-known/oauth-authorization-server").json()["protected_resources"] == [
        get(WHERE).json()["resource"]
    ]


@pytest.mark.spec("RFC 9728", "5.1", "a 401 leads to the metadata, with and without an error")
@pytest.mark.parametrize("token", ["", "nonsense"])
def test_a_challenge_leads_to_the_metadata(desk: Desk, token: str) -> None:
    challenge = desk.get("agents/", token=token)["WWW-Authenticate"]
    assert ('error="invalid_token"' in challenge) is bool(token)
    found = re.search('resource_metadata="([^"]+)"', challenge)
    assert found and get(found[1].removeprefix(settings.ISSUER)).json()["resource"] == audience()


@pytest.mark.spec("RFC 6750", "3.1", "insufficient_scope is 403 and names the scope that would do")
def test_a_missing_scope_is_named(desk: Desk) -> None:
    answer = desk.get("agents/", token=desk.issue("manage.people"))
    assert answer.status_code == 403
    challenge = answer["WWW-Authenticate"]
    assert 'error="insufficient_scope", scope="manage.agents"' in challenge
    assert f'resource_metadata="{settings.ISSUER}{WHERE}"' in challenge


@pytest.mark.spec("RFC 9449", "7.2", "a token that is bound to a key is no bearer token at our API")
def test_a_bound_token_does_not_open_our_api_as_bearer(desk: Desk) -> None:
    form = desk.steward.signed({"grant_type": "client_credentials", "resource": audience(), "scope": "manage.agents"})
    bound = desk.steward.post("/oauth/token", form, headers={"dpop": Key().proof()})
    assert bound.status_code == 200 and bound.json()["token_type"] == "DPoP"
    answer = desk.get("agents/", token=bound.json()["access_token"])
    assert answer.status_code == 401 and "Bearer realm=" in answer["WWW-Authenticate"].partition("error=")[0]


@pytest.mark.spec("RFC 9728", "2", "what a registered resource should serve is written from the registry")
def test_we_write_the_document_of_a_registered_resource(pay: Resource) -> None:
    told = told_by(pay)
    assert told is not None
    assert told.address == "https://pay.example/.well-known/oauth-protected-resource"
    assert told.document["resource"] == PAY and told.document["authorization_servers"] == [settings.ISSUER]
    assert told.document["scopes_supported"] == ["accounts.read", "drafts.write"]
    assert told.document["authorization_details_types_supported"] == ["payment_initiation"]
    assert "jwks_uri" not in told.document
    set_jwks_uri(pay.ref, "https://pay.example/jwks", by=BY, now=clock.now())
    again = told_by(pay)
    assert again and again.document["jwks_uri"] == "https://pay.example/jwks"


@pytest.mark.spec("RFC 9470", "3", "the challenge that asks for a person says so by acr_values")
def test_we_write_the_challenges_of_a_registered_resource(pay: Resource) -> None:
    told = told_by(pay)
    assert told is not None
    lines = {reason: (status, line) for reason, status, line in told.challenges}
    assert all(f'resource_metadata="{told.address}"' in line for _, line in lines.values())
    assert lines["nothing"][0] == 401 and "error=" not in lines["nothing"][1]
    assert lines["scope"][0] == 403 and 'scope="accounts.read drafts.write"' in lines["scope"][1]
    assert 'error="insufficient_user_authentication", acr_values="phr"' in lines["person"][1]


@pytest.mark.spec("RFC 9728", "1.2", "a resource that is no https address has no metadata")
@pytest.mark.parametrize("identifier", ["urn:example:tool", "http://intranet.example/"])
def test_a_resource_without_an_address_has_none(identifier: str) -> None:
    made = register_resource(RegisterResource(identifier=identifier, name="Tool"), by=BY, now=clock.now())
    assert told_by(made) is None


@pytest.mark.spec("RFC 9728", "2", "the management API gives the document of each resource")
def test_the_api_gives_the_document(desk: Desk) -> None:
    answer = desk.get(f"resources/{desk.stage.pay.ref}/metadata/")
    assert answer.status_code == 200, answer.content
    body = answer.json()
    assert body["document"]["resource"] == PAY and len(body["challenges"]) == 4
    assert desk.get(f"resources/{desk.stage.pay.ref}/metadata/", token="").status_code == 401
