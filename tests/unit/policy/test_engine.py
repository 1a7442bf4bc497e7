"""The policy engine: what it loads, and what it answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from aims.policy.engine import Allow, Ask, Deny, PolicyFacts, compile, evaluate
from aims.policy.errors import PolicyRefused
from aims.policy.services import DEFAULT_POLICY

FACTS = PolicyFacts(
    agent="spiffe://acme.example/agent/courier",
    agent_state="active",
    owner="usr_ada",
    posture="unknown",
    subject="usr_ada",
    resource="https://pay.example/",
    action="pay",
    reversibility="irreversible",
    detail_type="payment_initiation",
    grant="grt_1",
    amount="4200.00",
    currency="EUR",
)
DEFAULT = compile(DEFAULT_POLICY.read_text(), version=7)
ANY = "(principal, action, resource)"


@pytest.mark.parametrize("reversibility", ["read-only", "reversible"])
def test_what_can_be_undone_is_allowed_inside_a_grant(reversibility: str) -> None:
    answer = evaluate(replace(FACTS, reversibility=reversibility), policy=DEFAULT)
    assert isinstance(answer, Allow) and answer.policies == ("within-a-grant",) and answer.version == 7


@pytest.mark.parametrize("reversibility", ["externally-reversible", "irreversible"])
def test_what_is_hard_to_undo_asks_the_subject(reversibility: str) -> None:
    answer = evaluate(replace(FACTS, reversibility=reversibility), policy=DEFAULT)
    assert isinstance(answer, Ask) and answer.approvers == {"subject"} and answer.quorum == 1


@pytest.mark.parametrize(
    "changes",
    [{"grant": None}, {"agent_state": "suspended"}, {"agent_state": "retired"}, {"reversibility": "unknown"}],
)
def test_the_rest_of_the_world_is_denied(changes: dict[str, str | None]) -> None:
    assert isinstance(evaluate(replace(FACTS, **changes), policy=DEFAULT), Deny)  # type: ignore[arg-type]


def test_no_policy_is_no_permission() -> None:
    answer = evaluate(FACTS, policy=None)
    assert isinstance(answer, Deny) and answer.reason == "no_policy"


@pytest.mark.parametrize("amount", ["1.00001", "922337203685478", "much", "NaN", "1e30"])
def test_an_amount_that_cedar_cannot_hold_is_denied(amount: str) -> None:
    answer = evaluate(replace(FACTS, amount=amount), policy=DEFAULT)
    assert isinstance(answer, Deny) and answer.reason == "policy_error"


def test_an_error_in_a_forbid_is_a_no() -> None:
    overflow = 'context.reversibility == "irreversible" && 9223372036854775807 + 1 > 0'
    text = f'@id("a") permit {ANY}; @id("b") forbid {ANY} when {{ {overflow} }};'
    answer = evaluate(FACTS, policy=compile(text))
    assert isinstance(answer, Deny) and answer.reason == "policy_error"


def test_obligations_of_all_permits_add_up() -> None:
    text = (
        f'@id("a") @ask("subject") @lifetime("600") @use_within("60") permit {ANY};'
        f'@id("b") @ask("group:finance, owner") @lifetime("300") @exclude("owner") permit {ANY};'
        f'@id("c") permit {ANY};'
    )
    answer = evaluate(FACTS, policy=compile(text))
    assert isinstance(answer, Ask)
    assert answer.policies == ("a", "b", "c") and answer.approvers == {"subject", "group:finance"}
    assert (answer.lifetime_s, answer.use_within_s, answer.exclude) == (300, 60, frozenset({"owner"}))


def test_nobody_left_to_ask_is_a_no() -> None:
    text = f'@id("a") @ask("subject") permit {ANY}; @id("b") @ask("subject") @exclude("subject") permit {ANY};'
    answer = evaluate(FACTS, policy=compile(text))
    assert isinstance(answer, Deny) and answer.reason == "nobody_to_ask"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"permit {ANY};", "@id"),
        (f'@id("a") permit {ANY}; @id("a") forbid {ANY};', "Two policies"),
        (f'@id("a") @notify("bob") permit {ANY};', "@notify"),
        (f'@id("a") @ask("subject") forbid {ANY};', "forbid"),
        (f'@id("a") @ask("everybody") permit {ANY};', "everybody"),
        (f'@id("a") @ask("") permit {ANY};', "@ask"),
        (f'@id("a") @lifetime("60") permit {ANY};', "needs an @ask"),
        (f'@id("a") @ask("subject") @quorum("2") permit {ANY};', "quorum"),
        (f'@id("a") @ask("subject") @lifetime("0") permit {ANY};', "lifetime"),
        (f'@id("a") @ask("subject") @lifetime("259201") permit {ANY};', "lifetime"),
        (f'@id("a") permit {ANY} when {{ context.amount.lessThan(decimal("1.0")) }};', "optional attribute"),
        (f'@id("a") permit {ANY} when {{ context.nothing }};', "schema"),
        ('@id("a") permit (principal == ?principal, action, resource);', "templates"),
        ("permit", "parse"),
    ],
)
def test_a_policy_that_we_could_not_keep_is_refused(text: str, words: str) -> None:
    with pytest.raises(PolicyRefused, match=words):
        compile(text)


def test_facts_survive_storage() -> None:
    assert PolicyFacts.from_dict(FACTS.to_dict()) == FACTS
