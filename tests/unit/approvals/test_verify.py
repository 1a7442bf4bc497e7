"""The offline verifier against receipts that are right, and against every way we know to make them wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aims.authorization.statement import Quorum
from aims.kit.ids import b64url, tagged_hash
from approvals.reading import NotVerified
from approvals.verify import LogEvidence, verify_receipt
from audit.canonical import encode
from tests.support.soft_authenticator import HostileAuthenticator, Lies
from tests.unit.approvals.evidence import (
    ISSUER,
    OPENED,
    RP_ID,
    SIGNED,
    Issuer,
    Signer,
    claims_of,
    log_with,
    statement_with,
)

R = statement_with()
AGREE = {"groups": ["subject"], "distinct_humans": True, "exclude": ["usr_mallory"]}


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
def ada() -> Signer:
    return Signer("usr_ada")


def refused(receipt: str, issuer: Issuer, **options: Any) -> str:
    with pytest.raises(NotVerified) as caught:
        verify_receipt(receipt, jwks=issuer.jwks, **options)
    return caught.value.step


def test_a_receipt_is_verified_without_us(issuer: Issuer, ada: Signer) -> None:
    receipt = issuer.sign(claims_of(ada.sign(R), statement=R))
    verified = verify_receipt(receipt, jwks=issuer.jwks)
    assert verified.approvers == ("usr_ada",)
    assert verified.approved_until == SIGNED + 300
    assert verified.receipt_hash == tagged_hash(receipt.encode())
    assert verified.request["client_id"] == "spiffe://acme.example/agent/courier"
    assert verified.included is None


def test_claims_are_those_of_the_format_and_no_others(issuer: Issuer, ada: Signer) -> None:
    claims = claims_of(ada.sign(R), statement=R)
    assert claims.keys() == {
        "iss",
        "aud",
        "iat",
        "jti",
        "sub",
        "client_id",
        "act",
        "request_hash",
        "request_jcs",
        "decision",
        "approved_until",
        "quorum",
        "approvals",
        "policy",
    }
    assert claims["approvals"][0].keys() == {
        "approver",
        "amr",
        "acr",
        "auth_time",
        "credential_id",
        "cose_key",
        "rp_id",
        "origin",
        "context_jcs",
        "challenge",
        "authenticatorData",
        "clientDataJSON",
        "signature",
        "enrolment",
    }
    assert (claims["approvals"][0]["acr"], claims["approvals"][0]["amr"]) == ("phrh", ["hwk", "user", "pop"])


CHANGES: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "another request": ("statement", lambda c: c.update(request_jcs=b64url(statement_with(scope="all")))),
    "another hash": ("statement", lambda c: c.update(request_hash="sha-256:" + "B" * 43)),
    "another subject": ("statement", lambda c: c.update(sub="usr_ben")),
    "another audience": ("statement", lambda c: c.update(aud="https://evil.example/")),
    "another agent": ("statement", lambda c: c.update(client_id="spiffe://evil.example/x")),
    "a denial": ("claims", lambda c: c.update(decision="deny")),
    "no approvals": ("claims", lambda c: c.update(approvals=[])),
    "a longer life": ("claims", lambda c: c.update(approved_until=c["approved_until"] + 1)),
    "issued before it was signed": ("claims", lambda c: c.update(iat=SIGNED - 1)),
    "another policy": ("claims", lambda c: c.update(policy={"id": "lax", "version": 1, "hash": "x"})),
    "a smaller quorum": ("quorum", lambda c: c["quorum"].update(required=0)),
    "the same person twice": ("quorum", lambda c: c["approvals"].append(c["approvals"][0])),
    "another approver": ("context", lambda c: c["approvals"][0].update(approver="usr_ben")),
    "signed too late": ("context", lambda c: c["approvals"][0].update(auth_time=OPENED + 300)),
    "signed too early": ("context", lambda c: c["approvals"][0].update(auth_time=OPENED + 9)),
    "another origin": ("origin", lambda c: c["approvals"][0].update(origin="https://evil.example")),
    "another challenge": ("challenge", lambda c: c["approvals"][0].update(challenge=b64url(b"x" * 32))),
    "another signature": ("signature", lambda c: c["approvals"][0].update(signature=b64url(b"0" * 70))),
    "no key": ("signature", lambda c: c["approvals"][0].update(cose_key=b64url(b"\xa0"))),
    "no enrolment": ("enrolment", lambda c: c["approvals"][0].pop("enrolment")),
    "no voucher": ("enrolment", lambda c: c["approvals"][0]["enrolment"].pop("vouched_by")),
    "no place in the log": ("enrolment", lambda c: c["approvals"][0]["enrolment"].pop("log_index")),
    "a place that is null": ("enrolment", lambda c: c["approvals"][0]["enrolment"].update(log_index=None)),
    "a place that is no number": ("enrolment", lambda c: c["approvals"][0]["enrolment"].update(log_index=True)),
    "a place before the log began": ("enrolment", lambda c: c["approvals"][0]["enrolment"].update(log_index=-1)),
    "a key younger than the request": (
        "enrolment",
        lambda c: c["approvals"][0]["enrolment"].update(enrolled_at=OPENED + 1),
    ),
    "bytes that are not an authenticator's": (
        "authenticator",
        lambda c: c["approvals"][0].update(authenticatorData=b64url(b"short")),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_refused_at_its_step_even_when_the_issuer_signs_it(name: str, issuer: Issuer, ada: Signer) -> None:
    step, change = CHANGES[name]
    claims = claims_of(ada.sign(R), statement=R)
    change(claims)
    assert refused(issuer.sign(claims), issuer) == step


LIES: dict[str, tuple[str, Lies]] = {
    "not present": ("authenticator", Lies(flags=0x01)),
    "not verified": ("authenticator", Lies(flags=0x04)),
    "backed up but not eligible": ("authenticator", Lies(flags=0x10)),
    "attested data": ("authenticator", Lies(flags=0x40)),
    "trailing bytes": ("authenticator", Lies(trailing=b"x")),
    "another relying party": ("authenticator", Lies(rp_id="evil.example")),
    "another page": ("origin", Lies(members={"origin": "https://evil.example"})),
    "framed": ("origin", Lies(members={"crossOrigin": True})),
    "framed, said otherwise": ("origin", Lies(members={"topOrigin": "https://evil.example"})),
    "a registration": ("client-data", Lies(members={"type": "webauthn.create"})),
}


@pytest.mark.parametrize("name", LIES)
def test_a_signed_lie_of_the_authenticator_is_refused(name: str, issuer: Issuer) -> None:
    step, lies = LIES[name]
    liar = Signer("usr_ada", HostileAuthenticator(ISSUER, RP_ID))
    liar.authenticator.lies = lies
    assert refused(issuer.sign(claims_of(liar.sign(R), statement=R)), issuer) == step


CONTEXTS: dict[str, dict[str, Any]] = {
    "a denial shown as a yes": {"decision": "deny"},
    "another request": {"request_hash": "sha-256:" + "B" * 43},
    "another relying party": {"rp_id": "evil.example"},
    "a context older than the request": {"iat": OPENED - 10},
    "a context that outlives the request": {"exp": OPENED + 301},
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_a_context_that_says_something_else_is_refused(name: str, issuer: Issuer, ada: Signer) -> None:
    assert refused(issuer.sign(claims_of(ada.sign(R, **CONTEXTS[name]), statement=R)), issuer) == "context"


def test_who_was_excluded_cannot_approve(issuer: Issuer) -> None:
    assert refused(issuer.sign(claims_of(Signer("usr_mallory").sign(R), statement=R)), issuer) == "context"


TWO = statement_with(quorum=Quorum(required=2, groups=("group:cfo",), distinct_humans=True, exclude=()))


def test_two_people_with_two_keys_are_a_quorum_of_two(issuer: Issuer, ada: Signer) -> None:
    first = ada.sign(TWO)
    second = Signer("usr_ben").sign(TWO, at=SIGNED + 60)
    verified = verify_receipt(issuer.sign(claims_of(first, second, statement=TWO, iat=SIGNED + 61)), jwks=issuer.jwks)
    assert verified.approvers == ("usr_ada", "usr_ben")
    assert verified.approved_until == SIGNED + 360


def test_one_signature_is_not_two_whatever_the_receipt_says(issuer: Issuer, ada: Signer) -> None:
    first = ada.sign(TWO)
    claims = claims_of(first, statement=TWO) | {"quorum": AGREE | {"required": 1, "satisfied": 1}}
    assert refused(issuer.sign(claims), issuer) == "quorum"


def test_two_names_with_one_key_are_one(issuer: Issuer, ada: Signer) -> None:
    first = ada.sign(TWO)
    ben = Signer("usr_ben", ada.authenticator)
    ben.authenticator.credentials.pop()
    claims = claims_of(first, ben.sign(TWO), statement=TWO)
    assert refused(issuer.sign(claims), issuer) == "quorum"


@pytest.mark.parametrize("header", [{"typ": "JWT"}, {"kid": "unknown"}])
def test_a_wrong_header_is_refused(header: dict[str, str], issuer: Issuer, ada: Signer) -> None:
    assert refused(issuer.sign(claims_of(ada.sign(R), statement=R), **header), issuer) == "jws"


def test_another_issuers_signature_is_refused(issuer: Issuer, ada: Signer) -> None:
    receipt = Issuer().sign(claims_of(ada.sign(R), statement=R), kid=issuer.kid)
    assert refused(receipt, issuer) == "jws"


def test_a_kid_that_is_no_thumbprint_is_refused(ada: Signer) -> None:
    issuer = Issuer()
    issuer.jwks["keys"][0]["kid"] = issuer.kid = "mine"
    assert refused(issuer.sign(claims_of(ada.sign(R), statement=R)), issuer) == "jws"


@pytest.mark.parametrize("receipt", ["", "a.b", "a.b.c", "....", "x" * 300_000])
def test_rubbish_is_refused(receipt: str, issuer: Issuer) -> None:
    assert refused(receipt, issuer) == "jws"


# -- the log ---------------------------------------------------------------------------------------------


def test_the_log_proof_shows_where_the_decision_stands(issuer: Issuer, ada: Signer) -> None:
    receipt = issuer.sign(claims_of(ada.sign(R), statement=R))
    entry = encode({"data": {"request_hash": tagged_hash(R), "receipt_hash": tagged_hash(receipt.encode())}})
    proof, vkey = log_with(entry)
    verified = verify_receipt(receipt, jwks=issuer.jwks, log=LogEvidence(entry, proof, vkey))
    assert verified.included is not None
    assert (verified.included.index, verified.included.size) == (0, 2)


def test_an_entry_of_another_decision_is_refused(issuer: Issuer, ada: Signer) -> None:
    receipt = issuer.sign(claims_of(ada.sign(R), statement=R))
    entry = encode({"data": {"request_hash": tagged_hash(R), "receipt_hash": "sha-256:" + "B" * 43}})
    proof, vkey = log_with(entry)
    assert refused(receipt, issuer, log=LogEvidence(entry, proof, vkey)) == "log"


@pytest.mark.parametrize(
    ("old", "new"), [("index 0", "index 1"), ("index 0", "index 2"), ("\n2\n", "\n3\n"), ("@v1", "@v2")]
)
def test_a_proof_that_was_changed_is_refused(old: str, new: str, issuer: Issuer, ada: Signer) -> None:
    receipt = issuer.sign(claims_of(ada.sign(R), statement=R))
    entry = encode({"data": {"request_hash": tagged_hash(R), "receipt_hash": tagged_hash(receipt.encode())}})
    proof, vkey = log_with(entry)
    assert refused(receipt, issuer, log=LogEvidence(entry, proof.replace(old, new), vkey)) == "log"


def test_a_checkpoint_of_another_log_is_refused(issuer: Issuer, ada: Signer) -> None:
    receipt = issuer.sign(claims_of(ada.sign(R), statement=R))
    entry = encode({"data": {"request_hash": tagged_hash(R), "receipt_hash": tagged_hash(receipt.encode())}})
    proof, _vkey = log_with(entry)
    _proof, other = log_with(entry)
    assert refused(receipt, issuer, log=LogEvidence(entry, proof, other)) == "log"
