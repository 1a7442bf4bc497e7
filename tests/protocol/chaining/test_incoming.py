"""Another domain's word about a subject of ours, and what it is good for. draft-ietf-oauth-identity-chaining, step 2."""

from __future__ import annotations

from typing import Any

import pytest

from aims.authorization.endpoints.metadata import document
from aims.authorization.errors import TrustRefused
from aims.authorization.models import AccessToken, DelegationGrant, ForeignServer
from aims.authorization.services.grants import revoke_grant
from aims.authorization.services.trust import TrustServer, retire_server, trust_server
from aims.credentials import services as credentials
from aims.kit import clock
from aims.kit.fetch import FetchRefused
from tests.support.chains import claims, entries, error
from tests.support.dpop import Key
from tests.support.foreign import PROFILES, Foreign, present, trusting
from tests.support.oauth_client import BY, PAY, Stage, payment, stage

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
DRAFT = "draft-ietf-oauth-identity-chaining"
OTHER = Foreign()


@pytest.fixture
def on(db: None) -> Stage:
    made = stage()
    trusting(made, OTHER)
    return made


@pytest.mark.spec(DRAFT, "2.4", "the subject is mapped, the client is ours, the scope is cut, no refresh token")
def test_a_trusted_word_becomes_a_token(on: Stage) -> None:
    answer = present(on.courier, OTHER.grant(scope="accounts.read drafts.write"))
    said = claims(answer)
    assert (said["sub"], said["client_id"], said["aud"]) == (on.ada.ref, on.courier.client_id, PAY)
    assert (said["scope"], "refresh_token" in answer.json()) == ("accounts.read", False)
    (entry,) = entries("authorization.foreign_grant.accepted")
    assert (entry["data"]["profile"], entry["data"]["jti"]) == ("chaining", said["jti"])
    assert "ada@there" not in str(entry)


@pytest.mark.spec(DRAFT, "2.4", "the subject may be the agent itself")
def test_an_agent_is_known_by_its_name_there(on: Stage) -> None:
    said = claims(present(on.courier, OTHER.grant(sub="courier-there", client_id=None)))
    assert said["sub"] == on.courier.client_id


@pytest.mark.spec(DRAFT, "2.4.2", "what can't be identified, is for somebody else, or is too much, is refused")
@pytest.mark.parametrize(
    ("changed", "form", "code"),
    [
        ({"sub": "nobody@there"}, {}, "invalid_grant"),
        ({"sub": None}, {}, "invalid_grant"),
        ({"iss": "https://idp.unknown.example"}, {}, "invalid_grant"),
        ({"iss": "http://localhost:8000"}, {}, "invalid_grant"),
        ({"aud": "https://b.example"}, {}, "invalid_grant"),
        ({"aud": "http://localhost:8000/oauth/token"}, {}, "invalid_grant"),
        ({"aud": ["http://localhost:8000", "https://b.example"]}, {}, "invalid_grant"),
        ({"client_id": "somebody-else"}, {}, "invalid_grant"),
        ({"client_id": 7}, {}, "invalid_grant"),
        ({"jti": None}, {}, "invalid_grant"),
        ({"exp": 1}, {}, "invalid_grant"),
        ({"iat": 9_999_999_999}, {}, "invalid_grant"),
        ({"exp": 9_999_999_999}, {}, "invalid_grant"),
        ({"typ": "at+jwt"}, {}, "invalid_grant"),
        ({"typ": "dpop+jwt"}, {}, "invalid_grant"),
        ({"scope": ["accounts.read"]}, {}, "invalid_grant"),
        ({"resource": {}}, {}, "invalid_grant"),
        ({"authorization_details": "x"}, {}, "invalid_grant"),
        ({"cnf": {"jkt": "x"}}, {}, "invalid_grant"),
        ({"cnf": {"x5t#S256": "x"}}, {}, "invalid_grant"),
        ({}, {"scope": "accounts.read accounts.list"}, "invalid_scope"),
        ({"scope": "drafts.write"}, {"scope": "drafts.write"}, "invalid_scope"),
        ({"scope": "drafts.write"}, {}, "invalid_scope"),
        ({"resource": "https://b.example/"}, {}, "invalid_target"),
        ({}, {"resource": "https://b.example/"}, "invalid_target"),
        ({"resource": None}, {"resource": "https://b.example/"}, "invalid_target"),
        ({}, {"authorization_details": payment()}, "invalid_authorization_details"),
    ],
)
def test_what_is_not_right_is_refused(on: Stage, changed: dict[str, Any], form: dict[str, str], code: str) -> None:
    assert error(present(on.courier, OTHER.grant(**changed), **form)) == code
    assert not AccessToken.objects.exists()


@pytest.mark.spec("RFC 7523", "3", "signed by a key of the server that says it, and used once")
def test_it_is_signed_by_its_server_and_counts_once(on: Stage) -> None:
    assert error(present(on.courier, Foreign().grant())) == "invalid_grant"
    word = OTHER.grant()
    assert present(on.courier, word).status_code == 200
    assert error(present(on.courier, word)) == "invalid_grant"


