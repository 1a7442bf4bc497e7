"""An agent proves who it is by a JWT-SVID. Spec: draft-ietf-oauth-spiffe-client-auth, JWT-SVID."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings as configured
from joserfc.jwk import OKPKey, RSAKey

from aims.authorization.models import AccessToken
from aims.authorization.services import agents as stopping
from aims.credentials import services as credentials
from aims.identifier.services import register_trust_domain
from aims.kit import clock
from audit.models import InboxRow
from tests.protocol.client_auth.conftest import READ, SPIFFE, Town, refusal
from tests.support.domain import Domain
from tests.support.oauth_client import ASSERTION_TYPE, BY

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
DRAFT = "draft-ietf-oauth-spiffe-client-auth"
INVALID = (401, "invalid_client")


@pytest.fixture
def agent(town: Town) -> Town:
    """Courier, which registered the method, and whose domain's bundle we hold."""
    town.trusts(town.domain.bundle())
    town.registers("spiffe_jwt")
    return town


@pytest.mark.spec(DRAFT, "jwt-spiffe", "a JWT-SVID of the trust domain authenticates the client that it names")
def test_a_svid_of_its_domain_authenticates(agent: Town) -> None:
    answer = agent.by_svid(agent.domain.jwt_svid(agent.me))
    assert answer.status_code == 200
    assert AccessToken.objects.get().agent == agent.on.agent
    assert (
        agent.by_svid(agent.domain.jwt_svid(agent.me, aud=[configured.ISSUER]), client_id=agent.me).status_code == 200
    )


@pytest.mark.spec(DRAFT, "jwt-spiffe", "the audience is the issuer and only it")
@pytest.mark.parametrize(
    "aud",
    [
        None,
        "",
        [],
        f"{configured.ISSUER}/",
        f"{configured.ISSUER}/oauth/token",
        configured.ISSUER.upper(),
        [configured.ISSUER, "https://pay.example/"],
        [configured.ISSUER, configured.ISSUER],
        {"aud": configured.ISSUER},
        "spiffe://acme.example",
    ],
)
def test_another_audience_is_refused(agent: Town, aud: Any) -> None:
    assert refusal(agent.by_svid(agent.domain.jwt_svid(agent.me, aud=aud))) == INVALID


@pytest.mark.spec("JWT-SVID", "2", "alg, kid and typ are the only header parameters, typ is JWT, JOSE or absent")
@pytest.mark.parametrize(
    "header",
    [
        {"typ": "at+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": "wit+jwt"},
        {"typ": "client-authentication+jwt"},
        {"kid": None},
        {"kid": "another"},
        {"jku": "https://acme.example/keys"},
        {"x5c": []},
        {"crit": ["exp"]},
    ],
)
def test_another_header_is_refused(agent: Town, header: dict[str, Any]) -> None:
    assert refusal(agent.by_svid(agent.domain.jwt_svid(agent.me, header=header))) == INVALID


@pytest.mark.spec("JWT-SVID", "2.2", "the type may be absent, or JOSE")
@pytest.mark.parametrize("typ", [None, "JOSE", "JWT"])
def test_the_lawful_types_are_accepted(agent: Town, typ: str | None) -> None:
    assert agent.by_svid(agent.domain.jwt_svid(agent.me, header={"typ": typ})).status_code == 200


@pytest.mark.spec("JWT-SVID", "3", "sub is a SPIFFE ID; exp is there; neither from the future nor long lived")
@pytest.mark.parametrize(
    "changed",
    [
        {"sub": None},
        {"sub": 7},
        {"sub": "spiffe://acme.example"},
        {"sub": "wimse://acme.example/courier"},
        {"sub": "SPIFFE://acme.example/courier"},
        {"sub": "spiffe://acme.example/ghost"},
        {"exp": None},
        {"exp": 1_000},
        {"exp": "soon"},
        {"exp": 99_999_999_999},
        {"iat": 99_999_999_999},
        {"nbf": 99_999_999_999},
    ],
)
def test_another_claim_is_refused(agent: Town, changed: dict[str, Any]) -> None:
    assert refusal(agent.by_svid(agent.domain.jwt_svid(agent.me, **changed))) == INVALID


