"""A narrower request is never harder to allow."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from aims.policy.engine import Allow, Ask, Decision, compile, evaluate
from aims.policy.services import DEFAULT_POLICY
from tests.unit.policy.test_engine import FACTS

CLASSES = ["read-only", "reversible", "externally-reversible", "irreversible"]
LIMITED = compile(
    DEFAULT_POLICY.read_text()
    + """
@id("too-much") forbid (principal, action, resource)
when { context has amount && context.amount.greaterThan(decimal("1000.00")) };
"""
)


def hardness(decision: Decision) -> int:
    return 0 if isinstance(decision, Allow) else 1 if isinstance(decision, Ask) else 2


@given(
    st.integers(0, 3), st.integers(0, 3), st.decimals(0, 5000, places=2), st.decimals(0, 5000, places=2), st.booleans()
)
def test_a_narrower_request_is_never_harder_to_allow(a: int, b: int, x: Decimal, y: Decimal, has_grant: bool) -> None:
    wide = replace(FACTS, reversibility=CLASSES[max(a, b)], amount=str(max(x, y)), grant="grt_1" if has_grant else None)
    narrow = replace(wide, reversibility=CLASSES[min(a, b)], amount=str(min(x, y)))
    assert hardness(evaluate(narrow, policy=LIMITED)) <= hardness(evaluate(wide, policy=LIMITED))
    granted = replace(wide, grant="grt_1")
    assert hardness(evaluate(granted, policy=LIMITED)) <= hardness(evaluate(wide, policy=LIMITED))
