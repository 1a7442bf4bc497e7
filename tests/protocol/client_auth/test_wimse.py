"""An agent proves who it is by a workload identity token and a proof of its key. Spec: the WIMSE drafts."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings as configured
from joserfc.jwk import ECKey, OKPKey

from aims.authorization.models import AccessToken
from aims.authorization.services import agents as stopping
from aims.credentials import services as credentials
from aims.identifier.services import register_trust_domain
from aims.kit import clock
from tests.protocol.client_auth.conftest import READ, Town, refusal
from tests.support.domain import Domain
from tests.support.oauth_client import BY
from tests.support.workload import Workload, hashed

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
CREDS, WPT = "draft-ietf-wimse-workload-creds", "draft-ietf-wimse-wpt"
INVALID = (401, "invalid_client")
FAR = 99_999_999_999


@pytest.fixture
def work(town: Town) -> Workload:
    """Courier as a workload, which registered the method, and whose domain's bundle we hold."""
    town.trusts(town.domain.bundle(use="wit-svid"))
    town.registers("wimse_wit_wpt")
    return Workload(domain=town.domain, name=town.me)


@pytest.mark.spec(WPT, "3", "a token of the trust domain with a proof of its key authenticates the workload")
def test_a_proved_token_authenticates(town: Town, work: Workload) -> None:
    assert town.post(READ, **work.proved()).status_code == 200
    assert AccessToken.objects.get().agent == town.on.agent
    assert town.post(READ | {"client_id": town.me}, **work.proved()).status_code == 200
    assert refusal(town.post(READ | {"client_id": "spiffe://acme.example/x"}, **work.proved())) == INVALID


@pytest.mark.spec(CREDS, "3.1", "each rule of the token refuses")
@pytest.mark.parametrize(
    "changed",
    [
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"typ": "wpt+jwt"},
        {"header": {"typ": None}},
        {"header": {"kid": None}},  # of a spiffe:// name: WIT-SVID §2
        {"header": {"kid": "another"}},
        {"header": {"crit": ["exp"]}},
        {"exp": None},
        {"exp": 1_000},
        {"exp": FAR},
        {"iat": FAR},
        {"nbf": FAR},
        {"sub": None},
        {"sub": "spiffe://acme.example"},
        {"sub": "https://acme.example/courier"},
        {"sub": "spiffe://acme.example/ghost"},
        {"aud": configured.ISSUER},  # WIT-SVID §3
        {"cnf": None},
        {"cnf": {}},
        {"cnf": {"jwk": "x"}},
        {"cnf": {"jkt": "x"}},
    ],
)
def test_another_token_is_refused(town: Town, work: Workload, changed: dict[str, Any]) -> None:
    assert refusal(town.post(READ, **work.proved(work.wit(**changed)))) == INVALID


@pytest.mark.spec(CREDS, "3.1", "cnf.jwk is a public key with an asymmetric alg that fits it")
@pytest.mark.parametrize(
    "jwk",
    [{"alg": None}, {"alg": "none"}, {"alg": "HS256"}, {"alg": "ES384"}, {"d": "AAAA"}, {"kty": "oct", "k": "AA"}],
)
def test_another_key_of_the_workload_is_refused(town: Town, work: Workload, jwk: dict[str, Any]) -> None:
    wit = work.wit(jwk=work.jwk | jwk)
    assert refusal(town.post(READ, **work.proved(wit))) == INVALID


