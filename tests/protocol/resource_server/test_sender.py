"""A token that is bound to a key is good only with that key. RFC 9449 §7, RFC 8705 §3, RFC 6750 §2."""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from aims.resource_server import jws, memory
from aims.resource_server.dpop import Nonces
from aims.resource_server.errors import (
    BindingUnknown,
    Downgraded,
    InvalidProof,
    MalformedCredentials,
    ManyCredentials,
    NotBound,
    NotBoundToProof,
    NoToken,
    ProofCount,
    ProofForgotten,
    ProofMethod,
    ProofOtherKey,
    ProofReplayed,
    ProofTokenHash,
    Refused,
    TokenExpired,
    Unavailable,
    UseNonce,
    WrongCertificate,
)
from aims.resource_server.guard import Request
from aims.resource_server.memory import InFile, InProcess, Seen, Use
from tests.unit.resource_server.made import NOW, PAYMENTS, Holder, Issuer, guard, request, written

OURS, HOLDER = Issuer(), Holder()
CERTIFICATE = b"the DER of a certificate"
THUMBPRINT = {"x5t#S256": jws.base64url(hashlib.sha256(CERTIFICATE).digest())}


def bound(**cnf: Any) -> str:
    return OURS.token(cnf=cnf or HOLDER.cnf)


@pytest.mark.spec("RFC 6750", "2.1", "a token that is bound to nothing is taken where the API says so")
def test_a_bearer_token_is_taken_where_the_api_takes_bearers() -> None:
    call = guard(OURS).admit(request(OURS.token()), now=NOW)
    assert (call.agent, call.subject) == ("spiffe://acme.example/courier", "psn_ada")
    with pytest.raises(NotBound):
        guard(OURS, takes_bearer=False).admit(request(OURS.token()), now=NOW)


@pytest.mark.spec("RFC 6750", "2.1", "one Authorization header with one token, in its characters")
@pytest.mark.parametrize(
    ("sent", "refusal"),
    [
        ((), NoToken), (("",), NoToken), (("Basic YTpi",), NoToken), (("Negotiate",), NoToken), (("token",), NoToken),
        (("Bearer",), MalformedCredentials), (("Bearer ",), MalformedCredentials), (("DPoP",), MalformedCredentials),
        (("Bearer a b",), MalformedCredentials), (("Bearer \u00e4",), MalformedCredentials), (('Bearer "a"',), MalformedCredentials),
        (("Bearer a\n",), MalformedCredentials), (("Bearer ==",), MalformedCredentials),
        (("Bearer a", "Bearer a"), ManyCredentials), (("Bearer a", "DPoP a"), ManyCredentials), (("Bearer a, DPoP a",), ManyCredentials),
    ],
)  # fmt: skip
def test_what_is_no_single_token_is_refused(sent: tuple[str, ...], refusal: type[Refused]) -> None:
    asked = Request(method="GET", url=PAYMENTS, authorization=sent, dpop=(), certificate=None)
    with pytest.raises(refusal):
        guard(OURS).admit(asked, now=NOW)


@pytest.mark.spec("RFC 9110", "11.1", "the scheme is compared without case")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_compared_without_case(scheme: str) -> None:
    assert guard(OURS).admit(request(OURS.token(), scheme=scheme), now=NOW)


@pytest.mark.spec("RFC 9449", "7.1", "a bound token with a proof of its key is taken")
@pytest.mark.parametrize("scheme", ["DPoP", "dpop"])
@pytest.mark.parametrize("takes_bearer", [True, False])
def test_a_bound_token_with_its_key_is_taken(scheme: str, takes_bearer: bool) -> None:
    token = bound()
    assert guard(OURS, takes_bearer=takes_bearer).admit(request(token, HOLDER.proof(token), scheme=scheme), now=NOW)


@pytest.mark.spec("RFC 9449", "7.2", "a bound token as Bearer is refused, with a proof and without")
@pytest.mark.parametrize("with_proof", [True, False])
def test_a_bound_token_does_not_pass_as_bearer(with_proof: bool) -> None:
    token = bound()
    proofs = [HOLDER.proof(token)] if with_proof else []
    with pytest.raises(Downgraded):
        guard(OURS).admit(request(token, *proofs), now=NOW)


