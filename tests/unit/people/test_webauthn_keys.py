"""The keys of passkeys: what each of our algorithms makes verifies, and a key that is not what it says is refused."""

from __future__ import annotations

import json
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from aims.kit.ids import unb64url
from aims.people import webauthn
from aims.people.cose import ALGORITHMS, COORDINATE_BYTES, EDDSA, ES256, RS256, RSA_MIN_BITS, check_key
from aims.people.options import creation_options, request_options
from aims.people.webauthn import Assertion, Registration, StoredKey, WebAuthnRefused
from tests.support.soft_authenticator import NoCredential, SoftAuthenticator, b64url

pytestmark = pytest.mark.spec("WebAuthn L3", "6.5.1.1", "a key is what its algorithm says, and nothing else")
ORIGIN, RP_ID, HANDLE = "https://console.example", "console.example", b"usr_ada"
CHALLENGE = webauthn.tagged_challenge(webauthn.SIGN_IN, b"k" * 32)
P = 2**255 - 19


def creation() -> dict[str, Any]:
    return creation_options(
        challenge=CHALLENGE,
        rp_id=RP_ID,
        rp_name="Console",
        user_handle=HANDLE,
        user_name="ada@example.org",
        user_display_name="Ada",
        exclude=[],
    )


def register(answer: dict[str, Any]) -> Registration:
    return webauthn.verify_registration(json.dumps(answer), challenge=CHALLENGE, rp_id=RP_ID, origins=[ORIGIN])


def check(answer: dict[str, Any], credential_id: bytes, public_key: bytes) -> Assertion:
    return webauthn.verify_assertion(
        json.dumps(answer),
        challenge=CHALLENGE,
        rp_id=RP_ID,
        origins=[ORIGIN],
        keys={credential_id: StoredKey(credential_id, public_key, 0, False)},
        user_handle=HANDLE,
    )


def signed(authenticator: SoftAuthenticator) -> dict[str, Any]:
    return authenticator.get(request_options(challenge=CHALLENGE, rp_id=RP_ID, allow=[]))


def refusal(public_key: bytes) -> tuple[str, str]:
    with pytest.raises(WebAuthnRefused) as refused:
        check_key(public_key)
    return refused.value.code, str(refused.value.detail)


# -- what is genuine --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_key_of_each_algorithm_registers_and_signs(algorithm: int) -> None:
    authenticator = SoftAuthenticator(ORIGIN, RP_ID, algorithms=(algorithm,))
    made = register(authenticator.create(creation()))
    assert made.algorithm == cbor2.loads(made.public_key)[3] == algorithm
    assert check(signed(authenticator), made.credential_id, made.public_key).sign_count == 1


def test_the_algorithm_is_the_first_that_both_know() -> None:
    authenticator = SoftAuthenticator(ORIGIN, RP_ID, algorithms=(RS256, EDDSA))
    assert register(authenticator.create(creation())).algorithm == EDDSA


def test_an_authenticator_that_knows_none_makes_no_key() -> None:
    with pytest.raises(NoCredential):
        SoftAuthenticator(ORIGIN, RP_ID, algorithms=(-35,)).create(creation())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("changed", ["signature", "authenticatorData", "clientDataJSON"])
def test_a_changed_bit_is_refused_under_each_algorithm(algorithm: int, changed: str) -> None:
    authenticator = SoftAuthenticator(ORIGIN, RP_ID, algorithms=(algorithm,))
    made = register(authenticator.create(creation()))
    answer = signed(authenticator)
    raw = bytearray(unb64url(answer["response"][changed]))
    if changed == "clientDataJSON":
        raw = bytearray(bytes(raw).replace(b'"crossOrigin":false', b'"crossOrigin":false,"x":1'))
    else:
        raw[-1] ^= 1  # of authenticatorData that is the counter
    answer["response"][changed] = b64url(bytes(raw))
    with pytest.raises(WebAuthnRefused) as refused:
        check(answer, made.credential_id, made.public_key)
    assert refused.value.code == "signature_wrong"