@pytest.mark.spec(DRAFT, "jwt-spiffe", "it may live for five minutes, and half a minute of skew")
def test_it_lives_for_minutes(agent: Town) -> None:
    at = clock.epoch_s()
    assert agent.by_svid(agent.domain.jwt_svid(agent.me, exp=at + 300)).status_code == 200
    assert refusal(agent.by_svid(agent.domain.jwt_svid(agent.me, exp=at + 340))) == INVALID
    assert refusal(agent.by_svid(agent.domain.jwt_svid(agent.me, iat=at - 200, exp=at - 31))) == INVALID


@pytest.mark.spec(DRAFT, "jwt-spiffe", "a token without jti and iat counts once all the same")
def test_it_counts_once(agent: Town) -> None:
    svid = agent.domain.jwt_svid(agent.me, iat=None)
    assert agent.by_svid(svid).status_code == 200
    again = agent.by_svid(svid)
    assert refusal(again) == INVALID
    assert "before" in again.json()["error_description"]
    assert AccessToken.objects.count() == 1
    # Of one ECDSA signature anybody can make a second: it is still the same token.
    assert refusal(agent.by_svid(twisted(svid))) == INVALID
    assert AccessToken.objects.count() == 1


@pytest.mark.spec("SPIFFE Trust Domain and Bundle", "4", "another domain's keys vouch for nobody here")
def test_another_domains_bundle_does_not_vouch(agent: Town) -> None:
    other = Domain(name="other.example")
    their = register_trust_domain("other.example", by=BY, now=clock.now())
    credentials.set_bundle(their, other.bundle(), by=BY, now=clock.now())
    assert refusal(agent.by_svid(other.jwt_svid(agent.me))) == INVALID
    assert refusal(agent.by_svid(agent.domain.jwt_svid("spiffe://other.example/courier"))) == INVALID
    assert refusal(agent.by_svid(agent.domain.jwt_svid("spiffe://unheard.example/courier"))) == INVALID


@pytest.mark.spec("SPIFFE Trust Domain and Bundle", "4.1.1", "an empty bundle, or none, vouches for nobody")
def test_an_empty_bundle_vouches_for_nobody(agent: Town) -> None:
    agent.trusts({"keys": [], "spiffe_sequence": 2})
    assert refusal(agent.by_svid(agent.domain.jwt_svid(agent.me))) == INVALID
    credentials.drop_bundle(agent.on.agent.trust_domain, by=BY)
    assert refusal(agent.by_svid(agent.domain.jwt_svid(agent.me))) == INVALID


@pytest.mark.spec("JWT-SVID", "5", "a key for other tokens does not sign JWT-SVIDs")
def test_a_key_for_other_tokens_does_not_sign_svids(agent: Town) -> None:
    agent.trusts(agent.domain.bundle(use="wit-svid", spiffe_sequence=2))
    assert refusal(agent.by_svid(agent.domain.jwt_svid(agent.me))) == INVALID


@pytest.mark.spec("JWT-SVID", "2.1", "EdDSA and HMAC do not sign JWT-SVIDs; RS256 is not ours")
def test_other_algorithms_do_not_sign_svids(agent: Town) -> None:
    key = OKPKey.generate_key("Ed25519")
    at = clock.epoch_s()
    claims = {"sub": agent.me, "aud": configured.ISSUER, "exp": at + 60}
    assert refusal(agent.by_svid(agent.domain.token(claims, typ="JWT", key=key, alg="EdDSA"))) == INVALID
    rsa = RSAKey.generate_key(2048)
    assert refusal(agent.by_svid(agent.domain.token(claims, typ="JWT", key=rsa, alg="RS256"))) == INVALID


@pytest.mark.spec("RFC 8725", "3.12", "a token of one kind is no token of another")
def test_kinds_are_not_confused(agent: Town) -> None:
    svid, assertion = agent.domain.jwt_svid(agent.me), agent.on.courier.assertion()
    as_jwt = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": svid}
    assert refusal(agent.post(READ | as_jwt)) == INVALID
    assert refusal(agent.by_svid(assertion)) == INVALID
    token = agent.by_svid(svid).json()["access_token"]
    assert refusal(agent.by_svid(token)) == INVALID
    assert refusal(agent.post(READ | {"client_assertion_type": "urn:x", "client_assertion": svid})) == INVALID


