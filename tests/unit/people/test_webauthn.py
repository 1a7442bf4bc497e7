"""The strict WebAuthn layer: what it accepts, and each thing it refuses by name."""

from __future__ import annotations

import base64
import json
from typing import Any

import cbor2
import pytest

from aims.people import webauthn
from aims.people.cose import ES256
from aims.people.options import Descriptor, creation_options, request_options
from aims.people.webauthn import Flags, Registration, StoredKey, WebAuthnRefused
from tests.support.soft_authenticator import (
    SOFTWARE_AAGUID,
    HostileAuthenticator,
    Lies,
    NoCredential,
    SoftAuthenticator,
    b64url,
)

ORIGIN, RP_ID = "https://console.example", "console.example"
CHALLENGE = webauthn.tagged_challenge(webauthn.SIGN_IN, b"r" * 32)
HANDLE = b"usr_ada"


def _creation(exclude: list[Descriptor] | None = None) -> dict[str, Any]:
    return creation_options(
        challenge=CHALLENGE,
        rp_id=RP_ID,
        rp_name="Console",
        user_handle=HANDLE,
        user_name="ada@example.org",
        user_display_name="Ada",
        exclude=exclude or [],
    )


def _request(allow: list[Descriptor] | None = None) -> dict[str, Any]:
    return request_options(challenge=CHALLENGE, rp_id=RP_ID, allow=allow or [])


def _register(authenticator: SoftAuthenticator) -> Registration:
    answer = json.dumps(authenticator.create(_creation()))
    return webauthn.verify_registration(answer, challenge=CHALLENGE, rp_id=RP_ID, origins=[ORIGIN])


def _stored(made: Registration, *, sign_count: int = 0) -> dict[bytes, StoredKey]:
    key = StoredKey(made.credential_id, made.public_key, sign_count, made.is_backup_eligible)
    return {made.credential_id: key}


def _assert(answer: dict[str, Any] | str, keys: dict[bytes, StoredKey]) -> webauthn.Assertion:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return webauthn.verify_assertion(
        text,
        challenge=CHALLENGE,
        rp_id=RP_ID,
        origins=[ORIGIN],
        keys=keys,
        user_handle=HANDLE,
    )


def _refusal(lies: Lies) -> str:
    authenticator = HostileAuthenticator(ORIGIN, RP_ID)
    made = _register(authenticator)
    authenticator.lies = lies
    with pytest.raises(WebAuthnRefused) as refused:
        _assert(authenticator.get(_request()), _stored(made))
    return refused.value.code


def test_a_registration_keeps_the_key_and_its_evidence() -> None:
    made = _register(SoftAuthenticator(ORIGIN, RP_ID))
    assert made.algorithm == ES256
    assert made.aaguid.replace("-", "") == SOFTWARE_AAGUID.hex()
    assert made.transports == ("internal",)
    assert cbor2.loads(made.public_key)[3] == ES256
    assert not made.is_backup_eligible


def test_a_genuine_assertion_verifies_and_counts() -> None:
    authenticator = SoftAuthenticator(ORIGIN, RP_ID)
    made = _register(authenticator)
    seen = _assert(authenticator.get(_request([Descriptor(made.credential_id)])), _stored(made))
    assert (seen.sign_count, seen.origin, seen.user_handle) == (1, ORIGIN, HANDLE)
    assert Flags.USER_VERIFIED in Flags(seen.flags)


def test_an_assertion_without_a_user_handle_verifies_for_a_known_person() -> None:
    authenticator = HostileAuthenticator(ORIGIN, RP_ID)
    made = _register(authenticator)
    authenticator.lies = Lies(response={"userHandle": None})
    assert _assert(authenticator.get(_request()), _stored(made)).user_handle is None


def test_reserved_flags_are_tolerated_and_recorded() -> None:
    authenticator = HostileAuthenticator(ORIGIN, RP_ID)
    made = _register(authenticator)
    authenticator.lies = Lies(flags=Flags.RESERVED_1)
    assert Flags.RESERVED_1 in Flags(_assert(authenticator.get(_request()), _stored(made)).flags)