@pytest.mark.spec(CREDS, "3.1", "the token counts only with a proof, in its own header, once, and never as a bearer")
def test_it_is_never_a_bearer_token(town: Town, work: Workload) -> None:
    wit = work.wit()
    proved = work.proved(wit)
    alone = {"HTTP_WORKLOAD_IDENTITY_TOKEN": wit}
    for headers in (
        alone,
        {"HTTP_WORKLOAD_PROOF_TOKEN": proved["HTTP_WORKLOAD_PROOF_TOKEN"]},
        {"HTTP_AUTHORIZATION": f"Bearer {wit}"},
        proved | {"HTTP_WORKLOAD_IDENTITY_TOKEN": f"{wit}, {wit}"},
        proved | {"HTTP_WORKLOAD_IDENTITY_TOKEN": f"Bearer {wit}"},
        proved | {"HTTP_WORKLOAD_PROOF_TOKEN": "{0}, {0}".format(proved["HTTP_WORKLOAD_PROOF_TOKEN"])},
        proved | {"HTTP_WORKLOAD_PROOF_TOKEN": wit},
        proved | {"HTTP_WORKLOAD_PROOF_TOKEN": ""},
    ):
        assert refusal(town.post(READ, **headers)) == INVALID, headers
    assert town.post(READ, **proved).status_code == 200  # nothing was spent


@pytest.mark.spec(WPT, "3.2", "each rule of the proof refuses")
@pytest.mark.parametrize(
    "changed",
    [
        {"typ": "JWT"},
        {"typ": "dpop+jwt"},
        {"typ": "wit+jwt"},
        {"aud": None},
        {"aud": configured.ISSUER},
        {"aud": f"{configured.ISSUER}/oauth/token/"},
        {"aud": f"{configured.ISSUER}/oauth/revoke"},
        {"aud": "https://testserver/oauth/token"},
        {"aud": [f"{configured.ISSUER}/oauth/token", "https://pay.example/"]},
        {"exp": None},
        {"exp": 1_000},
        {"exp": FAR},
        {"jti": None},
        {"jti": ""},
        {"jti": "j" * 256},
        {"jti": 7},
        {"wth": None},
        {"wth": hashed("another")},
        {"ath": hashed("no token is there")},
        {"tth": hashed("no token is there")},
        {"oth": {"x-token": hashed("not there")}},
        {"oth": {"Host": hashed("localhost:8000")}},
        {"oth": ["x"]},
        {"key": ECKey.generate_key("P-256")},
    ],
)
def test_another_proof_is_refused(town: Town, work: Workload, changed: dict[str, Any]) -> None:
    assert refusal(town.post(READ, **work.proved(**changed))) == INVALID


@pytest.mark.spec(WPT, "3.2", "the audience is our configured address, whatever Host says")
def test_host_says_nothing(town: Town, work: Workload) -> None:
    hosts = {"HTTP_HOST": "evil.example", "HTTP_X_FORWARDED_HOST": "evil.example"}
    evil = work.proved(aud="https://evil.example/oauth/token")
    assert refusal(town.post(READ, **evil, HTTP_X_FORWARDED_HOST="evil.example")) == INVALID
    assert town.post(READ, **work.proved(), HTTP_X_FORWARDED_HOST=hosts["HTTP_X_FORWARDED_HOST"]).status_code == 200


@pytest.mark.spec(WPT, "3.2", "a transaction token or another that is there must be named, and the one that is named")
def test_tokens_that_come_along_are_named(town: Town, work: Workload) -> None:
    txn = {"HTTP_TXN_TOKEN": "a.b.c"}
    assert refusal(town.post(READ, **work.proved(), **txn)) == INVALID
    assert refusal(town.post(READ, **work.proved(tth=hashed("a.b.d")), **txn)) == INVALID
    assert town.post(READ, **work.proved(tth=hashed("a.b.c")), **txn).status_code == 200
    other = {"HTTP_X_TOKEN": " mine "}
    assert town.post(READ, **work.proved(oth={"x-token": hashed("mine")}), **other).status_code == 200
    assert refusal(town.post(READ, **work.proved(oth={"X-Token": hashed("mine")}), **other)) == INVALID


