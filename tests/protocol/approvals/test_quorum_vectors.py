"""ep-quorum-v1.json against our quorum rule: threshold, distinct humans, distinct keys, roster exclusion.

EP's roles, order, time windows and chained signatures have no counterpart in our statement yet (a request that asks
for more than one signature is refused until they have), and EP's contexts are of another format: those cases are
left out by name. What EP says of members is put into our words; nothing of ours is taken from them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from approvals.reading import NotVerified
from approvals.verify import check_quorum

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors" / "ep-quorum-v1.json").read_text())[
    "vectors"
]
ACCEPTED = {"accept_ordered_3of3", "accept_ordered_2of3", "accept_threshold_2of3"}
REFUSED = {
    "reject_under_threshold",
    "reject_duplicate_human",
    "reject_duplicate_key",
    "reject_distinct_humans_false_shared_key",
}
OTHER_RULES = {
    "reject_unknown_policy_mode",
    "reject_cross_origin_ceremony",
    "reject_out_of_order",
    "reject_action_mismatch",
    "reject_expired_window",
    "reject_one_bad_signature",
    "reject_wrong_role",
    "reject_broken_chain",
    "reject_initiator_is_approver",
}


def judge(case: dict[str, Any]) -> None:
    quorum = case["quorum"]
    approvals = [
        {
            "approver": member["signoff"]["context"]["approver"],
            "cose_key": member["approver_public_key"],
            "credential_id": member["approver_public_key"],
        }
        for member in quorum["members"]
    ]
    required = quorum["policy"]["required"]
    claims = {"quorum": {"required": required, "satisfied": len(approvals)}}
    check_quorum(claims, {"quorum": {"required": required}}, approvals)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case["id"] in ACCEPTED],
    ids=lambda case: case["id"],
)
def test_enough_people_with_keys_of_their_own_are_a_quorum(
    case: dict[str, Any],
) -> None:
    judge(case)


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case["id"] in REFUSED],
    ids=lambda case: case["id"],
)
def test_too_few_or_the_same_twice_are_none(case: dict[str, Any]) -> None:
    with pytest.raises(NotVerified) as refused:
        judge(case)
    assert refused.value.step == "quorum"


def test_every_case_is_judged_or_named() -> None:
    assert {case["id"] for case in CASES} == ACCEPTED | REFUSED | OTHER_RULES