@pytest.mark.spec(
    "draft-klrc-aiagent-auth", "10.4", "a foreign word is no authority: what may be done is what was granted here"
)
def test_without_a_grant_it_opens_nothing(on: Stage) -> None:
    revoke_grant(DelegationGrant.objects.get(), by=BY, now=clock.now())
    assert error(present(on.courier, OTHER.grant())) == "invalid_target"


@pytest.mark.spec(DRAFT, "2.4", "a grant that is bound to a key needs it")
def test_a_bound_word_needs_its_key(on: Stage) -> None:
    key = Key()
    bound: dict[str, Any] = {"cnf": {"jkt": key.jkt}}
    assert error(present(on.courier, OTHER.grant(**bound), dpop=Key().proof())) == "invalid_grant"
    assert claims(present(on.courier, OTHER.grant(**bound), dpop=key.proof()))["cnf"] == {"jkt": key.jkt}
    assert claims(present(on.courier, OTHER.grant(), dpop=key.proof()))["cnf"] == {"jkt": key.jkt}


@pytest.mark.spec(
    "AIMS Console", "authorization", "what was issued on a server's word ends when the word is taken less far"
)
@pytest.mark.parametrize("less", [{"accepts": ("id-jag",)}, {"scopes": ()}, {"subjects": {}}, {"clients": {}}, None])
def test_taking_trust_back_ends_what_stood_on_it(on: Stage, less: dict[str, Any] | None) -> None:
    assert present(on.courier, OTHER.grant()).status_code == 200
    if less is None:
        retire_server(ForeignServer.objects.get(), by=BY, now=clock.now())
    else:
        trusting(on, OTHER, **less)
    assert not AccessToken.objects.filter(revoked_at=None).exists()
    (entry,) = entries("authorization.tokens.ended")
    assert (entry["data"]["reason"], entry["data"]["count"]) == ("trust_narrowed", 1)
    assert error(present(on.courier, OTHER.grant())) in ("invalid_grant", "invalid_scope")


@pytest.mark.spec("AIMS Console", "authorization", "the same trust again is no change; more trust ends nothing")
def test_the_same_again_is_no_change(on: Stage) -> None:
    assert present(on.courier, OTHER.grant()).status_code == 200
    trusting(on, OTHER)
    trusting(on, OTHER, scopes=("accounts.read", "accounts.list", "drafts.write"))
    assert len(entries("authorization.server.trusted")) == 2
    assert AccessToken.objects.filter(revoked_at=None).count() == 1


@pytest.mark.spec("AIMS Console", "authorization", "whom nobody should trust is refused")
@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "http://idp.example"},
        {"issuer": "http://localhost:8000"},
        {"issuer": "https://idp.example?x=1"},
        {"issuer": "https://idp.example#x"},
        {"issuer": "urn:x"},
        {"name": " "},
        {"accepts": ("everything",)},
        {"scopes": ("two words",)},
        {"scopes": tuple(f"s{each}" for each in range(51))},
    ],
)
def test_trust_that_can_not_be_is_refused(on: Stage, changed: dict[str, Any]) -> None:
    terms: dict[str, Any] = {"issuer": "https://idp.example", "name": "Idp"} | changed
    with pytest.raises(TrustRefused):
        trust_server(TrustServer(**terms), by=BY, now=clock.now())


@pytest.mark.spec("AIMS Console", "authorization", "keys at an address inside are never fetched")
def test_keys_at_a_private_address_are_not_fetched(on: Stage) -> None:
    server = ForeignServer.objects.get()
    credentials.register_keys(server.ref, {"keys": []}, by=BY, now=clock.now())
    credentials.set_jwks_uri(server.ref, "https://127.0.0.1:9/jwks", by=BY, now=clock.now())
    assert error(present(on.courier, OTHER.grant())) == "invalid_grant"
    with pytest.raises(FetchRefused):
        credentials.set_jwks_uri(server.ref, "http://idp.example/jwks", by=BY, now=clock.now())


@pytest.mark.spec(DRAFT, "3", "metadata says which kinds, while there is somebody to speak with; never whom we trust")
@pytest.mark.spec("draft-ietf-oauth-identity-assertion-authz-grant", "7", "metadata names the profile, and no issuer")
def test_metadata_names_what_is_on(on: Stage) -> None:
    said = document()
    urn = "urn:ietf:params:oauth:"
    assert said["identity_chaining_requested_token_types_supported"] == [
        f"{urn}token-type:jwt",
        f"{urn}token-type:id-jag",
    ]
    assert said["authorization_grant_profiles_supported"] == [f"{urn}grant-profile:id-jag"]
    assert OTHER.issuer not in str(said)
    trusting(on, OTHER, accepts=("chaining",), receives=())
    assert not {name for name in document() if name.startswith(("identity_chaining", "authorization_grant"))}
    assert set(PROFILES) == {"chaining", "id-jag"}
