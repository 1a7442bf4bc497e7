"""jws.py: strict form, keys that say what they are for, nothing in a header followed."""

from __future__ import annotations

from typing import Any

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from aims.resource_server import jws
from tests.unit.resource_server.made import hmac_signed, written

KEYS: dict[str, ECKey | RSAKey | OKPKey] = {
    "ES256": ECKey.generate_key("P-256"),
    "ES384": ECKey.generate_key("P-384"),
    "PS256": RSAKey.generate_key(2048),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "Ed25519": OKPKey.generate_key("Ed25519"),
}
HEADER = {"typ": "at+jwt", "alg": "ES256", "kid": "k"}


def public(algorithm: str) -> jws.Key:
    return jws.public_key(KEYS[algorithm].as_dict(private=False))


def parse(text: str) -> jws.Jws:
    return jws.parse(text, typ="at+jwt", algorithms=jws.ALGORITHMS)


def signed(header: dict[str, Any] | str, claims: dict[str, Any] | str = "{}") -> str:
    return written(header, claims, KEYS["ES256"], alg="ES256")


def refusal(text: str) -> str:
    with pytest.raises(jws.NotAcceptable) as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_what_a_key_signed_verifies_with_it_and_with_no_other(algorithm: str) -> None:
    found = parse(written(HEADER | {"alg": algorithm}, {"sub": "a"}, KEYS[algorithm], alg=algorithm))
    jws.verify(found, key=public(algorithm))
    assert found.claims == {"sub": "a"}
    for other in KEYS:
        if public(other).thumbprint != public(algorithm).thumbprint:
            with pytest.raises(jws.BadSignature):
                jws.verify(found, key=public(other))


def test_rs256_is_taken_only_where_it_is_named() -> None:
    text = written(HEADER | {"alg": "RS256"}, {}, KEYS["PS256"], alg="RS256")
    assert "algorithm" in refusal(text)
    found = jws.parse(text, typ="at+jwt", algorithms=jws.ALGORITHMS | {"RS256"})
    jws.verify(found, key=public("PS256"))


@pytest.mark.parametrize("spelling", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"])
def test_the_type_is_compared_as_a_media_type(spelling: str) -> None:
    assert parse(signed(HEADER | {"typ": spelling}))


@pytest.mark.parametrize("typ", [None, "", "JWT", "at+jwt ", "application/application/at+jwt", ["at+jwt"], True])
def test_any_other_type_is_refused(typ: object) -> None:
    assert "typ" in refusal(signed({**HEADER, "typ": typ}))


def test_no_type_is_refused() -> None:
    assert "typ" in refusal(signed({"alg": "ES256"}))


@pytest.mark.parametrize("alg", [None, "none", "None", "HS256", "es256", "ES256K", "RSA-OAEP", ["ES256"], {}, 1])
def test_other_algorithms_are_refused_before_any_key_is_asked_for(alg: object) -> None:
    assert "algorithm" in refusal(signed({**HEADER, "alg": alg}))


def test_hmac_under_the_public_key_is_refused_even_where_somebody_would_name_it() -> None:
    text = hmac_signed(HEADER | {"alg": "HS256"}, {}, KEYS["PS256"].as_pem(private=False))
    found = jws.parse(text, typ="at+jwt", algorithms={"HS256"})
    with pytest.raises(jws.BadSignature):
        jws.verify(found, key=public("PS256"))


@pytest.mark.parametrize(
    "extra", [{"crit": ["exp"]}, {"crit": []}, {"b64": False}, {"b64": False, "crit": ["b64"]}, {"b64": True}]
)
def test_critical_headers_are_refused(extra: dict[str, Any]) -> None:
    assert "critical" in refusal(signed(HEADER | extra))


@pytest.mark.parametrize(
    "header",
    [
        '{"typ":"at+jwt","alg":"ES256","alg":"ES256"}',
        '{"typ":"at+jwt","alg":"ES256","x":NaN}',
        '{"typ":"at+jwt","alg":"ES256","x":Infinity}',
        '["typ"]',
        "null",
        '{"typ":"at+jwt"',
        '\ufeff{"typ":"at+jwt","alg":"ES256"}',
        '{"typ":"at+jwt","alg":"ES256"}{}',
        '{"x":' + "[" * 5000 + "]" * 5000 + "}",
    ],
)
def test_a_header_that_is_not_one_strict_json_object_is_refused(header: str) -> None:
    assert "strict JSON" in refusal(signed(header)) or "object" in refusal(signed(header))


@pytest.mark.parametrize("claims", ['{"aud":"a","aud":"b"}', "[]", '"x"', "", '{"a":{"b":1,"b":2}}', "{'a':1}"])
def test_claims_that_are_not_one_strict_json_object_are_refused(claims: str) -> None:
    assert refusal(signed(HEADER, claims))


def test_claims_in_utf_16_are_refused() -> None:
    head, _claims, signature = signed(HEADER).split(".")
    assert "strict JSON" in refusal(f"{head}.{jws.base64url('{}'.encode('utf-16'))}.{signature}")


@pytest.mark.parametrize("text", ["", ".", "..", "a.b", "a.b.c.d", "a.b.c.d.e", "é.é.é", "{}.{}.{}", " . . "])
def test_what_is_no_compact_jws_is_refused(text: str) -> None:
    assert refusal(text)


def test_one_spelling_only() -> None:
    head, claims, signature = signed(HEADER, {"sub": "abcd"}).split(".")
    assert parse(f"{head}.{claims}.{signature}")
    last = chr(ord(signature[-1]) + 1)  # the same octets, with unused bits set
    for changed in (
        f"{head}.{claims}.{signature}==",
        f"{head}=.{claims}.{signature}",
        f"{head}.{claims}.{signature[:-1]}{last}",
        f"{head}.{claims}\n.{signature}",
        f" {head}.{claims}.{signature}",
        f"{head}.{claims}.{signature}+/",
    ):
        assert refusal(changed)


def test_the_longest_is_16_kib() -> None:
    text = signed(HEADER, {"x": "a" * 11_000})
    longest = text + "A" * (jws.MAX_CHARACTERS - len(text))
    assert refusal(longest + "A") == "it is not a compact JWS"
    assert len(text) < jws.MAX_CHARACTERS and parse(text)


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"x" * 63, b"x" * 65, b"\xff" * 64])
def test_signatures_that_are_no_numbers_do_not_verify(signature: bytes) -> None:
    head, claims, _ = signed(HEADER).split(".")
    with pytest.raises(jws.BadSignature):
        jws.verify(parse(f"{head}.{claims}.{jws.base64url(signature)}"), key=public("ES256"))