def test_the_look_up_reads_what_the_response_claims() -> None:
    authenticator = SoftAuthenticator(ORIGIN, RP_ID)
    made = _register(authenticator)
    claim = webauthn.claimed(json.dumps(authenticator.get(_request())))
    assert (claim.credential_id, claim.challenge, claim.user_handle) == (
        made.credential_id,
        CHALLENGE,
        HANDLE,
    )


def test_challenges_of_different_ceremonies_never_meet() -> None:
    tags = [webauthn.SIGN_IN, webauthn.ENROL, webauthn.ADD_KEY, b"agent-approval/v1"]
    assert len({webauthn.tagged_challenge(tag, b"same") for tag in tags}) == 4


def _twice(member: str) -> Any:
    return lambda raw: raw[:-1] + b',"' + member.encode() + b'":' + json.dumps(json.loads(raw)[member]).encode() + b"}"


def _escaped_twice(raw: bytes) -> bytes:
    return raw[:-1] + b',"\\u006frigin":"https://evil.example"}'


EXTENSION = cbor2.dumps({"remoteClientDataJSON": b"{}"})


@pytest.mark.parametrize(
    ("code", "lies"),
    [
        ("wrong_ceremony", Lies(members={"type": "webauthn.create"})),
        ("wrong_ceremony", Lies(members={"type": "payment.get"})),
        ("wrong_ceremony", Lies(members={"type": None})),
        ("challenge_differs", Lies(members={"challenge": b64url(b"x" * 32)})),
        ("challenge_differs", Lies(members={"challenge": ""})),
        ("client_data_malformed", Lies(members={"challenge": b64url(CHALLENGE) + "="})),
        ("client_data_malformed", Lies(members={"challenge": 5})),
        ("client_data_malformed", Lies(members={"challenge": None})),
        ("origin_not_allowed", Lies(members={"origin": "https://sub.console.example"})),
        ("origin_not_allowed", Lies(members={"origin": ORIGIN + ":443"})),
        ("origin_not_allowed", Lies(members={"origin": ORIGIN + "/"})),
        ("origin_not_allowed", Lies(members={"origin": [ORIGIN]})),
        ("origin_not_allowed", Lies(members={"origin": None})),
        ("cross_origin", Lies(members={"crossOrigin": True})),
        ("cross_origin", Lies(members={"crossOrigin": "false"})),
        ("cross_origin", Lies(members={"crossOrigin": 0})),
        ("cross_origin", Lies(members={"topOrigin": ORIGIN})),
        ("client_data_malformed", Lies(client_data=_twice("challenge"))),
        ("client_data_malformed", Lies(client_data=_twice("type"))),
        ("client_data_malformed", Lies(client_data=_escaped_twice)),
        ("client_data_malformed", Lies(client_data=lambda raw: b"\xef\xbb\xbf" + raw)),
        (
            "client_data_malformed",
            Lies(client_data=lambda raw: raw[:-1] + b',"x":"\xff"}'),
        ),
        ("client_data_malformed", Lies(client_data=lambda raw: raw + b"x")),
        (
            "client_data_malformed",
            Lies(client_data=lambda raw: raw[:-1] + b',"x":NaN}'),
        ),
        ("client_data_malformed", Lies(client_data=lambda raw: b"[" * 4000)),
        ("client_data_malformed", Lies(client_data=lambda raw: b"[]")),
        ("response_too_large", Lies(client_data=lambda raw: raw + b" " * 4096)),
        ("wrong_rp_id", Lies(rp_id="evil.example")),
        ("user_not_present", Lies(flags=Flags.USER_PRESENT)),
        ("user_not_verified", Lies(flags=Flags.USER_VERIFIED)),
        ("backup_flags_contradict", Lies(flags=Flags.BACKED_UP)),
        ("backup_eligibility_changed", Lies(flags=Flags.BACKUP_ELIGIBLE)),
        ("attested_data_in_assertion", Lies(flags=Flags.ATTESTED_DATA)),
        (
            "extension_not_asked_for",
            Lies(flags=Flags.EXTENSION_DATA, trailing=EXTENSION),
        ),
        (
            "cbor_malformed",
            Lies(flags=Flags.EXTENSION_DATA, trailing=EXTENSION + b"\0"),
        ),
        ("cbor_malformed", Lies(flags=Flags.EXTENSION_DATA)),
        ("cbor_malformed", Lies(flags=Flags.EXTENSION_DATA, trailing=b"\x81" * 1000)),
        ("cbor_malformed", Lies(flags=Flags.EXTENSION_DATA, trailing=cbor2.dumps([1]))),
        ("authenticator_data_malformed", Lies(trailing=b"\0")),
        (
            "extension_not_asked_for",
            Lies(outer={"clientExtensionResults": {"remoteClientDataJSON": "e30"}}),
        ),
        ("response_malformed", Lies(outer={"clientExtensionResults": []})),
        ("response_malformed", Lies(outer={"type": "password"})),
        ("response_malformed", Lies(outer={"id": b64url(b"other")})),
        ("response_malformed", Lies(outer={"response": "e30"})),
        ("response_malformed", Lies(response={"signature": None})),
        ("response_malformed", Lies(response={"signature": "AB"})),
        ("response_malformed", Lies(response={"signature": "A A"})),
        (
            "signature_wrong",
            Lies(response={"signature": b64url(b"\x30\x06\x02\x01\x01\x02\x01\x01")}),
        ),
        ("signature_wrong", Lies(response={"signature": ""})),
        ("response_too_large", Lies(response={"signature": b64url(b"s" * 1025)})),
        ("response_too_large", Lies(outer={"padding": "p" * 65536})),
        ("response_too_large", Lies(handle=b"h" * 65)),
        ("user_handle_differs", Lies(handle=b"usr_eve")),
        ("user_handle_differs", Lies(handle=b"")),
    ],
)
def test_a_hostile_assertion_is_refused_by_name(code: str, lies: Lies) -> None:
    assert _refusal(lies) == code