@pytest.mark.spec("RFC 9449", "7.1", "a token that is not bound to a proof's key is not taken with the scheme DPoP")
@pytest.mark.parametrize("cnf", [None, THUMBPRINT])
def test_a_token_that_is_not_bound_is_no_dpop_token(cnf: dict[str, str] | None) -> None:
    token = OURS.token(cnf=cnf)
    with pytest.raises(NotBoundToProof):
        guard(OURS).admit(request(token, HOLDER.proof(token), scheme="DPoP", certificate=CERTIFICATE), now=NOW)


@pytest.mark.spec("RFC 9449", "4.3 (12)", "a stolen token is good neither without a proof nor with the thief's")
def test_a_stolen_token_is_good_for_nothing() -> None:
    token, thief = bound(), Holder()
    for proofs, refusal in (
        ([], ProofCount),
        ([thief.proof(token)], ProofOtherKey),
        ([thief.proof(None)], ProofTokenHash),
    ):
        with pytest.raises(refusal):
            guard(OURS).admit(request(token, *proofs, scheme="DPoP"), now=NOW)


def test_a_proof_for_one_request_is_not_good_for_another() -> None:
    token = bound()
    with pytest.raises(ProofMethod):
        guard(OURS).admit(request(token, HOLDER.proof(token, htm="GET"), scheme="DPoP"), now=NOW)


@pytest.mark.spec("RFC 7800", "3.1", "a confirmation that is not understood is not passed over")
@pytest.mark.parametrize(
    "cnf",
    [
        {},
        [],
        "x",
        1,
        {"jwk": {}},
        {"kid": "a"},
        {"x5t": "a"},
        {"jkt": HOLDER.cnf["jkt"], "jwk": {}},
        [HOLDER.cnf],
        False,
    ],
)
@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
def test_a_confirmation_that_is_not_understood_is_refused(cnf: object, scheme: str) -> None:
    token = OURS.token(cnf=cnf)
    with pytest.raises((BindingUnknown, NotBoundToProof)):
        guard(OURS).admit(request(token, HOLDER.proof(token), scheme=scheme), now=NOW)


def test_null_is_a_confirmation_that_is_not_understood() -> None:
    claims = OURS.claims() | {"cnf": None}
    with pytest.raises(BindingUnknown):
        guard(OURS).admit(request(written(OURS.header(), claims, OURS.key, alg="ES256")), now=NOW)


@pytest.mark.parametrize(
    "jkt",
    ["", 1, None, HOLDER.cnf["jkt"] + "=", HOLDER.cnf["jkt"].lower(), [HOLDER.cnf["jkt"]], "\ud800"],
    ids=["empty", "number", "null", "padded", "lower case", "list", "surrogate"],  # the key is another in every process
)
def test_another_thumbprint_is_refused(jkt: object) -> None:
    token = OURS.token(cnf={"jkt": jkt})
    with pytest.raises(ProofOtherKey):
        guard(OURS).admit(request(token, HOLDER.proof(token), scheme="DPoP"), now=NOW)


@pytest.mark.spec("RFC 8705", "3", "a token that is bound to a certificate is good with it, as Bearer")
@pytest.mark.parametrize("takes_bearer", [True, False])
def test_a_token_bound_to_a_certificate_is_good_with_it(takes_bearer: bool) -> None:
    checks = guard(OURS, takes_bearer=takes_bearer)
    assert checks.admit(request(bound(**THUMBPRINT), certificate=CERTIFICATE), now=NOW)


@pytest.mark.spec("RFC 8705", "3", "with another certificate, or none, it is not")
@pytest.mark.parametrize("certificate", [None, b"", b"another", THUMBPRINT["x5t#S256"].encode()])
def test_a_token_bound_to_a_certificate_is_good_with_no_other(certificate: bytes | None) -> None:
    with pytest.raises(WrongCertificate):
        guard(OURS).admit(request(bound(**THUMBPRINT), certificate=certificate), now=NOW)


