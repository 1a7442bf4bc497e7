"""approval-binding-v1.json through the offline verifier.

The vectors are older than our members: their AS key is EdDSA (ours sign ES256; a verifier takes both), their
contexts carry neither locale nor rendering_hash, and their receipt carries no enrolment. So the two accepted
assertions are judged as bindings (``verify_approval``), and the receipts by the step that refuses them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aims.kit.ids import unb64url
from approvals.context import challenge_of
from approvals.reading import NotVerified
from approvals.verify import verify_approval, verify_receipt
from audit.canonical import decode, encode

VECTORS: dict[str, Any] = json.loads((Path(__file__).parents[2] / "vectors" / "approval-binding-v1.json").read_text())
ASSERTIONS = [case for case in VECTORS["reject"] if "assertion" in case]
RECEIPTS = [case for case in VECTORS["reject"] if "receipt" in case] + VECTORS["reject_receipts"]
ACCEPT = {case["id"]: case["assertion"] for case in VECTORS["accept"]}
REFUSED_AT = {
    "changed_request": "context",
    "swap_decision": "context",
    "uv_missing": "authenticator",
    "up_missing": "authenticator",
    "bs_without_be": "authenticator",
    "at_in_assertion": "authenticator",
    "wrong_origin": "origin",
    "cross_origin": "origin",
    "top_origin": "origin",
    "wrong_rp": "authenticator",
    "create_type": "client-data",
    "self_approval": "context",
    "duplicate_member": "client-data",
    "padded_base64url": "client-data",
    "expired_context": "context",
    "noncanonical_request": "statement",
    "receipt_alg_none": "jws",
    "receipt_tampered": "jws",
    "quorum_not_met": "quorum",
}


def check(assertion: dict[str, Any], request_jcs: str) -> Any:
    approval = {"cose_key": VECTORS["approver_cose_key"], **assertion}
    return verify_approval(
        approval,
        statement=unb64url(request_jcs),
        origins=VECTORS["allowed_origins"],
        at=VECTORS["verification_time"],
    )


def test_the_accepted_approval_is_verified_by_the_second_library() -> None:
    context = check(ACCEPT["approve"], VECTORS["request_jcs"])
    assert (context["decision"], context["approver"]) == ("approve", "user:bob")


@pytest.mark.parametrize("case_id", ACCEPT)
def test_the_challenge_is_the_tagged_hash_of_the_context(case_id: str) -> None:
    assertion = ACCEPT[case_id]
    assert challenge_of(unb64url(assertion["context_jcs"])) == unb64url(assertion["challenge"])


def test_a_valid_denial_is_never_taken_for_a_yes() -> None:
    with pytest.raises(NotVerified, match="not a yes"):
        check(ACCEPT["deny_is_a_valid_denial"], VECTORS["request_jcs"])


def test_the_request_bytes_are_canonical() -> None:
    raw = unb64url(VECTORS["request_jcs"])
    assert encode(decode(raw)) == raw == encode(VECTORS["request"])


@pytest.mark.parametrize("case", ASSERTIONS, ids=lambda case: case["id"])
def test_a_hostile_assertion_is_refused_at_its_step(case: dict[str, Any]) -> None:
    with pytest.raises(NotVerified) as refused:
        check(case["assertion"], case["request_jcs"])
    assert refused.value.step == REFUSED_AT[case["id"]]


@pytest.mark.parametrize("case", RECEIPTS, ids=lambda case: case["id"])
def test_a_hostile_receipt_is_refused_at_its_step(case: dict[str, Any]) -> None:
    with pytest.raises(NotVerified) as refused:
        verify_receipt(
            case["receipt"],
            jwks={"keys": [VECTORS["as_jwk_public"]]},
            origins=VECTORS["allowed_origins"],
        )
    assert refused.value.step == REFUSED_AT[case["id"]]


def test_every_negative_vector_has_been_tried() -> None:
    assert {case["id"] for case in [*ASSERTIONS, *RECEIPTS]} == REFUSED_AT.keys()
