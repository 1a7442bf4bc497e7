"""ID tokens, userinfo and pairwise subjects. Spec: OpenID Connect Core 1.0."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.conf import settings
from joserfc import jwt
from joserfc.jwk import KeySet

from aims.authorization.endpoints.metadata import metadata
from aims.authorization.models import AccessToken, Application, PairwiseSubject
from aims.authorization.services.subjects import pairwise, person_of
from aims.credentials.models import KeyPurpose, SigningKey
from aims.credentials.queries import published_jwks
from aims.identifier import services as identifier
from aims.kit import clock
from aims.kit.ids import b64url
from aims.people.models import User
from tests.support.codes import CODE, REDIRECT, REFRESH, Agreed, agreed, claims, error, granted, introspected
from tests.support.domain import Domain
from tests.support.dpop import Key
from tests.support.oauth_client import BY, PAY, Machine, stage
from tests.unit.authorization.entries import entries

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
CORE = "OpenID Connect Core 1.0"
USERINFO = "/oauth/userinfo"
ONLY_IDENTITY: dict[str, Any] = {"grant": None, "resource": ""}


@pytest.fixture
def ada(db: None) -> Agreed:
    return agreed(stage())


def signed_in(ada: Agreed, scope: str = "openid", **changed: Any) -> dict[str, Any]:
    return granted(ada.redeem(ada.code(scope=scope, **(ONLY_IDENTITY | changed))))


def asked(ada: Agreed, token: str, *, scheme: str = "Bearer", method: str = "get", **extra: Any) -> Any:
    verb = getattr(ada.on.courier.http, method)
    return verb(USERINFO, headers={"Authorization": f"{scheme} {token}"} | extra)


@pytest.mark.spec(CORE, "2", "an ID token says who signed in, when and how, for this client and this request")
def test_an_id_token_says_who_signed_in(ada: Agreed) -> None:
    body = signed_in(ada, nonce="n-0S6_WzA2Mj")
    key = SigningKey.objects.get(purpose=KeyPurpose.ID_TOKEN)
    published: Any = published_jwks()
    token = jwt.decode(body["id_token"], KeySet.import_key_set(published), algorithms=["ES256"])
    assert (token.header["typ"], token.header["alg"], token.header["kid"]) == ("JWT", "ES256", key.kid)
    said = token.claims
    assert (said["iss"], said["aud"], said["nonce"]) == (settings.ISSUER, ada.on.courier.client_id, "n-0S6_WzA2Mj")
    assert (said["acr"], said["amr"]) == ("phr", ["hwk", "user"])
    assert 0 <= said["iat"] - said["auth_time"] <= 5
    assert said["exp"] - said["iat"] == 300
    assert not {"name", "email"} & said.keys()


@pytest.mark.spec(CORE, "3.1.3.6", "at_hash binds the ID token to the access token that came with it")
def test_at_hash_is_of_the_access_token(ada: Agreed) -> None:
    body = signed_in(ada)
    half = hashlib.sha256(body["access_token"].encode()).digest()[:16]
    assert claims(body["id_token"])["at_hash"] == b64url(half)


def test_without_a_nonce_there_is_none(ada: Agreed) -> None:
    assert "nonce" not in claims(signed_in(ada)["id_token"])


@pytest.mark.spec(CORE, "2", "an ID token is no access token")
def test_an_id_token_opens_nothing(ada: Agreed) -> None:
    token = signed_in(ada)["id_token"]
    assert introspected(ada, token) == {"active": False}
    assert asked(ada, token).status_code == 401


@pytest.mark.spec(CORE, "8.1", "a person has another subject at every client, and always the same at one")
def test_subjects_are_pairwise(ada: Agreed) -> None:
    first, again = (claims(signed_in(ada)["id_token"])["sub"] for _ in range(2))
    assert first == again != ada.on.ada.ref
    machine = Machine("spiffe://acme.example/other")
    other = identifier.register_agent(
        identifier.RegisterAgent(
            identifier=machine.client_id, name="Other", purpose="-", contact="a@b.example", owner=ada.on.ada
        ),
        by=BY,
        now=clock.now(),
    )
    theirs = pairwise(ada.on.ada, other)
    assert theirs != first
    assert person_of(first, ada.on.agent) == ada.on.ada
    assert person_of(first, other) is None
    assert PairwiseSubject.objects.count() == 2


@pytest.mark.spec(CORE, "8", "two people are never one at a client")
def test_two_people_have_two_subjects(ada: Agreed) -> None:
    ben = User.objects.create(email="ben@acme.example", name="Ben")
    assert pairwise(ben, ada.on.agent) != pairwise(ada.on.ada, ada.on.agent)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize(
    ("scope", "more"),
    [
        ("openid", {}),
        ("openid profile", {"name": "Ada"}),
        ("openid email", {"email": "ada@acme.example"}),
        ("openid profile email", {"name": "Ada", "email": "ada@acme.example"}),
    ],
)
@pytest.mark.spec(CORE, "5.4", "userinfo says what the scopes that were agreed to open, and no more")
def test_userinfo_says_what_was_agreed_to(ada: Agreed, method: str, scope: str, more: dict[str, str]) -> None:
    body = signed_in(ada, scope)
    answer = asked(ada, body["access_token"], method=method)
    assert granted(answer) == {"sub": claims(body["id_token"])["sub"]} | more
    assert answer["Cache-Control"] == "no-store"
    (used,) = entries("authorization.token.used")
    assert (used["agent"], used["subject"]) == (ada.on.courier.client_id, ada.on.ada.ref)


@pytest.mark.spec("RFC 6750", "3.1", "a request without a token is told how, and no error")
def test_userinfo_without_a_token_gives_a_bare_challenge(ada: Agreed) -> None:
    answer = ada.on.courier.http.get(USERINFO)
    assert (answer.status_code, answer.content) == (401, b"")
    assert answer["WWW-Authenticate"].startswith(f'Bearer realm="{settings.ISSUER}", DPoP algs="')
    assert "error" not in answer["WWW-Authenticate"]


@pytest.mark.parametrize(
    "header",
    ["Bearer x", "Bearer", "Bearer  x", "DPoP", "bearer\tx", "Bearer " + "é"],
)
@pytest.mark.spec("RFC 6750", "3.1", "what is no access token of ours is invalid_token")
def test_userinfo_refuses_what_is_no_token(ada: Agreed, header: str) -> None:
    answer = ada.on.courier.http.get(USERINFO, headers={"Authorization": header})
    assert error(answer, 401) == "invalid_token"
    assert 'error="invalid_token"' in answer["WWW-Authenticate"]


@pytest.mark.spec(CORE, "5.3", "a token in the query or the body is not looked for")
def test_a_token_elsewhere_than_in_the_header_is_not_seen(ada: Agreed) -> None:
    token = signed_in(ada)["access_token"]
    assert ada.on.courier.http.get(USERINFO, {"access_token": token}).status_code == 401
    assert ada.on.courier.post(USERINFO, {"access_token": token}).status_code == 401


@pytest.mark.spec(
    "draft-klrc-aiagent-auth", "10.9", "a resource learns nobody's name with the token that was meant for it"
)
def test_a_token_for_a_resource_does_not_open_userinfo(ada: Agreed) -> None:
    body = granted(ada.redeem(ada.code(scope="openid profile accounts.read")))
    assert claims(body["access_token"])["aud"] == PAY
    assert claims(body["access_token"])["scope"] == "accounts.read"
    assert asked(ada, body["access_token"]).status_code == 401


@pytest.mark.spec("RFC 8707", "2.2", "a client that agreed to both names the one it wants a token for")
def test_userinfo_can_be_named_as_the_resource(ada: Agreed) -> None:
    code = ada.code(scope="openid email accounts.read")
    body = granted(ada.redeem(code, resource=settings.ISSUER + USERINFO))
    assert granted(asked(ada, body["access_token"]))["email"] == "ada@acme.example"
    assert introspected(ada, body["access_token"]) == {"active": False}  # it is not for the payments API


def test_userinfo_can_not_be_had_without_openid(ada: Agreed) -> None:
    code = ada.code(scope="accounts.read offline_access")
    assert error(ada.redeem(code, resource=settings.ISSUER + USERINFO)) == "invalid_target"


@pytest.mark.spec("RFC 6750", "3.1", "a token without openid has too little scope")
def test_a_token_narrowed_to_email_alone_is_not_enough(ada: Agreed) -> None:
    first = signed_in(ada, "openid email offline_access")
    narrow = granted(ada.refresh(first["refresh_token"], scope="email"))
    answer = asked(ada, narrow["access_token"])
    assert error(answer, 403) == "insufficient_scope"
    assert 'scope="openid"' in answer["WWW-Authenticate"]


@pytest.mark.spec("RFC 9449", "7.1", "a bound token opens userinfo with its key alone, each proof once")
def test_a_bound_token_wants_its_key_at_userinfo(ada: Agreed) -> None:
    key = Key()
    code = ada.code(scope="openid", jkt=key.jkt, **ONLY_IDENTITY)
    token = granted(ada.redeem(code, dpop=key.proof()))["access_token"]

    def proof(of: Key = key, **changed: Any) -> dict[str, str]:
        return {"DPoP": of.proof(USERINFO, **({"token": token, "htm": "GET"} | changed))}

    assert error(asked(ada, token), 401) == "invalid_token"
    assert error(asked(ada, token, scheme="DPoP"), 401) == "invalid_dpop_proof"
    assert error(asked(ada, token, scheme="DPoP", **proof(Key())), 401) == "invalid_token"
    assert error(asked(ada, token, scheme="DPoP", **proof(token=None)), 401) == "invalid_dpop_proof"
    assert error(asked(ada, token, scheme="DPoP", **proof(htm="POST")), 401) == "invalid_dpop_proof"
    good = proof()
    assert granted(asked(ada, token, scheme="DPoP", **good))["sub"]
    again = asked(ada, token, scheme="DPoP", **good)
    assert error(again, 401) == "invalid_dpop_proof"
    assert again["WWW-Authenticate"].startswith("DPoP algs=")


def test_a_bearer_token_is_no_more_with_a_proof(ada: Agreed) -> None:
    token, key = signed_in(ada)["access_token"], Key()
    proof = key.proof(USERINFO, token=token, htm="GET")
    assert error(asked(ada, token, scheme="DPoP", DPoP=proof), 401) == "invalid_token"


@pytest.mark.spec("RFC 8705", "3", "a token bound to a certificate opens userinfo with that certificate only")
def test_a_token_bound_to_a_certificate_opens_userinfo_with_it(ada: Agreed, settings: Any) -> None:
    settings.CLIENT_CERT_PROXIES = ["10.0.0.7"]
    Application.objects.update(tls_client_certificate_bound_access_tokens=True)
    domain, behind = Domain(), {"REMOTE_ADDR": "10.0.0.7"}
    shown, another = domain.svid(ada.on.courier.client_id), domain.svid(ada.on.courier.client_id)
    form = {"grant_type": CODE, "code": ada.code(scope="openid", **ONLY_IDENTITY), "redirect_uri": REDIRECT}
    machine = ada.on.courier
    signed = machine.signed(form | {"code_verifier": ada.verifier})
    body = granted(machine.post("/oauth/token", signed, **behind, **shown.headers))
    assert body["token_type"] == "Bearer"

    def status(scheme: str = "Bearer", **extra: Any) -> int:
        headers = {"Authorization": f"{scheme} {body['access_token']}"} | extra.pop("headers", {})
        return int(machine.http.get(USERINFO, headers=headers, **extra).status_code)

    assert status(**behind, **shown.headers) == 200
    assert status(**behind, **another.headers) == 401
    assert status(**behind) == status() == status(**shown.headers) == 401  # no proxy that we believe
    assert status(**behind, HTTP_CLIENT_CERT="unreadable") == 401
    proof = Key().proof(USERINFO, token=body["access_token"], htm="GET")
    assert status("DPoP", headers={"DPoP": proof}, **behind, **shown.headers) == 401  # RFC 8705 §3: it stays Bearer


@pytest.mark.spec("RFC 6750", "3.1", "two tokens at once are invalid_request, another scheme gets no error code")
def test_userinfo_takes_one_token_of_its_own_schemes(ada: Agreed) -> None:
    token = signed_in(ada)["access_token"]
    joined = ada.on.courier.http.get(USERINFO, headers={"Authorization": f"Bearer {token}, DPoP {token}"})
    assert error(joined) == "invalid_request"
    basic = ada.on.courier.http.get(USERINFO, headers={"Authorization": "Basic YTpi"})
    assert (basic.status_code, basic.content, "error=" in basic["WWW-Authenticate"]) == (401, b"", False)


@pytest.mark.spec("RFC 9449", "9", "where nonces are asked for, userinfo hands one out and takes it")
def test_userinfo_asks_for_a_nonce(ada: Agreed, settings: Any) -> None:
    key = Key()
    code = ada.code(scope="openid", jkt=key.jkt, **ONLY_IDENTITY)
    token = granted(ada.redeem(code, dpop=key.proof()))["access_token"]
    settings.DPOP_NONCE = True
    told = asked(ada, token, scheme="DPoP", DPoP=key.proof(USERINFO, token=token, htm="GET"))
    assert error(told, 401) == "use_dpop_nonce"
    assert 'error="use_dpop_nonce"' in told["WWW-Authenticate"]
    again = key.proof(USERINFO, token=token, htm="GET", nonce=told["DPoP-Nonce"])
    answer = asked(ada, token, scheme="DPoP", DPoP=again)
    assert (answer.status_code, bool(answer["DPoP-Nonce"])) == (200, True)


def test_userinfo_ends_with_the_person_and_the_token(ada: Agreed) -> None:
    body = signed_in(ada, "openid offline_access")
    ada.on.courier.post("/oauth/revoke", ada.on.courier.signed({"token": body["refresh_token"]}))
    assert asked(ada, body["access_token"]).status_code == 401
    token = signed_in(ada)["access_token"]
    User.objects.filter(pk=ada.on.ada.pk).update(is_active=False)
    assert asked(ada, token).status_code == 401


@pytest.mark.parametrize("method", ["put", "delete", "patch", "head"])
def test_userinfo_has_two_methods(ada: Agreed, method: str) -> None:
    answer = getattr(ada.on.courier.http, method)(USERINFO)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, POST")


@pytest.mark.spec("RFC 8693", "2.1", "a token for userinfo can't be exchanged for one of a resource")
def test_a_userinfo_token_is_not_exchanged_for_another(ada: Agreed) -> None:
    token = signed_in(ada)["access_token"]
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "resource": PAY,
        "scope": "accounts.read",
    }
    assert error(ada.post(form)) == "invalid_scope"
    assert AccessToken.objects.count() == 1


@pytest.mark.spec(CORE, "5.1", "discovery names the claims, scopes and subject types that there are")
def test_discovery_says_what_there_is(ada: Agreed) -> None:
    metadata.forget()
    body = ada.on.courier.http.get("/.well-known/openid-configuration").json()
    assert body["userinfo_endpoint"] == settings.ISSUER + USERINFO
    assert body["subject_types_supported"] == ["pairwise"]
    assert set(body["scopes_supported"]) == {"openid", "profile", "email", "offline_access"}
    assert {CODE, REFRESH} <= set(body["grant_types_supported"])
    seen = claims(signed_in(ada, "openid profile email", nonce="n")["id_token"])
    assert set(seen) | {"name", "email"} == set(body["claims_supported"])


def public(ada: Agreed) -> None:
    Application.objects.update(token_endpoint_auth_method="none")


@pytest.mark.spec("RFC 6749", "4.1.3", "a public client names itself, and proves by PKCE that it asked")
def test_a_public_client_redeems_and_refreshes_with_its_key(ada: Agreed) -> None:
    public(ada)
    machine, key = ada.on.courier, Key()
    form = {
        "client_id": machine.client_id,
        "grant_type": CODE,
        "code": ada.code(),
        "redirect_uri": REDIRECT,
        "code_verifier": ada.verifier,
    }
    assert error(machine.post("/oauth/token", form | {"code_verifier": "x" * 43})) == "invalid_grant"
    body = granted(machine.post("/oauth/token", form, headers={"DPoP": key.proof()}))
    again = {"client_id": machine.client_id, "grant_type": REFRESH, "refresh_token": body["refresh_token"]}
    assert error(machine.post("/oauth/token", again)) == "invalid_grant"  # RFC 9449 §5: bound to the key
    assert error(machine.post("/oauth/token", again, headers={"DPoP": Key().proof()})) == "invalid_grant"
    body = granted(machine.post("/oauth/token", again, headers={"DPoP": key.proof()}))
    revoked = machine.post("/oauth/revoke", {"client_id": machine.client_id, "token": body["refresh_token"]})
    assert revoked.status_code == 200
    assert introspected(ada, body["access_token"]) == {"active": False}


@pytest.mark.spec("RFC 6749", "4.4", "a public client has nothing on its own behalf")
def test_a_public_client_gets_nothing_for_itself(ada: Agreed) -> None:
    public(ada)
    machine = ada.on.courier
    for grant_type in ("client_credentials", "urn:openid:params:grant-type:ciba"):
        form = {"client_id": machine.client_id, "grant_type": grant_type, "resource": PAY, "scope": "accounts.read"}
        assert error(machine.post("/oauth/token", form), 401) == "invalid_client"


def test_a_client_with_a_key_can_not_pose_as_a_public_one(ada: Agreed) -> None:
    machine = ada.on.courier
    form = {"client_id": machine.client_id, "grant_type": CODE, "code": ada.code(), "redirect_uri": REDIRECT}
    assert error(machine.post("/oauth/token", form | {"code_verifier": ada.verifier}), 401) == "invalid_client"