def test_a_key_outside_the_allow_list_is_refused() -> None:
    mine, other = SoftAuthenticator(ORIGIN, RP_ID), SoftAuthenticator(ORIGIN, RP_ID)
    made = _register(mine)
    _register(other)
    with pytest.raises(WebAuthnRefused) as refused:
        _assert(other.get(_request()), _stored(made))
    assert refused.value.code == "credential_not_allowed"


def test_another_persons_key_under_my_credential_id_is_refused() -> None:
    mine, other = SoftAuthenticator(ORIGIN, RP_ID), SoftAuthenticator(ORIGIN, RP_ID)
    made, theirs = _register(mine), _register(other)
    swapped = StoredKey(made.credential_id, theirs.public_key, 0, False)
    with pytest.raises(WebAuthnRefused) as refused:
        _assert(mine.get(_request()), {made.credential_id: swapped})
    assert refused.value.code == "signature_wrong"


@pytest.mark.parametrize(("stored", "shown"), [(5, 5), (5, 4), (5, 0)])
def test_a_counter_that_does_not_grow_is_refused_as_a_suspected_clone(stored: int, shown: int) -> None:
    authenticator = HostileAuthenticator(ORIGIN, RP_ID)
    made = _register(authenticator)
    authenticator.lies = Lies(sign_count=shown)
    with pytest.raises(WebAuthnRefused) as refused:
        _assert(authenticator.get(_request()), _stored(made, sign_count=stored))
    assert refused.value.code == "clone_suspected"


def test_a_key_that_never_counts_may_sign_again() -> None:
    authenticator = HostileAuthenticator(ORIGIN, RP_ID)
    made = _register(authenticator)
    authenticator.lies = Lies(sign_count=0)
    assert _assert(authenticator.get(_request()), _stored(made)).sign_count == 0


def test_duplicate_members_in_the_outer_answer_are_refused() -> None:
    authenticator = SoftAuthenticator(ORIGIN, RP_ID)
    made = _register(authenticator)
    text = json.dumps(authenticator.get(_request()))
    with pytest.raises(WebAuthnRefused) as refused:
        _assert(text[:-1] + ', "type": "public-key"}', _stored(made))
    assert refused.value.code == "response_malformed"


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "\ud800", '{"response": {}, "type": "public-key"}'])
def test_nonsense_is_refused_and_never_crashes(text: str) -> None:
    with pytest.raises(WebAuthnRefused):
        webauthn.claimed(text)
    with pytest.raises(WebAuthnRefused):
        webauthn.verify_registration(text, challenge=CHALLENGE, rp_id=RP_ID, origins=[ORIGIN])


