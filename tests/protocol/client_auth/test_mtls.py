"""An agent proves who it is by a certificate, and tokens are good with that certificate only. Spec: RFC 8705, RFC 9440."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from joserfc.jwk import ECKey

from aims.authorization.errors import ClientSettingsRefused
from aims.authorization.models import AccessToken
from aims.authorization.services import agents as stopping
from aims.credentials import services as credentials
from aims.identifier.services import register_trust_domain
from aims.kit import clock
from aims.policy.services import load_policy
from tests.protocol.ciba.test_edges import claims_of
from tests.protocol.client_auth.conftest import READ, Town, refusal
from tests.support.domain import CA, Domain, Shown, named, usage
from tests.support.dpop import Key
from tests.support.oauth_client import BY, POLICY

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
DRAFT = "draft-ietf-oauth-spiffe-client-auth"
INVALID = (401, "invalid_client")
GHOST = "spiffe://acme.example/ghost"


@pytest.fixture
def svid(town: Town) -> Town:
    """Courier, which registered X.509-SVIDs."""
    town.trusts(town.domain.bundle())
    town.registers("spiffe_x509")
    return town


@pytest.mark.spec(DRAFT, "X.509-SVID", "an X.509-SVID of the trust domain authenticates the client that it names")
def test_an_x509_svid_authenticates(svid: Town) -> None:
    answer = svid.by_certificate(svid.domain.svid(svid.me))
    assert answer.status_code == 200
    below = svid.domain.intermediate()
    assert svid.by_certificate(svid.domain.svid(svid.me, issuer=below)).status_code == 200


WRONG: dict[str, Callable[[Domain, str], Shown]] = {
    "two URIs": lambda domain, me: domain.svid(me, "spiffe://acme.example/other"),
    "the URI twice": lambda domain, me: domain.svid(me, me),
    "no URI": lambda domain, me: domain.svid(),
    "another agent": lambda domain, me: domain.svid(GHOST),
    "no path": lambda domain, me: domain.svid("spiffe://acme.example"),
    "another scheme": lambda domain, me: domain.svid("wimse://acme.example/courier"),
    "the certificate of a CA": lambda domain, me: domain.svid(me, more=(*CA, (usage("digital_signature"), True))),
    "it may sign certificates": lambda domain, me: domain.svid(
        me, more=((usage("digital_signature", "key_cert_sign"), True),)
    ),
    "it may sign lists": lambda domain, me: domain.svid(me, more=((usage("digital_signature", "crl_sign"), True),)),
    "no digital signature": lambda domain, me: domain.svid(me, more=((usage("key_agreement"), True),)),
    "no key usage": lambda domain, me: domain.svid(me, more=()),
    "a key usage that is not critical": lambda domain, me: domain.svid(me, more=((usage("digital_signature"), False),)),
    "for servers only": lambda domain, me: domain.svid(
        me,
        more=(
            (usage("digital_signature"), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        ),
    ),
    "expired": lambda domain, me: domain.svid(me, days=-0.01),
    "from the future": lambda domain, me: domain.svid(me, begins=timedelta(hours=1)),
    "another authority": lambda domain, me: Domain().svid(me),
    "below what is no CA": lambda domain, me: domain.svid(me, issuer=domain.intermediate(ca=False)),
    "what leads to it left out": lambda domain, me: replace(domain.svid(me, issuer=domain.intermediate()), chain=()),
    "an extension that nobody knows": lambda domain, me: domain.svid(
        me,
        more=(
            (usage("digital_signature"), True),
            (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),
        ),
    ),
    "the authority itself": lambda domain, me: Shown(domain.authority, domain.authority_key),
}


@pytest.mark.spec("X509-SVID", "5.2", "each rule of the leaf and of the path refuses, with one answer")
@pytest.mark.parametrize("wrong", WRONG)
def test_a_certificate_that_is_no_svid_is_refused(svid: Town, wrong: str) -> None:
    answer = svid.by_certificate(WRONG[wrong](svid.domain, svid.me))
    assert refusal(answer) == INVALID
    assert answer.json()["error_description"] == "The client could not be authenticated."


@pytest.mark.spec("SPIFFE Trust Domain and Bundle", "4", "another domain's authority vouches for nobody here")
def test_another_domains_authority_does_not_vouch(svid: Town) -> None:
    other = Domain(name="other.example")
    their = register_trust_domain("other.example", by=BY, now=clock.now())
    credentials.set_bundle(their, other.bundle(), by=BY, now=clock.now())
    assert refusal(svid.by_certificate(other.svid(svid.me))) == INVALID
    svid.trusts({"keys": [], "spiffe_sequence": 2})
    assert refusal(svid.by_certificate(svid.domain.svid(svid.me))) == INVALID


@pytest.mark.spec("RFC 9440", "4", "the header is believed from the proxies that are configured, and from nobody else")
@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.1.7", "::1", "", "unix:", "::ffff:10.0.1.7", "not an address"])
def test_the_header_from_elsewhere_is_not_believed(svid: Town, address: str) -> None:
    shown = svid.domain.svid(svid.me)
    refused = svid.by_certificate(shown, address=address)
    assert refusal(refused) == INVALID
    assert refused.content == svid.by_certificate(None).content  # as if it were not there
    assert svid.by_certificate(shown, address="::ffff:10.0.0.7").status_code == 200


def test_without_a_configured_proxy_no_header_is_believed(svid: Town, settings: Any) -> None:
    settings.CLIENT_CERT_PROXIES = []
    assert refusal(svid.by_certificate(svid.domain.svid(svid.me))) == INVALID


@pytest.mark.spec("RFC 9440", "2.2", "the header is one byte sequence of a certificate")
@pytest.mark.parametrize(
    "header", ["", ":", "::", ":%%%:", "MII", ":AAAA:", "{0}, {0}", "{0};a=1", "  {0}x", ":{1}:", "{2}"]
)
def test_a_malformed_header_is_refused(svid: Town, header: str) -> None:
    shown = svid.domain.svid(svid.me)
    good, pem = shown.headers["HTTP_CLIENT_CERT"], shown.leaf.public_bytes(Encoding.PEM).decode().replace("\n", "")
    said = header.format(good, pem, ":" + "A" * 30_000 + ":")
    refused = svid.post(READ | {"client_id": svid.me}, REMOTE_ADDR="10.0.0.7", HTTP_CLIENT_CERT=said)
    assert refusal(refused) == INVALID


@pytest.mark.spec("RFC 9440", "2.3", "a malformed chain is refused")
def test_a_malformed_chain_is_refused(svid: Town) -> None:
    headers = svid.domain.svid(svid.me).headers | {"HTTP_CLIENT_CERT_CHAIN": ":AAAA:, what"}
    assert refusal(svid.post(READ | {"client_id": svid.me}, REMOTE_ADDR="10.0.0.7", **headers)) == INVALID


@pytest.mark.spec("RFC 8705", "2", "a server that ends TLS itself knows the certificate, and then no header counts")
def test_what_the_server_itself_saw_counts_before_any_header(svid: Town) -> None:
    good, other = svid.domain.svid(svid.me), svid.domain.svid(GHOST)
    pem = good.leaf.public_bytes(Encoding.PEM).decode()
    form = READ | {"client_id": svid.me}
    seen = {"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_CERT": pem}
    assert svid.post(form, **seen, **other.headers, REMOTE_ADDR="10.0.0.7").status_code == 200
    seen["SSL_CLIENT_CERT"] = other.leaf.public_bytes(Encoding.PEM).decode()
    assert refusal(svid.post(form, **seen, **good.headers, REMOTE_ADDR="10.0.0.7")) == INVALID
    failed = {"SSL_CLIENT_VERIFY": "FAILED:expired", "SSL_CLIENT_CERT": pem}
    assert refusal(svid.post(form, **failed)) == INVALID


@pytest.mark.spec("RFC 8705", "2", "client_id is required; unknown, unregistered and other clients get one answer")
def test_whoever_is_unknown_gets_the_same_answer(svid: Town) -> None:
    shown = svid.domain.svid(svid.me)
    unnamed = svid.post(READ, REMOTE_ADDR="10.0.0.7", **shown.headers)
    assert refusal(unnamed) == INVALID
    ghost = svid.by_certificate(svid.domain.svid(GHOST), client_id=GHOST)
    wrong = svid.by_certificate(svid.domain.svid(GHOST))
    svid.registers("private_key_jwt")
    assert ghost.content == wrong.content == svid.by_certificate(shown).content
    assert refusal(ghost) == INVALID


@pytest.mark.spec("RFC 6749", "2.3", "a certificate beside an assertion is no second method")
def test_the_method_is_the_assertion_where_there_is_one(svid: Town) -> None:
    signed = svid.on.courier.signed(READ | {"client_id": svid.me})
    shown = svid.domain.svid(svid.me).headers
    assert refusal(svid.post(signed, REMOTE_ADDR="10.0.0.7", **shown)) == INVALID  # another was registered
    svid.registers("private_key_jwt")
    signed = svid.on.courier.signed(READ | {"client_id": svid.me})
    token = svid.post(signed, REMOTE_ADDR="10.0.0.7", **shown).json()["access_token"]
    assert "cnf" not in claims_of(token)


@pytest.mark.spec("RFC 6749", "5.2", "a suspended agent is refused")
def test_a_suspended_agent_is_refused(svid: Town) -> None:
    stopping.suspend_agent(svid.registers("spiffe_x509"), reason="It stole.", by=BY, now=clock.now())
    answer = svid.by_certificate(svid.domain.svid(svid.me))
    assert refusal(answer) == INVALID
    assert "suspended" in answer.json()["error_description"]


SANS: dict[str, tuple[str, x509.GeneralName]] = {
    "san_dns": ("courier.acme.example", x509.DNSName("courier.acme.example")),
    "san_uri": ("https://courier.acme.example/", x509.UniformResourceIdentifier("https://courier.acme.example/")),
    "san_ip": ("2001:db8:0:0::7", x509.IPAddress(ip_address("2001:db8::7"))),
    "san_email": ("courier@acme.example", x509.RFC822Name("courier@acme.example")),
}


@pytest.mark.spec("RFC 8705", "2.1.2", "the one registered name of the certificate is compared")
@pytest.mark.parametrize("name", SANS)
def test_a_registered_name_authenticates(town: Town, name: str) -> None:
    value, general = SANS[name]
    town.trusts(town.domain.bundle())
    town.registers("tls_client_auth", tls_name=name, tls_value=value)
    bears = ((x509.SubjectAlternativeName([general]), False),)
    assert town.by_certificate(town.domain.svid(more=bears)).status_code == 200
    assert refusal(town.by_certificate(Domain().svid(more=bears))) == INVALID
    assert refusal(town.by_certificate(town.domain.svid(more=()))) == INVALID
    assert refusal(town.by_certificate(town.domain.svid(more=(*CA, *bears)))) == INVALID
    for other in SANS.keys() - {name}:
        wrong = ((x509.SubjectAlternativeName([SANS[other][1]]), False),)
        assert refusal(town.by_certificate(town.domain.svid(more=wrong))) == INVALID


@pytest.mark.spec("RFC 8705", "2.1.2", "a subject DN is compared as a name, not as a text")
def test_a_registered_subject_authenticates(town: Town) -> None:
    town.trusts(town.domain.bundle())
    town.registers("tls_client_auth", tls_name="subject_dn", tls_value="CN=workload")
    assert town.by_certificate(town.domain.svid(more=())).status_code == 200
    town.registers("tls_client_auth", tls_name="subject_dn", tls_value="CN=another")
    assert refusal(town.by_certificate(town.domain.svid(more=()))) == INVALID


@pytest.mark.spec("RFC 8705", "2.1.2", "exactly one name is registered, and only for this method")
@pytest.mark.parametrize(
    "terms",
    [
        {"auth_method": "tls_client_auth"},
        {"auth_method": "tls_client_auth", "tls_name": "san_dns"},
        {"auth_method": "tls_client_auth", "tls_value": "a.example"},
        {"auth_method": "tls_client_auth", "tls_name": "san_ip", "tls_value": "a.example"},
        {"auth_method": "tls_client_auth", "tls_name": "subject_dn", "tls_value": "workload"},
        {"auth_method": "tls_client_auth", "tls_name": "san_other", "tls_value": "x"},
        {"auth_method": "private_key_jwt", "tls_name": "san_dns", "tls_value": "a.example"},
        {"auth_method": "client_secret_basic"},
        {"auth_method": "none"},
        {"auth_method": ""},
    ],
)
def test_a_registration_that_is_not_whole_is_refused(town: Town, terms: dict[str, Any]) -> None:
    method = terms.pop("auth_method")
    with pytest.raises(ClientSettingsRefused):
        town.registers(method, **terms)


def self_signed(key: ec.EllipticCurvePrivateKey, **terms: Any) -> Shown:
    domain = Domain(name="self", authority_key=key)
    return Shown(domain.made(named("self"), key, ((usage("digital_signature"), True),), **terms), key)


@pytest.mark.spec("RFC 8705", "2.2", "the certificate's key is one that was registered; nobody need have issued it")
def test_a_self_signed_certificate_of_a_registered_key_authenticates(town: Town) -> None:
    agent = town.registers("self_signed_tls_client_auth")
    key = ec.generate_private_key(ec.SECP256R1())
    assert refusal(town.by_certificate(self_signed(key))) == INVALID
    public = ECKey.import_key(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).as_dict(
        private=False
    )
    credentials.register_keys(agent.ref, {"keys": [public]}, by=BY, now=clock.now())
    assert town.by_certificate(self_signed(key)).status_code == 200
    assert town.by_certificate(self_signed(key)).status_code == 200  # another certificate, the same key
    assert refusal(town.by_certificate(self_signed(key, days=-0.01))) == INVALID
    assert refusal(town.by_certificate(self_signed(ec.generate_private_key(ec.SECP256R1())))) == INVALID


@pytest.mark.spec("RFC 8705", "3.1", "the token is bound to the certificate, and introspection tells which")
def test_tokens_are_bound_to_the_certificate(svid: Town) -> None:
    shown = svid.domain.svid(svid.me)
    answer = svid.by_certificate(shown).json()
    assert answer["token_type"] == "Bearer"
    cnf = claims_of(answer["access_token"])["cnf"]
    assert cnf == {"x5t#S256": AccessToken.objects.get().x5t_s256}
    told = svid.on.server.post("/oauth/introspect", svid.on.server.signed({"token": answer["access_token"]})).json()
    assert (told["active"], told["token_type"], told["cnf"]) == (True, "Bearer", cnf)


@pytest.mark.spec("RFC 8705", "3.4", "who registered that its tokens are bound shows a certificate with every request")
def test_who_registered_to_be_bound_is(town: Town) -> None:
    town.registers("private_key_jwt", tls_bound=True)
    shown, key = town.domain.svid(town.me), Key()
    assert refusal(town.on.courier.token(scope="accounts.read")) == (400, "invalid_request")
    signed = town.on.courier.signed(READ)
    token = town.post(signed, REMOTE_ADDR="10.0.0.7", **shown.headers).json()["access_token"]
    assert claims_of(token)["cnf"].keys() == {"x5t#S256"}
    both = town.post(
        town.on.courier.signed(READ), REMOTE_ADDR="10.0.0.7", HTTP_DPOP=key.proof(), **shown.headers
    ).json()
    assert claims_of(both["access_token"])["cnf"].keys() == {"x5t#S256", "jkt"}
    assert both["token_type"] == "DPoP"


@pytest.mark.spec("RFC 9449", "5", "a key by DPoP is bound to instead of a certificate that was only shown")
def test_a_proof_binds_where_the_certificate_only_authenticates(svid: Town) -> None:
    key, shown = Key(), svid.domain.svid(svid.me)
    form = READ | {"client_id": svid.me}
    token = svid.post(form, REMOTE_ADDR="10.0.0.7", HTTP_DPOP=key.proof(), **shown.headers).json()["access_token"]
    assert claims_of(token)["cnf"] == {"jkt": key.jkt}


@pytest.mark.spec("RFC 8705", "3", "the policy can ask for tokens that are bound to a certificate")
def test_the_policy_knows_how_a_token_is_bound(svid: Town) -> None:
    rule = '@id("bearer-is-not-enough")\nforbid (principal, action, resource) unless { context.binding == "mtls" };\n'
    load_policy(POLICY + rule, by=BY, now=clock.now())
    assert svid.by_certificate(svid.domain.svid(svid.me)).status_code == 200
    svid.registers("private_key_jwt")
    assert refusal(svid.on.courier.token(scope="accounts.read")) == (400, "access_denied")


@pytest.mark.spec("RFC 8693", "2.1", "a token bound to a certificate is exchanged with that certificate only")
def test_a_bound_token_is_exchanged_with_its_certificate_only(svid: Town) -> None:
    shown, other = svid.domain.svid(svid.me), svid.domain.svid(svid.me)
    token = svid.by_certificate(shown).json()["access_token"]
    exchange = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    assert refusal(svid.by_certificate(other, **exchange)) == (400, "invalid_request")
    narrowed = svid.by_certificate(shown, **exchange)
    assert narrowed.status_code == 200
    assert claims_of(narrowed.json()["access_token"])["cnf"] == claims_of(token)["cnf"]


@pytest.mark.spec("RFC 7009", "2.1", "an agent revokes its token by the same method")
def test_revocation_takes_the_same_method(svid: Town) -> None:
    shown = svid.domain.svid(svid.me)
    token = svid.by_certificate(shown).json()["access_token"]
    form = {"client_id": svid.me, "token": token}
    assert refusal(svid.post(form, path="/oauth/revoke")) == INVALID
    assert svid.post(form, path="/oauth/revoke", REMOTE_ADDR="10.0.0.7", **shown.headers).status_code == 200
    assert AccessToken.objects.get().revoked_at is not None