@pytest.mark.parametrize("mine", ALGORITHMS)
@pytest.mark.parametrize("theirs", ALGORITHMS)
def test_a_signature_of_another_key_is_refused_whatever_its_algorithm(mine: int, theirs: int) -> None:
    ours, other = (SoftAuthenticator(ORIGIN, RP_ID, algorithms=(each,)) for each in (mine, theirs))
    made = register(ours.create(creation()))
    other.create(creation())
    answer = signed(other)
    answer["id"] = answer["rawId"] = b64url(made.credential_id)
    with pytest.raises(WebAuthnRefused) as refused:
        check(answer, made.credential_id, made.public_key)
    assert refused.value.code == "signature_wrong"


# -- what is not what it says -----------------------------------------------------------------------------------

EC = ec.generate_private_key(ec.SECP256R1()).public_key().public_numbers()
EC_X, EC_Y = (number.to_bytes(COORDINATE_BYTES, "big") for number in (EC.x, EC.y))
ED_X = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw()
RSA_N = rsa.generate_private_key(public_exponent=65537, key_size=RSA_MIN_BITS).public_key().public_numbers().n
N = RSA_N.to_bytes(RSA_MIN_BITS // 8, "big")
E = b"\1\0\1"
GENUINE: dict[int, dict[Any, Any]] = {
    ES256: {1: 2, 3: ES256, -1: 1, -2: EC_X, -3: EC_Y},
    EDDSA: {1: 1, 3: EDDSA, -1: 6, -2: ED_X},
    RS256: {1: 3, 3: RS256, -1: N, -2: E},
}


@pytest.mark.parametrize("algorithm", GENUINE)
def test_the_keys_that_are_changed_below_are_good(algorithm: int) -> None:
    assert check_key(cbor2.dumps(GENUINE[algorithm])) == algorithm


@pytest.mark.parametrize("claimed", ALGORITHMS)
@pytest.mark.parametrize("really", ALGORITHMS)
def test_a_key_whose_algorithm_is_not_of_its_type_is_refused(claimed: int, really: int) -> None:
    key = cbor2.dumps(GENUINE[really] | {3: claimed})
    if claimed == really:
        assert check_key(key) == claimed
    else:
        assert refusal(key) == ("key_malformed", "type")


@pytest.mark.parametrize(
    ("code", "detail", "key"),
    [
        ("algorithm_not_offered", "None", {1: 2, -1: 1, -2: EC_X, -3: EC_Y}),  # none at all
        ("algorithm_not_offered", "0", GENUINE[ES256] | {3: 0}),
        ("algorithm_not_offered", "-35", {1: 2, 3: -35, -1: 2, -2: b"\1" * 48, -3: b"\2" * 48}),  # ES384
        ("algorithm_not_offered", "-37", GENUINE[RS256] | {3: -37}),  # PS256
        ("algorithm_not_offered", "-65535", GENUINE[RS256] | {3: -65535}),  # RS1: SHA-1
        ("algorithm_not_offered", "-7", GENUINE[ES256] | {3: "-7"}),
        ("algorithm_not_offered", "None", {}),
        ("key_malformed", "type", GENUINE[ES256] | {1: 4}),  # symmetric
        ("key_malformed", "type", {3: ES256, -1: 1, -2: EC_X, -3: EC_Y}),
        ("key_malformed", "curve", {1: 2, 3: ES256, -1: 2, -2: b"\1" * 48, -3: b"\2" * 48}),  # P-384
        ("key_malformed", "curve", GENUINE[ES256] | {-1: 8}),  # secp256k1
        ("key_malformed", "curve", {1: 1, 3: EDDSA, -1: 7, -2: b"\1" * 57}),  # Ed448
        ("key_malformed", "curve", GENUINE[EDDSA] | {-1: 4}),  # X25519
        ("key_malformed", "members", GENUINE[ES256] | {-1: True}),  # which Python takes for 1
        ("key_malformed", "members", GENUINE[ES256] | {1: 2.0}),
        ("key_malformed", "members", GENUINE[ES256] | {-3: True}),  # a compressed point
        ("key_malformed", "members", GENUINE[ES256] | {-4: b"d" * 32}),  # the private key
        ("key_malformed", "members", GENUINE[EDDSA] | {2: b"kid"}),
        ("key_malformed", "members", {1: 1, 3: EDDSA, -1: 6}),
        ("key_malformed", "coordinate", GENUINE[ES256] | {-2: b"\0" + EC_X}),
        ("key_malformed", "coordinate", GENUINE[ES256] | {-2: 5}),
        ("key_malformed", "coordinate", GENUINE[EDDSA] | {-2: ED_X[:-1]}),
        ("key_malformed", "ValueError", GENUINE[ES256] | {-2: b"\1" * 32, -3: b"\2" * 32}),  # off the curve
        ("key_malformed", "1024 bits", GENUINE[RS256] | {-1: b"\xff" * 128}),
        ("key_malformed", "2047 bits", GENUINE[RS256] | {-1: b"\x7f" + b"\xff" * 255}),
        ("key_malformed", "8193 bits", GENUINE[RS256] | {-1: b"\1" + b"\xff" * 1024}),
        ("key_malformed", "ValueError", GENUINE[RS256] | {-2: b"\1"}),  # e = 1: the message is its own signature
        ("key_malformed", "ValueError", GENUINE[RS256] | {-2: b"\2"}),
    ],
)
def test_a_key_that_we_did_not_offer_is_refused_by_name(code: str, detail: str, key: dict[Any, Any]) -> None:
    assert refusal(cbor2.dumps(key)) == (code, detail)


@pytest.mark.parametrize("y", [0, 1, P - 1, P, P + 1])
@pytest.mark.parametrize("sign", [0, 0x80])
def test_a_point_under_which_anybody_signs_is_refused(y: int, sign: int) -> None:
    point = bytearray(y.to_bytes(32, "little"))
    point[-1] |= sign
    assert refusal(cbor2.dumps(GENUINE[EDDSA] | {-2: bytes(point)})) == ("key_malformed", "small order")


def test_why_a_point_of_small_order_matters() -> None:
    """The library takes a signature that nobody made: R the neutral point, S zero."""
    neutral = (1).to_bytes(32, "little")
    ed25519.Ed25519PublicKey.from_public_bytes(neutral).verify(neutral + bytes(32), b"whatever is asked")


def with_key(key: dict[Any, Any]) -> dict[str, Any]:
    """Register with this COSE key: the ``none`` format has no signature that could tell."""
    answer = SoftAuthenticator(ORIGIN, RP_ID).create(creation())
    attestation = cbor2.loads(unb64url(answer["response"]["attestationObject"]))
    attestation["authData"] = attestation["authData"][: 37 + 16 + 2 + 32] + cbor2.dumps(key)
    answer["response"]["attestationObject"] = b64url(cbor2.dumps(attestation))
    return answer


@pytest.mark.parametrize("key", [GENUINE[ES256] | {3: RS256}, GENUINE[RS256] | {-1: b"\xff" * 128}, {}])
def test_no_such_key_is_registered_or_believed_later(key: dict[Any, Any]) -> None:
    with pytest.raises(WebAuthnRefused):
        register(with_key(key))
    authenticator = SoftAuthenticator(ORIGIN, RP_ID)
    authenticator.create(creation())
    with pytest.raises(WebAuthnRefused) as refused:
        check(signed(authenticator), authenticator.credentials[0].credential_id, cbor2.dumps(key))
    assert refused.value.code in {"key_malformed", "algorithm_not_offered"}