# -- registration ------------------------------------------------------------------------------------


def _registration_refusal(answer: dict[str, Any]) -> str:
    with pytest.raises(WebAuthnRefused) as refused:
        webauthn.verify_registration(json.dumps(answer), challenge=CHALLENGE, rp_id=RP_ID, origins=[ORIGIN])
    return refused.value.code


@pytest.mark.parametrize(
    ("code", "lies"),
    [
        ("wrong_ceremony", Lies(members={"type": "webauthn.get"})),
        ("challenge_differs", Lies(members={"challenge": b64url(b"x" * 32)})),
        ("origin_not_allowed", Lies(members={"origin": "https://evil.example"})),
        ("cross_origin", Lies(members={"crossOrigin": True})),
        ("client_data_malformed", Lies(client_data=_twice("challenge"))),
        ("wrong_rp_id", Lies(rp_id="evil.example")),
        ("user_not_verified", Lies(flags=Flags.USER_VERIFIED)),
        ("user_not_present", Lies(flags=Flags.USER_PRESENT)),
        ("backup_flags_contradict", Lies(flags=Flags.BACKED_UP)),
        ("attestation_malformed", Lies(flags=Flags.ATTESTED_DATA)),
        ("attestation_malformed", Lies(trailing=b"\0")),
        (
            "extension_not_asked_for",
            Lies(flags=Flags.EXTENSION_DATA, trailing=EXTENSION),
        ),
        (
            "extension_not_asked_for",
            Lies(outer={"clientExtensionResults": {"largeBlob": {}}}),
        ),
    ],
)
def test_a_hostile_registration_is_refused_by_name(code: str, lies: Lies) -> None:
    assert _registration_refusal(HostileAuthenticator(ORIGIN, RP_ID, lies).create(_creation())) == code


def test_what_browsers_add_to_a_registration_on_their_own_is_accepted() -> None:
    lies = Lies(flags=Flags.EXTENSION_DATA, trailing=cbor2.dumps({"credProtect": 2}))
    lies.outer = {"clientExtensionResults": {"credProps": {"rk": True}}}
    _register(HostileAuthenticator(ORIGIN, RP_ID, lies))


def test_an_answer_that_names_another_key_than_it_registers_is_refused() -> None:
    answer = SoftAuthenticator(ORIGIN, RP_ID).create(_creation())
    answer["id"] = answer["rawId"] = b64url(b"another")
    assert _registration_refusal(answer) == "credential_id_differs"


def test_attestation_that_nobody_asked_for_is_refused() -> None:
    answer = SoftAuthenticator(ORIGIN, RP_ID).create(_creation())
    attestation = cbor2.loads(base64.urlsafe_b64decode(answer["response"]["attestationObject"] + "==="))
    attestation |= {
        "fmt": "packed",
        "attStmt": {"alg": -7, "sig": b"s", "x5c": [b"certificate"]},
    }
    answer["response"]["attestationObject"] = b64url(cbor2.dumps(attestation))
    assert _registration_refusal(answer) == "attestation_not_asked_for"


def test_options_ask_for_discoverable_verified_keys_without_attestation() -> None:
    options = _creation()
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert (options["attestation"], options["timeout"]) == ("none", 300_000)
    assert [wanted["alg"] for wanted in options["pubKeyCredParams"]] == [-7, -8, -257]
    assert _request()["userVerification"] == "required"


def test_the_software_authenticator_obeys_its_options() -> None:
    authenticator = SoftAuthenticator(ORIGIN, RP_ID)
    made = _register(authenticator)
    with pytest.raises(NoCredential):
        authenticator.create(_creation([Descriptor(made.credential_id)]))
    with pytest.raises(NoCredential):
        authenticator.get(_request([Descriptor(b"unknown")]))
    with pytest.raises(NoCredential):
        authenticator.get(_request() | {"rpId": "evil.example"})
    with pytest.raises(NoCredential):
        authenticator.create(_creation() | {"pubKeyCredParams": [{"type": "public-key", "alg": -257}]})