@pytest.mark.spec("RFC 7591", "2", "a client uses the method that it registered and no other")
def test_a_method_that_was_not_registered_is_refused_and_recorded(agent: Town) -> None:
    refused = agent.on.courier.token(scope="accounts.read")
    assert refusal(refused) == INVALID
    assert any(b'"method"' in bytes(row.payload) for row in InboxRow.objects.all())
    agent.registers("private_key_jwt")
    assert refusal(agent.by_svid(agent.domain.jwt_svid(agent.me))) == INVALID
    assert agent.on.courier.token(scope="accounts.read").status_code == 200


@pytest.mark.spec("RFC 6749", "2.3", "one authentication method a request")
def test_two_methods_at_once_are_refused(agent: Town) -> None:
    svid = agent.domain.jwt_svid(agent.me)
    form = READ | {"client_assertion_type": SPIFFE, "client_assertion": svid}
    wit = {"HTTP_WORKLOAD_IDENTITY_TOKEN": svid}
    for extra in ({"HTTP_AUTHORIZATION": "Basic eDp5"}, wit, {"HTTP_WORKLOAD_PROOF_TOKEN": svid}):
        assert refusal(agent.post(form, **extra)) == (400, "invalid_request")
    assert refusal(agent.post(form | {"client_secret": "x"})) == (400, "invalid_request")
    assert agent.by_svid(svid).status_code == 200  # nothing was spent


@pytest.mark.spec("RFC 6749", "5.2", "an unknown client, an unknown key and a bad signature get one answer")
def test_whoever_is_unknown_gets_the_same_answer(agent: Town) -> None:
    thief = Domain()
    answers = [
        agent.by_svid(agent.domain.jwt_svid("spiffe://acme.example/ghost")),
        agent.by_svid(agent.domain.jwt_svid("spiffe://nowhere.example/ghost")),
        agent.by_svid(thief.jwt_svid(agent.me)),
        agent.by_svid(thief.jwt_svid(agent.me, header={"kid": agent.domain.key.thumbprint()})),
    ]
    assert {(answer.status_code, answer.content, answer["WWW-Authenticate"]) for answer in answers} == {
        (401, answers[0].content, answers[0]["WWW-Authenticate"])
    }


@pytest.mark.spec("RFC 6749", "5.2", "a suspended agent is refused, and its proof is spent")
def test_a_suspended_agent_is_refused(agent: Town) -> None:
    held = agent.registers("spiffe_jwt")
    stopping.suspend_agent(held, reason="It stole.", by=BY, now=clock.now())
    svid = agent.domain.jwt_svid(agent.me)
    assert "suspended" in agent.by_svid(svid).json()["error_description"]
    stopping.resume_agent(held, reason="It did not.", by=BY, now=clock.now())
    assert "before" in agent.by_svid(svid).json()["error_description"]


@pytest.mark.spec("SPIFFE Federation", "5.2", "a key that left the bundle vouches no more, a new one does at once")
def test_a_rotated_bundle_counts_at_once(agent: Town) -> None:
    assert agent.by_svid(agent.domain.jwt_svid(agent.me)).status_code == 200
    fresh = Domain()
    agent.trusts(fresh.bundle(spiffe_sequence=2))
    assert refusal(agent.by_svid(agent.domain.jwt_svid(agent.me))) == INVALID
    assert agent.by_svid(fresh.jwt_svid(agent.me)).status_code == 200
    with clock.shifted(timedelta(hours=1)):
        assert agent.by_svid(fresh.jwt_svid(agent.me)).status_code == 200


def twisted(token: str) -> str:
    """Return the same token with the other signature that the same key is known to have made: s becomes n - s."""
    from aims.kit.ids import b64url, unb64url

    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    signing_input, _, signature = token.rpartition(".")
    raw = unb64url(signature)
    other = order - int.from_bytes(raw[32:])
    return f"{signing_input}.{b64url(raw[:32] + other.to_bytes(32))}"


@pytest.mark.spec(
    "RFC 7591", "2", "a method that was changed counts at once, whatever a process remembers of the client"
)
def test_a_changed_method_counts_though_the_client_is_remembered(town: Town) -> None:
    town.trusts(town.domain.bundle())
    for _ in range(2):
        assert town.on.courier.token(scope="accounts.read").status_code == 200  # remembered from here on
    town.registers("spiffe_jwt")
    assert refusal(town.on.courier.token(scope="accounts.read")) == INVALID
    assert town.by_svid(town.domain.jwt_svid(town.me)).status_code == 200
    assert AccessToken.objects.count() == 3
