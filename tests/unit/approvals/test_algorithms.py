"""A yes with a key of each algorithm, from the registration to the receipt; and keys in a receipt that are none of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, padding, rsa
from django.conf import settings
from django.core.management import call_command

from aims.credentials.queries import published_jwks
from aims.kit.ids import unb64url
from aims.people.cose import ALGORITHMS
from approvals.models import Receipt
from approvals.reading import NotVerified
from approvals.verify import verify_receipt
from audit.canonical import decode
from tests.support.soft_authenticator import HostileAuthenticator
from tests.unit.approvals import stage as stages
from tests.unit.approvals.evidence import ISSUER, RP_ID, Issuer, Signer, claims_of, statement_with

R = statement_with()
NAMES = {-7: "ES256", -8: "EdDSA", -257: "RS256"}


@pytest.mark.django_db
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=NAMES.get)
def test_a_yes_with_a_key_of_each_algorithm_makes_a_receipt_that_verifies(algorithm: int, tmp_path: Path) -> None:
    stage = stages.build(algorithms=(algorithm,))
    request = stage.open()
    stage.approve(request)
    request.refresh_from_db()
    assert request.state == "approved"
    receipt = Receipt.objects.get()
    [approval] = decode(unb64url(receipt.jws.split(".")[1]))["approvals"]
    assert cbor2.loads(unb64url(approval["cose_key"]))[3] == algorithm
    assert verify_receipt(receipt.jws, jwks=published_jwks(), origins=settings.RP_ORIGINS).ref == receipt.ref
    assert f"Verified: receipt {receipt.ref}" in by_command(tmp_path, receipt.jws)


def by_command(folder: Path, receipt: str) -> str:
    (folder / "receipt.jwt").write_text(receipt)
    (folder / "jwks.json").write_text(json.dumps(published_jwks()))
    out = StringIO()
    files = ["--receipt", str(folder / "receipt.jwt"), "--jwks", str(folder / "jwks.json")]
    call_command("verify", *files, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=NAMES.get)
def test_another_keys_signature_does_not_verify(algorithm: int) -> None:
    issuer = Issuer()
    mine, other = (signer(algorithm) for _ in range(2))
    signed = replace(mine.sign(R), cose_key=other.authenticator.credentials[0].cose_key)
    assert step_of(issuer, signed) == "signature"
    assert step_of(issuer, mine.sign(R)) is None


def signer(algorithm: int) -> Signer:
    return Signer("usr_ada", HostileAuthenticator(ISSUER, RP_ID, algorithms=(algorithm,)))


def step_of(issuer: Issuer, approval: Any) -> str | None:
    """Return the step at which the verifier refuses a receipt with this yes; None where it accepts it."""
    try:
        verify_receipt(issuer.sign(claims_of(approval, statement=R)), jwks=issuer.jwks)
    except NotVerified as refused:
        return refused.step
    return None


# Each of these signs for real, and the library behind the verifier would believe most of them.
P256, P384 = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())
SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)
LONG = rsa.generate_private_key(public_exponent=65537, key_size=2048)
GOLDILOCKS = ed448.Ed448PrivateKey.generate()
PKCS1 = padding.PKCS1v15()
PSS = padding.PSS(padding.MGF1(hashes.SHA256()), 32)


def point(key: ec.EllipticCurvePrivateKey, size: int) -> dict[int, Any]:
    numbers = key.public_key().public_numbers()
    return {-2: numbers.x.to_bytes(size, "big"), -3: numbers.y.to_bytes(size, "big")}


def modulus(key: rsa.RSAPrivateKey) -> dict[int, Any]:
    numbers = key.public_key().public_numbers()
    return {-1: numbers.n.to_bytes(key.key_size // 8, "big"), -2: b"\1\0\1"}


FOREIGN: dict[str, tuple[dict[int, Any], Callable[[bytes], bytes]]] = {
    "ES384": ({1: 2, 3: -35, -1: 2, **point(P384, 48)}, lambda m: P384.sign(m, ec.ECDSA(hashes.SHA384()))),
    "ESP256": ({1: 2, 3: -9, -1: 1, **point(P256, 32)}, lambda m: P256.sign(m, ec.ECDSA(hashes.SHA256()))),
    "PS256": ({1: 3, 3: -37, **modulus(LONG)}, lambda m: LONG.sign(m, PSS, hashes.SHA256())),
    "RS1": ({1: 3, 3: -65535, **modulus(LONG)}, lambda m: LONG.sign(m, PKCS1, hashes.SHA1())),
    "RS256 of 1,024 bits": ({1: 3, 3: -257, **modulus(SHORT)}, lambda m: SHORT.sign(m, PKCS1, hashes.SHA256())),
    "Ed448": ({1: 1, 3: -53, -1: 7, -2: GOLDILOCKS.public_key().public_bytes_raw()}, GOLDILOCKS.sign),
    "ES256 that says OKP": ({1: 1, 3: -7, -1: 1, **point(P256, 32)}, lambda m: P256.sign(m, ec.ECDSA(hashes.SHA256()))),
    "RS256 that says EC2": ({1: 2, 3: -257, **modulus(LONG)}, lambda m: LONG.sign(m, PKCS1, hashes.SHA256())),
    "no algorithm": ({1: 2, -1: 1, **point(P256, 32)}, lambda m: P256.sign(m, ec.ECDSA(hashes.SHA256()))),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_key_with_which_nobody_may_sign_does_not_verify(name: str) -> None:
    key, sign = FOREIGN[name]
    yes = signer(-7).sign(R)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(yes.client_data_json)
    signature = sign(yes.authenticator_data + digest.finalize())
    assert step_of(Issuer(), replace(yes, cose_key=cbor2.dumps(key), signature=signature)) == "signature"