@pytest.mark.spec(WPT, "3.2", "a proof counts once, a token with a new proof again")
def test_a_proof_counts_once(town: Town, work: Workload) -> None:
    wit = work.wit()
    proved = work.proved(wit)
    assert town.post(READ, **proved).status_code == 200
    assert refusal(town.post(READ, **proved)) == INVALID
    assert town.post(READ, **work.proved(wit)).status_code == 200
    assert AccessToken.objects.count() == 2


@pytest.mark.spec("WIT-SVID", "2", "EdDSA signs no WIT-SVID and proves none; it may for a wimse:// name")
def test_eddsa_is_for_wimse_names(town: Town, work: Workload) -> None:
    key = OKPKey.generate_key("Ed25519")
    jwk = key.as_dict(private=False) | {"alg": "EdDSA"}
    assert refusal(town.post(READ, **work.proved(work.wit(jwk=jwk)))) == INVALID


@pytest.mark.spec(CREDS, "3.1", "only the keys of the name's own trust domain sign its tokens, and only those for it")
def test_only_its_own_domain_signs(town: Town, work: Workload) -> None:
    other = Domain(name="other.example")
    their = register_trust_domain("other.example", by=BY, now=clock.now())
    credentials.set_bundle(their, other.bundle(use="wit-svid"), by=BY, now=clock.now())
    foreign = Workload(domain=other, name=town.me)
    answers = [
        town.post(READ, **foreign.proved()),
        town.post(READ, **Workload(domain=town.domain, name="spiffe://acme.example/ghost").proved()),
        town.post(READ, **Workload(domain=other, name="spiffe://nowhere.example/ghost").proved()),
        town.post(READ, **work.proved(key=ECKey.generate_key("P-256"))),
    ]
    assert {answer.content for answer in answers} == {answers[0].content}
    assert refusal(answers[0]) == INVALID
    town.trusts(town.domain.bundle(use="jwt-svid", spiffe_sequence=2))
    assert refusal(town.post(READ, **work.proved())) == INVALID


@pytest.mark.spec("RFC 6749", "2.3", "one authentication method a request, and the registered one")
def test_one_method_and_the_registered_one(town: Town, work: Workload) -> None:
    assert refusal(town.post(town.on.courier.signed(READ), **work.proved())) == (400, "invalid_request")
    assert refusal(town.post(READ, **work.proved(), HTTP_AUTHORIZATION="Bearer x")) == (400, "invalid_request")
    both = work.proved() | {"HTTP_SIGNATURE_INPUT": 'wimse=("@method")', "HTTP_SIGNATURE": "wimse=:AA==:"}
    assert refusal(town.post(READ, **both)) == (400, "invalid_request")
    town.registers("wimse_http_signature")
    assert refusal(town.post(READ, **work.proved())) == INVALID


@pytest.mark.spec("RFC 8725", "3.12", "a workload's tokens are no assertions, and the other way round")
def test_kinds_are_not_confused(town: Town, work: Workload) -> None:
    wit = work.wit()
    for assertion in (wit, work.wpt(wit)):
        for kind in ("jwt-spiffe", "jwt-bearer"):
            form = {"client_assertion_type": f"urn:ietf:params:oauth:client-assertion-type:{kind}"}
            assert refusal(town.post(READ | form | {"client_assertion": assertion})) == INVALID
    svid = town.domain.jwt_svid(town.me)
    assert refusal(town.post(READ, **work.proved(svid))) == INVALID
    assert refusal(town.post(READ, **work.proved(town.on.courier.assertion()))) == INVALID


@pytest.mark.spec("RFC 6749", "5.2", "a suspended agent is refused, and its proof is spent")
def test_a_suspended_agent_is_refused(town: Town, work: Workload) -> None:
    held = town.registers("wimse_wit_wpt")
    stopping.suspend_agent(held, reason="It stole.", by=BY, now=clock.now())
    proved = work.proved()
    assert "suspended" in town.post(READ, **proved).json()["error_description"]
    stopping.resume_agent(held, reason="It did not.", by=BY, now=clock.now())
    assert "before" in town.post(READ, **proved).json()["error_description"]