def test_a_changed_claim_does_not_verify() -> None:
    head, _, signature = signed(HEADER, {"sub": "a"}).split(".")
    with pytest.raises(jws.BadSignature):
        jws.verify(parse(f"{head}.{jws.base64url(b'{}')}.{signature}"), key=public("ES256"))


def test_an_algorithm_joserfc_knows_and_the_key_does_not_allow_is_refused() -> None:
    assert "RS256" in JWSRegistry.algorithms
    only_ps256 = jws.Key(material=KEYS["PS256"], algorithms=frozenset({"PS256"}), thumbprint="x")
    text = written(HEADER | {"alg": "RS256"}, {}, KEYS["PS256"], alg="RS256")
    with pytest.raises(jws.BadSignature, match="fit"):
        jws.verify(jws.parse(text, typ="at+jwt", algorithms={"RS256"}), key=only_ps256)


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    # RFC 9449 §6.1's key.
    key = {
        "kty": "EC", "crv": "P-256",
        "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    }  # fmt: skip
    assert (
        jws.public_key(key | {"kid": "other", "use": "enc"}).thumbprint == "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    )


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_private_keys_are_refused(algorithm: str) -> None:
    with pytest.raises(jws.NotAcceptable, match="not a public key"):
        jws.public_key(KEYS[algorithm].as_dict(private=True))


EC = KEYS["ES256"].as_dict(private=False)
RSA = KEYS["PS256"].as_dict(private=False)


@pytest.mark.parametrize(
    "jwk",
    [
        None, [], "x", {}, {"kty": "oct", "k": "AAAA"}, {"kty": "oct"}, {"kty": ["EC"]},
        EC | {"crv": "secp256k1"}, EC | {"crv": "P-521"}, EC | {"crv": "P-384"}, EC | {"crv": 1}, EC | {"x": EC["y"]},
        EC | {"x": str(EC["x"]) + "=="}, EC | {"x": jws.base64url(b"\0" + jws.octets(str(EC["x"])))}, EC | {"y": None},
        {name: value for name, value in EC.items() if name != "x"}, {"kty": "EC"},
        RSA | {"n": jws.base64url(b"\0" + jws.octets(str(RSA["n"])))}, RSA | {"e": "AAEAAQ"}, RSA | {"e": ""},
        RSA | {"n": jws.base64url(b"\xff" * 128)}, RSA | {"n": jws.base64url(b"\xff" * 1025)}, RSA | {"e": "AQ"},
        OKPKey.generate_key("X25519").as_dict(private=False), {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": "OKP", "crv": "Ed448", "x": jws.base64url(b"x" * 57)},
    ],
)  # fmt: skip
def test_what_is_no_accepted_public_key_is_refused(jwk: object) -> None:
    with pytest.raises(jws.NotAcceptable):
        jws.public_key(jwk)


@pytest.mark.parametrize(
    ("value", "is_one"),
    [(0, True), (1.5, True), (10**10, True), (-1, False), (True, False), ("1", False), (None, False), (10**400, False),
     (1e11, False), (float("inf"), False), ([1], False)],
)  # fmt: skip
def test_a_numeric_date_is_a_number_of_a_year_that_a_clock_shows(value: object, is_one: bool) -> None:
    assert jws.is_date(value) is is_one
