"""The examples that the specifications print: what they call right is right here, and what they call wrong is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from django.test import RequestFactory
from joserfc.jwk import OKPKey

from aims.authentication import http_signature, paths
from aims.authentication.errors import InvalidClient
from aims.authentication.http_signature import SignatureRefused, check_digest, check_profile
from aims.authentication.keys import is_signed, parsed
from aims.authentication.wimse import _derived
from aims.authentication.wit import read_proof, read_wit
from aims.credentials.bundles import read_bundle
from aims.credentials.errors import BundleRefused
from aims.credentials.jwks import PublicKey
from aims.kit.jose import ALGORITHMS, JoseRefused, Unverified, import_public, verify

VECTORS = Path(__file__).parents[2] / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


RFC9421 = load("rfc9421.json")
WIMSE = load("wimse-wit-wpt-httpsig.json")
JOSE = {"ed25519": "EdDSA", "ecdsa-p256-sha256": "ES256"}


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.spec("RFC 9421", "B.2", "the printed signatures verify over the base that we build")
@pytest.mark.parametrize(
    "case", [case for case in RFC9421["cases"] if case["alg"] in JOSE], ids=lambda case: case["label"]
)
def test_printed_signatures_verify(case: dict[str, Any]) -> None:
    signed = http_signature.read(case["signature_input"], case["signature"])
    lines = dict(line.split(": ", 1) for line in case["signature_base"].split("\n")[:-1])
    covered = http_signature.base(signed, {name.strip('"'): value for name, value in lines.items()})
    assert covered.decode() == case["signature_base"]
    jwk = {name: value for name, value in RFC9421["keys"][case["key"]].items() if name != "d"}
    proof = Unverified(header={"alg": JOSE[case["alg"]]}, claims={}, signing_input=covered, signature=signed.signature)
    verify(proof, key=import_public(jwk))
    with pytest.raises(JoseRefused):
        verify(Unverified(**vars(proof) | {"signing_input": covered + b" "}), key=import_public(jwk))
    with pytest.raises(SignatureRefused):  # keyid: lawful in the RFC, not in the profile
        check_profile(signed, present=[], audience="", now=moment(1618884480))


@pytest.mark.spec("RFC 9421", "2", "components with parameters are not in the profile, and refused")
def test_components_with_parameters_are_refused() -> None:
    case = next(case for case in RFC9421["cases"] if case["label"] == "sig-b22")
    with pytest.raises(SignatureRefused):
        http_signature.read(case["signature_input"], case["signature"])


@pytest.mark.spec("RFC 9530", "2", "the printed digests are those of the printed bodies")
def test_printed_digests() -> None:
    response = WIMSE["http_signature"]["response"]
    field = dict(response["headers"])["Content-Digest"]
    check_digest(field, response["body"].encode())
    with pytest.raises(SignatureRefused):
        check_digest(field, response["body"].rstrip().encode())


@pytest.mark.spec("draft-ietf-wimse-wpt", "3", "the printed token and proof are right for the printed request")
def test_the_printed_workload_tokens() -> None:
    case = WIMSE["wit_wpt"]
    now, target = moment(case["verify_at"]), case["request"]["target_uri"]
    wit = read_wit(case["wit"], now=now)
    issuer = case["identity_server_jwk"]
    assert is_signed(wit.token, PublicKey(kid=issuer["kid"], algorithm="ES256", jwk=issuer))
    headers = {"Authorization": case["request"]["authorization"]}
    proof, jti, _life = read_proof(case["wpt"], wit, target=target, headers=headers, now=now)
    verify(proof, key=wit.key)
    assert (str(wit.identifier), jti) == ("wimse://example.com/specific-workload", "__bwc4ESC3acc2LTC1-_x")
    for wrong in ({}, {"Authorization": "Bearer another"}):
        with pytest.raises(InvalidClient):
            read_proof(case["wpt"], wit, target=target, headers=wrong, now=now)
    for later in (timedelta(minutes=10), timedelta(hours=-2)):
        with pytest.raises(InvalidClient):
            read_proof(case["wpt"], wit, target=target, headers=headers, now=now + later)


@pytest.mark.spec(
    "draft-ietf-wimse-http-signature", "4", "the printed request verifies, but that it wants a signed answer"
)
def test_the_printed_signed_request() -> None:
    case = WIMSE["http_signature"]
    fields = {name.lower(): value for name, value in case["request"]["headers"]}
    signed = http_signature.read(fields["signature-input"], fields["signature"])
    derived = {"@method": "GET", "@request-target": "/gimme-ice-cream?flavor=vanilla"}
    covered = http_signature.base(signed, fields | derived)
    assert covered.decode() == case["request"]["signature_base"]
    wit = read_wit(fields["workload-identity-token"], now=moment(case["verify_at"]))
    verify(
        Unverified(header={"alg": wit.algorithm}, claims={}, signing_input=covered, signature=signed.signature),
        key=wit.key,
    )
    with pytest.raises(SignatureRefused, match="does not sign its answers"):
        check_profile(
            signed,
            present=list(fields),
            audience="https://svcb.example.com/gimme-ice-cream",
            now=moment(case["verify_at"]),
        )


def test_our_target_is_the_path() -> None:
    request = RequestFactory().post("/oauth/token")
    assert _derived(request) == {"@method": "POST", "@request-target": "/oauth/token"}


@pytest.mark.spec("WIT-SVID", "2", "the printed WIT-SVID keeps to its form")
def test_the_printed_wit_svid() -> None:
    case = load("spiffe-wit-svid-example.json")
    wit = read_wit(case["token"], now=moment(case["claims"]["exp"] - 60))
    assert (str(wit.identifier), wit.algorithm) == (case["claims"]["sub"], "ES256")


@pytest.mark.spec("SPIFFE Trust Domain and Bundle", "4", "good bundles are read, bad ones refused")
@pytest.mark.parametrize("case", load("spiffe-bundles.json")["cases"], ids=lambda case: case["name"])
def test_printed_bundles(case: dict[str, Any]) -> None:
    document = case["bundle"] if isinstance(case["bundle"], dict) else json.loads(case["bundle"])
    if case["name"] == "multiple_x509":  # X509-SVID §6.2: a consumer uses the first value only
        assert len(read_bundle(document).authorities) == 1
    elif case["expect"]["ok"]:
        bundle = read_bundle(document)
        assert bundle.sequence == case["expect"].get("spiffe_sequence")
        assert bundle.refresh_hint_s == case["expect"].get("spiffe_refresh_hint", 300)
        assert len(bundle.wit_keys) == case["expect"].get("wit_keys", 0)
        assert not bundle.is_empty
    else:
        with pytest.raises(BundleRefused):
            read_bundle(document)


@pytest.mark.spec("X509-SVID", "4", "the printed certificates are leaves of the profile, or are not")
@pytest.mark.parametrize(
    "case",
    [case for case in load("spiffe-x509-svid.json")["cases"] if "intermediate-no" not in case["name"]],
    ids=lambda case: case["name"],
)
def test_printed_certificates(case: dict[str, Any]) -> None:
    leaf = x509.load_pem_x509_certificates(case["pem"].encode())[0]
    is_svid = paths.spiffe_id(leaf) is not None and paths.is_client_leaf(leaf, must_say_usage=True)
    assert is_svid is case["profile_ok"], case["why"]


@pytest.mark.spec("WIT-SVID", "2", "EdDSA is for wimse:// names, and refused for spiffe:// ones")
def test_eddsa_is_for_wimse_names() -> None:
    wit = read_wit(WIMSE["wit_wpt"]["wit"], now=moment(WIMSE["wit_wpt"]["verify_at"]))
    assert wit.algorithm == "EdDSA"
    assert isinstance(wit.key, OKPKey)
    assert parsed(WIMSE["wit_wpt"]["wpt"], algorithms=ALGORITHMS, typ=("wpt+jwt",)).header["alg"] == "EdDSA"
