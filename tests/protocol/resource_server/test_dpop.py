"""A DPoP proof holds for one request, one token and one key; wrong in any one way, it proves nothing. RFC 9449."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey

from aims.resource_server import dpop, jws
from aims.resource_server.errors import (
    InvalidProof,
    ProofClaims,
    ProofCount,
    ProofKey,
    ProofMalformed,
    ProofMethod,
    ProofSignature,
    ProofTarget,
    ProofTime,
    ProofTokenHash,
    UseNonce,
)
from tests.unit.resource_server.made import NOW, PAYMENTS, Holder, hmac_signed, written

TOKEN = "a.token.of-some-kind"
HOLDER = Holder()


def check(
    *headers: str, token: str | None = TOKEN, method: str = "POST", url: str = PAYMENTS, now: float = NOW
) -> dpop.Proof:
    return dpop.check(headers, method=method, url=url, access_token=token, algorithms=jws.ALGORITHMS, now=now)


def changed(header: dict[str, Any] | None = None, **claims: Any) -> str:
    return HOLDER.proof(TOKEN, header, **claims)


@pytest.mark.spec("RFC 9449", "4.3", "a right proof proves the key, and says what is to be remembered")
def test_a_right_proof_is_taken() -> None:
    proof = check(changed(jti="one", nonce="n"))
    assert (proof.jkt, proof.jti, proof.nonce, proof.issued_at) == (HOLDER.cnf["jkt"], "one", "n", NOW)
    assert check(changed()).nonce is None


# RFC 9449 §4.1, §5 and §7.1, whose examples are code components under the Revised BSD License (IETF Trust).
_HEAD = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJo"
    "RjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19."
)
_AT_TOKEN = (
    "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0Ijox"
    "NTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
_AT_RESOURCE = (
    "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNv"
    "dXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrt"
    "NP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)


@pytest.mark.spec("RFC 9449", "5, 7.1", "the examples of the specification are taken")
def test_the_examples_of_the_specification_are_taken() -> None:
    token_url, resource_url = "https://server.example.com/token", "https://resource.example.org/protectedresource"
    at_token = check(_HEAD + _AT_TOKEN, token=None, url=token_url, now=1562262616)
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
    at_resource = check(_HEAD + _AT_RESOURCE, token=token, method="GET", url=resource_url, now=1562262620)
    assert at_token.jkt == at_resource.jkt == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


@pytest.mark.spec("RFC 9449", "4.3 (1)", "exactly one DPoP header")
@pytest.mark.parametrize(
    "headers",
    [
        (),
        (changed(), changed()),
        (f"{changed()},{changed()}",),
        (f"{changed()}, {changed()}",),
    ],
)
def test_none_two_and_two_in_one_are_refused(headers: tuple[str, ...]) -> None:
    with pytest.raises(ProofCount):
        check(*headers)


@pytest.mark.spec("RFC 9449", "4.3 (2), (4), (5)", "one well-formed JWT, of its type, under an asymmetric algorithm")
@pytest.mark.parametrize(
    "make",
    [
        lambda: "",
        lambda: "a.b.c",
        lambda: changed() + ".x",
        lambda: "x" * (jws.MAX_CHARACTERS + 1),
        lambda: changed({"typ": "JWT"}),
        lambda: changed({"typ": None}),
        lambda: changed({"typ": "at+jwt"}),
        lambda: changed({"typ": "dpop"}),
        lambda: changed({"alg": "none"}),
        lambda: changed({"alg": None}),
        lambda: changed({"alg": "HS256"}),
        lambda: changed({"alg": "RS256"}),
        lambda: changed({"crit": ["htm"]}),
        lambda: changed({"b64": False, "crit": ["b64"]}),
        lambda: hmac_signed(HOLDER.header(alg="HS256"), HOLDER.claims(TOKEN), HOLDER.key.as_pem(private=False)),
        lambda: ".".join([*changed({"alg": "none"}).split(".")[:2], ""]),
        lambda: written('{"typ":"dpop+jwt","typ":"dpop+jwt","alg":"ES256"}', {}, HOLDER.key, alg="ES256"),
        lambda: written(HOLDER.header(), '{"jti":"a","jti":"b"}', HOLDER.key, alg="ES256"),
    ],
)
def test_what_is_no_proof_is_refused(make: Callable[[], str]) -> None:
    with pytest.raises(ProofMalformed):
        check(make())


@pytest.mark.spec("RFC 9449", "4.3 (5)", "only algorithms that the server takes")
def test_an_algorithm_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(ProofMalformed):
        dpop.check([changed()], method="POST", url=PAYMENTS, access_token=TOKEN, algorithms={"EdDSA"}, now=NOW)


@pytest.mark.spec("RFC 9449", "4.2", "every accepted kind of key")
@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("ES256", ECKey.generate_key("P-256")),
        ("ES384", ECKey.generate_key("P-384")),
        ("EdDSA", OKPKey.generate_key("Ed25519")),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
        ("PS256", RSAKey.generate_key(2048)),
    ],
)
def test_every_accepted_kind_of_key_can_prove(alg: str, key: ECKey | OKPKey | RSAKey) -> None:
    header = {"typ": "dpop+jwt", "alg": alg, "jwk": key.as_dict(private=False)}
    assert check(written(header, HOLDER.claims(TOKEN), key, alg=alg)).jkt == key.thumbprint()


@pytest.mark.spec("RFC 9449", "4.3 (3)", "all claims, each of its type, and none longer than is kept")
@pytest.mark.parametrize(
    "claims",
    [
        {"jti": None}, {"jti": ""}, {"jti": 7}, {"jti": "x" * 256}, {"jti": "a\nb"}, {"jti": "a\x00"}, {"jti": ["a"]},
        {"htm": None}, {"htm": 1}, {"htm": ["POST"]}, {"htu": None}, {"htu": 1}, {"htu": [PAYMENTS]},
        {"iat": None}, {"iat": str(int(NOW))}, {"iat": True}, {"iat": -1}, {"iat": 10**30}, {"iat": [NOW]},
        {"nonce": 1}, {"nonce": ""}, {"nonce": "x" * 256}, {"nonce": "a\x7f"}, {"jti": "\ud800"},
    ],
)  # fmt: skip
def test_a_proof_without_its_claims_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(ProofClaims):
        check(changed(**claims))


def test_claims_at_the_edge_are_taken() -> None:
    assert check(changed(jti="x" * 255, nonce="y" * 255, iat=NOW + 0.5))


@pytest.mark.spec("RFC 9449", "4.3 (7)", "the key is one public key")
@pytest.mark.parametrize(
    "jwk",
    [
        None, {}, "key", [HOLDER.jwk], HOLDER.key.as_dict(private=True), HOLDER.jwk | {"d": "AAAA"},
        HOLDER.jwk | {"k": "AAAA"}, HOLDER.jwk | {"x": HOLDER.jwk["y"]}, {"kty": "oct", "k": "AAAA"},
        {"kty": "RSA", "n": jws.base64url(b"\xff" * 128), "e": "AQAB"}, ECKey.generate_key("P-521").as_dict(private=False),
    ],
)  # fmt: skip
def test_a_header_without_a_public_key_is_refused(jwk: object) -> None:
    with pytest.raises(ProofKey):
        check(changed({"jwk": jwk}))


@pytest.mark.spec("RFC 9449", "4.3 (6)", "the signature verifies with the key in the proof")
@pytest.mark.parametrize(
    "make",
    [
        lambda: changed({"jwk": Holder().jwk}),
        lambda: changed({"jwk": OKPKey.generate_key("Ed25519").as_dict(private=False)}),
        lambda: changed({"alg": "ES384"}),
        lambda: changed({"alg": "EdDSA"}),
        lambda: ".".join([*changed().split(".")[:2], ""]),
        lambda: ".".join([*changed(jti="a").split(".")[:2], changed(jti="b").split(".")[2]]),
    ],
)
def test_a_signature_of_another_key_is_refused(make: Callable[[], str]) -> None:
    with pytest.raises(ProofSignature):
        check(make())


@pytest.mark.spec("RFC 9449", "4.3 (8)", "htm is the method of the request")
@pytest.mark.parametrize("htm", ["GET", "post", "POST ", "", "*"])
def test_another_method_is_refused(htm: str) -> None:
    with pytest.raises(ProofMethod):
        check(changed(htm=htm))


@pytest.mark.spec("RFC 9449", "4.3 (9)", "htu is the address of the request, in any of its spellings")
@pytest.mark.parametrize(
    "htu",
    [
        PAYMENTS,
        "HTTPS://PAY.example:443/payments",
        "https://pay.example/a/../payments?x=1#y",
        "https://pay.example/%70ayments",
    ],
)
def test_other_spellings_of_the_address_are_taken(htu: str) -> None:
    assert check(changed(htu=htu), url=PAYMENTS + "?page=2").target == PAYMENTS


@pytest.mark.spec("RFC 9449", "4.3 (9)", "htu is the address of the request")
@pytest.mark.parametrize(
    "htu",
    [
        "", "/payments", "pay.example/payments", "http://pay.example/payments", "https://pay.example:8443/payments",
        "https://pay.example/payments/", "https://pay.example/Payments", "https://pay.example/", "https://evil.example/payments",
        "https://pay.example@evil.example/payments", "https://evil.example@pay.example/payments", "https://pay.example/payments\n",
        "https://pay.example/accounts", "https://pay.example//payments", "https://pay.example/x" + "a" * 3000,
    ],
)  # fmt: skip
def test_another_address_is_refused(htu: str) -> None:
    with pytest.raises(ProofTarget):
        check(changed(htu=htu))


def test_a_request_whose_own_address_is_unknown_takes_no_proof() -> None:
    with pytest.raises(ProofTarget):
        check(changed(htu="not a target"), url="not a target")


@pytest.mark.spec("RFC 9449", "4.3 (11), 11.1", "at most 60 s old and 10 s ahead")
@pytest.mark.parametrize(
    ("age_s", "is_taken"), [(60, True), (0, True), (-10, True), (60.5, False), (-10.5, False), (3600, False)]
)
def test_a_proof_is_of_this_minute(age_s: float, is_taken: bool) -> None:
    made = changed(iat=NOW - age_s)
    if is_taken:
        assert check(made)
    else:
        with pytest.raises(ProofTime):
            check(made)


@pytest.mark.spec("RFC 9449", "4.3 (12)", "ath is the hash of the token that came with it")
@pytest.mark.parametrize("ath", [None, "", "x", TOKEN, 1, "\ud800", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"])
def test_a_proof_for_another_token_is_refused(ath: object) -> None:
    with pytest.raises(ProofTokenHash):
        check(changed(ath=ath))


def test_where_no_token_comes_along_none_is_asked_for() -> None:
    assert check(HOLDER.proof(None), token=None)
    assert check(changed(), token=None)


@pytest.mark.spec(
    "RFC 9449", "11.1", "what is remembered: the jti in the context of the target, hashed, while it counts"
)
def test_what_is_to_be_remembered_tells_key_target_and_jti_apart() -> None:
    def name(holder: Holder = HOLDER, url: str = PAYMENTS, **claims: Any) -> str:
        return check(holder.proof(TOKEN, **{"jti": "one", "htu": url} | claims), url=url).use.name

    assert name() == name(iat=NOW - 5) == name(nonce="n")
    assert len({name(), name(jti="two"), name(url=PAYMENTS + "2"), name(Holder())}) == 4
    use = check(changed(jti="one")).use
    assert (use.kind, use.earliest, use.latest) == ("proof", NOW - 10, NOW + 60) and "one" not in use.name


NONCES = dpop.Nonces(b"k" * 32)


def asked(nonce: str | None, *, at: float = NOW) -> str | None:
    """Return the nonce that the answer asks for, None where this one is taken."""
    try:
        dpop.require_nonce(check(changed(nonce=nonce)), NONCES, now=at)
    except UseNonce as refused:
        return refused.nonce
    return None


@pytest.mark.spec("RFC 9449", "8, 9", "a nonce is ours, of now or a moment ago")
def test_our_nonce_is_taken_for_a_while() -> None:
    nonce = NONCES.current(NOW)
    for later_s in (0, 60, 120):
        assert asked(nonce, at=NOW + later_s) is None
    assert asked(nonce, at=NOW + 2 * dpop.NONCE_SLOT_S) == NONCES.current(NOW + 2 * dpop.NONCE_SLOT_S) != nonce
    assert asked(nonce, at=NOW - 2 * dpop.NONCE_SLOT_S)


@pytest.mark.spec("RFC 9449", "8, 9", "no nonce and another's nonce are answered with ours")
@pytest.mark.parametrize("nonce", [None, "made-up", dpop.Nonces(b"x" * 32).current(NOW)])
def test_no_nonce_of_ours_is_answered_with_one_that_works(nonce: str | None) -> None:
    given = asked(nonce)
    assert given and asked(given) is None


def test_a_nonce_needs_a_key_that_nobody_guesses() -> None:
    with pytest.raises(ValueError, match="32"):
        dpop.Nonces(b"short")


def test_a_nonce_refusal_is_no_bad_proof() -> None:
    assert not issubclass(UseNonce, InvalidProof) and UseNonce.error == "use_dpop_nonce"