def test_a_token_bound_to_both_needs_both() -> None:
    token = bound(**HOLDER.cnf, **THUMBPRINT)
    checks = guard(OURS)
    assert checks.admit(request(token, HOLDER.proof(token), scheme="DPoP", certificate=CERTIFICATE), now=NOW)
    with pytest.raises(WrongCertificate):
        checks.admit(request(token, HOLDER.proof(token), scheme="DPoP"), now=NOW)
    with pytest.raises(Downgraded):
        checks.admit(request(token, certificate=CERTIFICATE), now=NOW)


@pytest.mark.spec("RFC 9449", "11.1", "a proof counts once")
def test_a_proof_counts_once() -> None:
    token, checks = bound(), guard(OURS)
    asked = request(token, HOLDER.proof(token), scheme="DPoP")
    assert checks.admit(asked, now=NOW)
    with pytest.raises(ProofReplayed):
        checks.admit(asked, now=NOW + 59)


@pytest.mark.spec("RFC 9449", "11.1", "of equal proofs at once one counts")
@pytest.mark.parametrize("kind", ["process", "file"])
def test_of_equal_requests_at_once_one_is_admitted(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WAIT_MAX_S", 60)
    book = InFile(tmp_path / "used.sqlite3") if kind == "file" else InProcess(began_at=NOW - 60)
    token, checks, start = bound(), guard(OURS, memory=book), threading.Barrier(6)
    asked = request(token, HOLDER.proof(token), scheme="DPoP")

    def admitted(_: int) -> bool:
        start.wait(60)
        try:
            checks.admit(asked, now=NOW)
        except ProofReplayed:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(admitted, range(6))) == 1


def test_a_proof_that_a_fresh_process_can_not_vouch_for_is_refused() -> None:
    token, checks = bound(), guard(OURS, memory=InProcess(began_at=NOW))
    with pytest.raises(ProofForgotten):
        checks.admit(request(token, HOLDER.proof(token), scheme="DPoP"), now=NOW)
    later = HOLDER.proof(token, iat=NOW + 10)
    assert checks.admit(request(token, later, scheme="DPoP"), now=NOW + 10)


class Broken:
    """A memory that does not answer."""

    def is_used(self, use: Use) -> bool:
        raise Unavailable("away")

    def spend(self, use: Use, *, now: float) -> Seen:
        raise Unavailable("away")


def test_without_a_memory_nothing_is_admitted() -> None:
    token = bound()
    with pytest.raises(Unavailable):
        guard(OURS, memory=Broken()).admit(request(token, HOLDER.proof(token), scheme="DPoP"), now=NOW)


@pytest.mark.spec(
    "RFC 9449", "9", "where nonces are wanted, the first proof is answered with one, and nothing is used up"
)
def test_a_nonce_is_asked_for_and_then_taken() -> None:
    nonces = Nonces(b"k" * 32)
    token, checks = bound(), guard(OURS, nonces=nonces)
    first = HOLDER.proof(token, jti="one")
    with pytest.raises(UseNonce) as caught:
        checks.admit(request(token, first, scheme="DPoP"), now=NOW)
    again = HOLDER.proof(token, jti="one", nonce=caught.value.nonce)
    assert checks.admit(request(token, again, scheme="DPoP"), now=NOW)


def test_a_proof_of_another_key_is_told_no_nonce() -> None:
    token, checks = bound(), guard(OURS, nonces=Nonces(b"k" * 32))
    with pytest.raises(InvalidProof):
        checks.admit(request(token, Holder().proof(token), scheme="DPoP"), now=NOW)


def test_a_token_that_does_not_hold_uses_up_no_proof() -> None:
    token, checks = OURS.token(cnf=HOLDER.cnf, exp=int(NOW) + 5), guard(OURS)
    asked = request(token, HOLDER.proof(token), scheme="DPoP")
    with pytest.raises(TokenExpired):
        checks.admit(asked, now=NOW + 20)
    assert checks.admit(asked, now=NOW)
