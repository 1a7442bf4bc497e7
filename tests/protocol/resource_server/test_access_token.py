"""An access token opens an API only if its issuer made it for this API and it holds now. RFC 9068 §4, RFC 8725."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey

from aims.resource_server import access_token, jws
from aims.resource_server.errors import (
    InvalidToken,
    TokenClaims,
    TokenExpired,
    TokenKeyUnknown,
    TokenMalformed,
    TokenNotYetValid,
    TokenSignature,
    WrongAudience,
    WrongIssuer,
)
from aims.resource_server.issued import KeyLookup
from aims.resource_server.keys import IssuerKeys
from tests.unit.resource_server.made import API, ISSUER, NOW, Issuer, hmac_signed, written

OURS = Issuer()
SKEW_S = 10


def check(token: str, *, keys: KeyLookup = OURS.lookup, now: float = NOW) -> Any:
    return access_token.check(
        token, issuer=ISSUER, identifier=API, keys=keys, algorithms=jws.ALGORITHMS, skew_s=SKEW_S, now=now
    )


@pytest.mark.spec("RFC 9068", "4", "a token of the issuer for this API is taken")
@pytest.mark.parametrize(
    "changed", [{}, {"aud": [API]}, {"aud": [API, "https://other.example/"]}, {"nbf": int(NOW)}, {"iat": NOW + 0.5}]
)
def test_a_right_token_is_taken(changed: dict[str, Any]) -> None:
    assert check(OURS.token(**changed))["client_id"] == "spiffe://acme.example/courier"


@pytest.mark.spec(
    "RFC 9068", "4", "typ is at+jwt: a receipt, an ID token and an assertion are none, whoever signed them"
)
@pytest.mark.parametrize(
    "typ",
    [
        None,
        "JWT",
        "approval-receipt+jwt",
        "client-authentication+jwt",
        "dpop+jwt",
        "token-introspection+jwt",
        "secevent+jwt",
        "logout+jwt",
    ],
)
def test_other_kinds_of_tokens_are_refused(typ: str | None) -> None:
    with pytest.raises(TokenMalformed):
        check(OURS.token({"typ": typ}))


@pytest.mark.spec("RFC 8725", "3.1, 3.2", "hostile tokens are refused by their form")
@pytest.mark.parametrize(
    "make",
    [
        lambda: "",
        lambda: "opaque",
        lambda: OURS.token({"alg": "none"}),
        lambda: ".".join([*OURS.token({"alg": "none"}).split(".")[:2], ""]),
        lambda: OURS.token({"alg": "HS256"}),
        lambda: hmac_signed(OURS.header(alg="HS256"), OURS.claims(), OURS.key.as_pem(private=False)),
        lambda: OURS.token({"alg": "RS256"}),
        lambda: OURS.token({"crit": ["exp"]}),
        lambda: OURS.token({"b64": False, "crit": ["b64"]}),
        lambda: OURS.token({"b64": False}),
        lambda: OURS.token(padding="x" * jws.MAX_CHARACTERS),
        lambda: written(
            '{"typ":"at+jwt","alg":"ES256","kid":"key-1","kid":"key-1"}', OURS.claims(), OURS.key, alg="ES256"
        ),
        lambda: written(
            OURS.header(), '{"aud":"https://pay.example/","aud":"https://pay.example/"}', OURS.key, alg="ES256"
        ),
        lambda: written(OURS.header(), "[]", OURS.key, alg="ES256"),
        lambda: OURS.token() + ".",
    ],
)
def test_hostile_tokens_are_refused_by_their_form(make: Callable[[], str]) -> None:
    with pytest.raises(TokenMalformed):
        check(make())


STRANGER = Issuer()


@pytest.mark.spec("RFC 8725", "3.10", "a key that a header brings along or points at is never used")
@pytest.mark.parametrize(
    "header",
    [
        {"jwk": STRANGER.key.as_dict(private=False)},
        {"jwk": STRANGER.key.as_dict(private=False), "kid": None},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/cert"},
        {"x5c": ["MIIB"]},
        {},
    ],
)
def test_a_key_from_the_header_is_never_used(header: dict[str, Any]) -> None:
    with pytest.raises((TokenSignature, TokenKeyUnknown)):
        check(STRANGER.token(header))


@pytest.mark.spec("RFC 9068", "4", "the signature is checked with the issuer's key of this kid")
@pytest.mark.parametrize("kid", [None, "", "key-2", 1, ["key-1"], {"key-1": 1}, "KEY-1", "../key-1"])
def test_a_kid_that_the_issuer_does_not_have_is_refused(kid: object) -> None:
    with pytest.raises(TokenKeyUnknown):
        check(OURS.token({"kid": kid}))


@pytest.mark.spec("RFC 7517", "4.2, 4.3, 4.4", "a key of the issuer for another purpose verifies no token")
@pytest.mark.parametrize(
    "purpose", [{"use": "enc"}, {"key_ops": ["sign"], "use": None}, {"alg": "ES384"}, {"alg": "ECDH-ES"}]
)
def test_a_key_of_another_purpose_is_refused(purpose: dict[str, Any]) -> None:
    (jwk,) = OURS.jwks["keys"]
    published = {"keys": [{name: value for name, value in (jwk | purpose).items() if value is not None}]}
    keys = IssuerKeys("https://issuer.example/jwks", read=lambda url: published)
    with pytest.raises((TokenSignature, TokenKeyUnknown)):
        check(OURS.token(), keys=keys)


def test_a_changed_token_is_refused() -> None:
    head, _, signature = OURS.token().split(".")
    other = OURS.token(scope="everything").split(".")[1]
    with pytest.raises(TokenSignature):
        check(f"{head}.{other}.{signature}")
    with pytest.raises(TokenSignature):
        check(f"{head}.{other}.")


@pytest.mark.spec("RFC 9068", "2.2", "every token has iss, exp, aud, sub, client_id, iat and jti")
@pytest.mark.parametrize(
    "changed",
    [
        {"iss": None}, {"sub": None}, {"client_id": None}, {"jti": None}, {"exp": None}, {"iat": None},
        {"sub": ""}, {"sub": 7}, {"sub": ["a"]}, {"sub": "a\x00"}, {"sub": "x" * 2049}, {"client_id": True}, {"jti": {}},
        {"exp": "1800000300"}, {"exp": True}, {"exp": 1e300}, {"exp": -1}, {"iat": "now"}, {"nbf": "soon"}, {"nbf": [1]},
    ],
)  # fmt: skip
def test_a_token_without_its_claims_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(TokenClaims):
        check(OURS.token(**changed))


@pytest.mark.spec("RFC 9068", "4", "iss is exactly the issuer")
@pytest.mark.parametrize(
    "iss",
    [
        "https://issuer.example/",
        "https://ISSUER.example",
        "http://issuer.example",
        "https://issuer.example.evil",
        " https://issuer.example",
    ],
)
def test_another_issuer_is_refused(iss: str) -> None:
    with pytest.raises(WrongIssuer):
        check(OURS.token(iss=iss))


@pytest.mark.spec("RFC 9068", "4", "aud names this API exactly")
@pytest.mark.parametrize(
    "aud",
    [
        None, "", [], {}, 1, True, "https://pay.example", "https://pay.example//", "https://PAY.example/", "http://pay.example/",
        "https://pay.example/payments", "https://other.example/", ["https://other.example/"], [[API]], {API: 1}, [API, 7],
        [API, None], f"{API} https://other.example/", "*", [""],
    ],
)  # fmt: skip
def test_another_audience_is_refused_in_every_form(aud: object) -> None:
    with pytest.raises(WrongAudience):
        check(OURS.token(aud=aud))


@pytest.mark.spec("RFC 7519", "4.1.4, 4.1.5", "exp, nbf and iat hold, but for the skew that was allowed")
@pytest.mark.parametrize(
    ("changed", "refusal"),
    [
        ({"exp": NOW - SKEW_S + 1}, None),
        ({"exp": NOW - SKEW_S}, TokenExpired),
        ({"exp": 0}, TokenExpired),
        ({"nbf": NOW + SKEW_S}, None),
        ({"nbf": NOW + SKEW_S + 1}, TokenNotYetValid),
        ({"iat": NOW + SKEW_S}, None),
        ({"iat": NOW + SKEW_S + 1}, TokenNotYetValid),
    ],
)
def test_a_token_holds_in_its_time(changed: dict[str, Any], refusal: type[InvalidToken] | None) -> None:
    token = OURS.token(**changed)
    if refusal is None:
        assert check(token)
    else:
        with pytest.raises(refusal):
            check(token)


@pytest.mark.spec("RFC 7517", "5", "an unknown kid makes the keys be read again, once")
def test_a_rotated_key_is_found_and_made_up_ones_are_not_looked_for() -> None:
    at, reads, published = [0.0], [], [OURS]

    def read(url: str) -> dict[str, Any]:
        reads.append(url)
        return {"keys": [key for issuer in published for key in issuer.jwks["keys"]]}

    keys = IssuerKeys("https://issuer.example/jwks", read=read, clock=lambda: at[0])
    assert check(OURS.token(), keys=keys)
    successor = Issuer(key=ECKey.generate_key("P-256"), kid="key-2")
    published.append(successor)
    at[0] = 20
    assert check(successor.token(), keys=keys)
    for number in range(5):
        with pytest.raises(TokenKeyUnknown):
            check(OURS.token({"kid": f"made-up-{number}"}), keys=keys)
    assert len(reads) == 2
