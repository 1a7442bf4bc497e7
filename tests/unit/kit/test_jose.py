"""kit/jose.py: what is signed comes back, and everything that is not strictly a JWS of ours is refused."""

from __future__ import annotations

import base64
import json

import pytest
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from aims.kit import jose
from aims.kit.ids import b64url

KEYS: dict[str, jose.JoseKey] = {
    "ES256": ECKey.generate_key("P-256"),
    "ES384": ECKey.generate_key("P-384"),
    "PS256": RSAKey.generate_key(2048),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "Ed25519": OKPKey.generate_key("Ed25519"),
}
JWT = frozenset({"jwt"})


def public(algorithm: str) -> jose.JoseKey:
    return jose.import_public(KEYS[algorithm].as_dict(private=False))


def token(algorithm: str = "ES256") -> str:
    return jose.sign({"sub": "a"}, key=KEYS[algorithm], typ="JWT", kid="k", algorithm=algorithm)


def made_of(header: str, payload: str = '{"sub":"a"}', *, algorithm: str = "ES256") -> str:
    """A token with this exact header and payload text, rightly signed."""
    signing_input = f"{b64url(header.encode())}.{b64url(payload.encode())}"
    signature = JWSRegistry.algorithms[algorithm].sign(signing_input.encode(), KEYS[algorithm])
    return f"{signing_input}.{b64url(signature)}"


def decode(text: str, algorithm: str = "ES256") -> jose.Decoded:
    return jose.decode(text, keys=lambda header: public(algorithm), algorithms=jose.ALGORITHMS, typ=JWT)


def refusal(text: str, algorithm: str = "ES256") -> str:
    with pytest.raises(jose.JoseRefused) as caught:
        decode(text, algorithm)
    return caught.value.code


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_what_each_algorithm_signs_verifies(algorithm: str) -> None:
    assert decode(token(algorithm), algorithm).claims == {"sub": "a"}


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_another_key_of_the_same_kind_does_not_verify(algorithm: str) -> None:
    text = token(algorithm)
    last = "A" if text[-10] != "A" else "B"
    assert refusal(text[:-10] + last + text[-9:], algorithm) == "bad_signature"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", "ES512", "", None, 1, ["ES256"]])
def test_an_algorithm_that_is_not_listed_is_refused(algorithm: object) -> None:
    assert refusal(made_of(json.dumps({"alg": algorithm, "typ": "JWT"}))) == "algorithm"


def test_an_algorithm_that_does_not_fit_the_key_is_refused() -> None:
    assert refusal(token("ES384"), "ES256") == "wrong_key"


@pytest.mark.parametrize("extra", ['"crit":["exp"]', '"b64":false', '"crit":[]'])
def test_critical_headers_are_refused(extra: str) -> None:
    assert refusal(made_of('{"alg":"ES256","typ":"JWT",' + extra + "}")) == "critical"


@pytest.mark.parametrize("typ", ["at+jwt", "application/at+jwt", "", 5])
def test_another_type_is_refused(typ: object) -> None:
    assert refusal(made_of(json.dumps({"alg": "ES256", "typ": typ}))) == "typ"


@pytest.mark.parametrize("typ", ["JWT", "jwt", "application/JWT"])
def test_the_type_is_compared_without_case_and_prefix(typ: str) -> None:
    assert decode(made_of(json.dumps({"alg": "ES256", "typ": typ}))).claims == {"sub": "a"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "a.b.c.d",
        "..",
        made_of('{"alg":"ES256","typ":"JWT","alg":"ES256"}'),
        made_of('{"alg":"ES256","typ":"JWT"}', '{"sub":"a","sub":"b"}'),
        made_of('{"alg":"ES256","typ":"JWT"}', "[1]"),
        made_of('{"alg":"ES256","typ":"JWT"}', '{"n":NaN}'),
        made_of('{"alg":"ES256","typ":"JWT"}', "[" * 5000),
        made_of('{"alg":"ES256","typ":"JWT","kid":5}'),
        token() + "=",
        token().replace(".", ".\n", 1),
        made_of("\ud800".encode("utf-16", "surrogatepass").decode("latin1")),
    ],
)
def test_anything_that_is_not_a_strict_compact_jws_is_malformed(text: str) -> None:
    assert refusal(text) == "malformed"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-8-sig", "latin-1"])
def test_json_in_another_encoding_than_utf_8_is_malformed(encoding: str) -> None:
    head = {"alg": "ES256", "typ": "JWT", "kid": "\u00e9"}
    _, payload, signature = token().split(".")
    written = base64.urlsafe_b64encode(json.dumps(head, ensure_ascii=False).encode(encoding)).decode().rstrip("=")
    assert refusal(f"{written}.{payload}.{signature}") == "malformed"


def test_base64url_that_spells_the_same_bytes_differently_is_refused() -> None:
    head, payload, signature = token().split(".")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 64 bytes leave four spare bits in the last letter: the next letter spells the same bytes.
    twin = signature[:-1] + letters[letters.index(signature[-1]) + 1]
    assert base64.urlsafe_b64decode(twin + "==") == base64.urlsafe_b64decode(signature + "==")
    assert refusal(f"{head}.{payload}.{twin}") == "malformed"


def test_sixteen_kibibytes_is_the_limit() -> None:
    assert refusal("a" * (jose.JWS_MAX_BYTES + 1)) == "too_long"


def test_keys_named_in_the_header_are_not_followed() -> None:
    header = {
        "alg": "ES256",
        "typ": "JWT",
        "jku": "https://evil.example/",
        "jwk": KEYS["ES256"].as_dict(private=False),
    }
    with pytest.raises(jose.JoseRefused) as caught:
        jose.decode(
            made_of(json.dumps(header)),
            keys=lambda header: None,
            algorithms=jose.ALGORITHMS,
            typ=JWT,
        )
    assert caught.value.code == "unknown_key"


@pytest.mark.parametrize(
    ("jwk", "code"),
    [
        (KEYS["ES256"].as_dict(private=True), "private_key"),
        ({"kty": "oct", "k": "AAAA"}, "private_key"),
        ({"kty": "oct"}, "key_type"),
        ({"kty": "EC", "crv": "P-256"}, "malformed_key"),
        ({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}, "malformed_key"),
        (ECKey.generate_key("P-521").as_dict(private=False), "weak_key"),
        (OKPKey.generate_key("Ed448").as_dict(private=False), "weak_key"),
        ({}, "key_type"),
    ],
)
def test_a_key_we_cannot_use_is_refused(jwk: dict[str, object], code: str) -> None:
    with pytest.raises(jose.JoseRefused) as caught:
        jose.import_public(jwk)
    assert caught.value.code == code


def test_the_thumbprint_is_the_one_of_rfc_7638() -> None:
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknj"
        "hMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQ"
        "vRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
        "nqDKgw"
    )
    assert jose.thumbprint({"kty": "RSA", "n": modulus, "e": "AQAB"}) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
