"""Every example of docs/policy.md, loaded as it stands there and asked what its table says."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from aims.policy.engine import Allow, Ask, Decision, PolicyFacts, compile, evaluate
from tests.support.running import ROOT

FACTS = PolicyFacts(
    agent="spiffe://acme.example/agent/courier",
    agent_state="active",
    owner="usr_ada",
    posture="unknown",
    subject="usr_ada",
    resource="https://pay.example/",
    action="pay",
    reversibility="reversible",
    detail_type="",
    grant="grt_1",
    amount=None,
    currency=None,
)
ROW = re.compile(r"^\|([^|]*)\|([^|]*)\|$", re.M)


def examples() -> Iterator[tuple[str, str, str, str]]:
    """Yield title, policy, facts and answer of every row."""
    guide = (ROOT / "docs/policy.md").read_text().partition("## Examples")[2]
    for part in guide.split("\n### ")[1:]:
        text = part.partition("```cedar\n")[2].partition("```")[0]
        rows = ROW.findall(part.partition("```cedar\n")[2].partition("```")[2])
        assert text and len(rows) > 2, part[:40]
        for facts, answer in rows[2:]:
            yield part.partition("\n")[0], text, facts.strip(), answer.strip()


def said(decision: Decision) -> str:
    named = ", ".join(decision.policies)
    if isinstance(decision, Allow):
        return f"allow: {named}"
    if not isinstance(decision, Ask):
        return f"deny: {decision.reason}"
    within = f" within {decision.lifetime_s} s" if decision.lifetime_s else ""
    used = f", used within {decision.use_within_s} s" if decision.use_within_s else ""
    return f"ask {', '.join(sorted(decision.approvers))}{within}{used}: {named}"


@pytest.mark.parametrize(("title", "text", "facts", "answer"), list(examples()))
def test_the_guide_says_what_the_engine_answers(title: str, text: str, facts: str, answer: str) -> None:
    given = dict(part.split("=", 1) for part in re.findall(r"`([^`]+)`", facts))
    changed = FACTS.to_dict() | {name: value or None for name, value in given.items()}
    assert changed.keys() == FACTS.to_dict().keys()
    assert said(evaluate(PolicyFacts.from_dict(changed), policy=compile(text))) == answer


def test_the_guide_names_every_fact_and_annotation() -> None:
    guide = (ROOT / "docs/policy.md").read_text()
    names = {"amount", "currency", "detail_type", "grant", "has_grant", "reversibility", "subject", "action"}
    assert all(f"`context.{name}`" in guide for name in names)
    assert all(f"`@{name}(" in guide for name in ("id", "says", "ask", "exclude", "lifetime", "use_within", "quorum"))
