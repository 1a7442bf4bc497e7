"""A transaction token tells which call this one belongs to, and is no access token. draft-ietf-oauth-transaction-tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from joserfc.jwk import ECKey

from aims.resource_server import access_token, jws, txn_token
from aims.resource_server.errors import (
    InsufficientScope,
    Refused,
    TokenClaims,
    TokenExpired,
    TokenKeyUnknown,
    TokenMalformed,
    TokenNotYetValid,
    TokenSignature,
    TxnTokenCount,
    WrongAudience,
    WrongIssuer,
)
from tests.unit.resource_server.made import API, ISSUER, NOW, Issuer

OURS = Issuer()
DOMAIN = "acme.example"
DRAFT = "draft-ietf-oauth-transaction-tokens"


def made(typ: str = "txntoken+jwt", issuer: Issuer = OURS, **changed: Any) -> str:
    said: dict[str, Any] = {
        "aud": DOMAIN,
        "txn": "txn_1",
        "req_wl": "spiffe://acme.example/b",
        "tctx": {},
        "rctx": {},
        "client_id": None,
    }
    return issuer.token({"typ": typ}, **(said | changed))


def check(*values: str, issuer: str | None = ISSUER, now: float = NOW) -> txn_token.Transaction:
    return txn_token.check(
        values,
        trust_domain=DOMAIN,
        issuer=issuer,
        keys=OURS.lookup,
        algorithms=jws.ALGORITHMS,
        skew_s=10,
        now=now,
    )


@pytest.mark.spec(DRAFT, "Txn-Token HTTP Header", "it is taken, and goes on unmodified")
def test_a_right_token_is_taken_and_passed_on() -> None:
    token = made()
    call = check(token)
    assert (call.txn, call.headers) == ("txn_1", {"Txn-Token": token})
    call.require_scope("accounts.read")
    with pytest.raises(InsufficientScope):
        call.require_scope("payments.create")
    assert check(made(aud=[DOMAIN], iss=None, tctx=None, rctx=None), issuer=None).subject == "psn_ada"


@pytest.mark.spec(DRAFT, "Txn-Token HTTP Header", "exactly one header with one token")
@pytest.mark.parametrize("values", [(), (made(), made()), (f"{made()}, {made()}",)])
def test_another_number_of_tokens_is_refused(values: Sequence[str]) -> None:
    with pytest.raises(TxnTokenCount):
        check(*values)


@pytest.mark.spec(DRAFT, "Txn-Token Validation", "typ, signature, audience and times")
@pytest.mark.parametrize(
    ("token", "refusal"),
    [
        (made("at+jwt"), TokenMalformed),
        (made("JWT"), TokenMalformed),
        ("x", TokenMalformed),
        (made(issuer=Issuer(kid="key-2")), TokenKeyUnknown),
        (made(issuer=Issuer(ECKey.generate_key("P-256"))), TokenSignature),
        (made(aud="other.example"), WrongAudience),
        (made(aud=[DOMAIN, "other.example"]), WrongAudience),
        (made(aud=None), WrongAudience),
        (made(aud={}), WrongAudience),
        (made(iss="https://other.example"), WrongIssuer),
        (made(exp=int(NOW) - 11), TokenExpired),
        (made(iat=int(NOW) + 11), TokenNotYetValid),
        (made(nbf=int(NOW) + 11), TokenNotYetValid),
        (made(nbf="soon"), TokenClaims),
        (made(exp="soon"), TokenClaims),
        (made(exp=True), TokenClaims),
        (made(txn=None), TokenClaims),
        (made(sub=None), TokenClaims),
        (made(scope=None), TokenClaims),
        (made(req_wl=None), TokenClaims),
        (made(exp=None), TokenClaims),
        (made(iat=None), TokenClaims),
        (made(tctx=[]), TokenClaims),
        (made(rctx="x"), TokenClaims),
    ],
)
def test_what_is_not_right_is_refused(token: str, refusal: type[Refused]) -> None:
    with pytest.raises(refusal):
        check(token)


@pytest.mark.spec(DRAFT, "Security Considerations", "it is no access token")
def test_it_is_no_access_token() -> None:
    with pytest.raises(TokenMalformed):
        access_token.check(
            made(aud=API, client_id="x"),
            issuer=ISSUER,
            identifier=API,
            keys=OURS.lookup,
            algorithms=jws.ALGORITHMS,
            skew_s=10,
            now=NOW,
        )
