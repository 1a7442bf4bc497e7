"""The values that columns have: noted as entries are numbered, and made anew from them."""

from __future__ import annotations

import pytest

from audit.models import Term
from audit.search import terms
from audit.sequencer import Sequencer
from tests.support.log import Recorder

pytestmark = pytest.mark.django_db


def noted() -> set[tuple[str, str, int]]:
    return set(Term.objects.values_list("field", "value", "month"))


def test_what_was_noted_while_numbering_is_what_a_rebuild_finds(sequencer: Sequencer, happen: Recorder) -> None:
    happen(3)
    sequencer.run_once()
    before = noted()
    assert {(field, value) for field, value, _month in before} >= {
        ("type", "audit.failures.counted"), ("by", "system"), ("decision", "not_applicable"), ("posture", "unknown"),
    }  # fmt: skip
    terms.rebuild()
    assert noted() == before


def test_a_part_of_a_value_stands_for_the_whole_ones_that_hold_it_between_bounds() -> None:
    terms.add(("agent", f"spiffe://acme.example/agent/{name}", 202611) for name in ("courier", "courier-2", "Magpie"))
    terms.add([("agent", "spiffe://acme.example/agent/courier", 202612), ("by", "courier", 202611)])
    assert terms.holding("agent", "courier", is_prefix=False) == {
        "spiffe://acme.example/agent/courier": frozenset({202611, 202612})
    }
    assert len(terms.holding("agent", "COUR", is_prefix=True) or ()) == 2
    assert set(terms.holding("agent", "magpie", is_prefix=False) or ()) == {"spiffe://acme.example/agent/Magpie"}
    assert terms.holding("agent", "cour", is_prefix=False) == {}
    assert terms.holding("agent", "%", is_prefix=True) == {}
    assert set(terms.beginning("agent", "spiffe://ACME", is_prefix=True) or ()) == set()
    assert len(terms.beginning("agent", "spiffe://acme", is_prefix=True) or ()) == 3


def test_a_part_of_too_many_values_stands_for_none_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "VALUES_MAX", 1)
    terms.add([("type", "a.b", 202611), ("type", "a.c", 202611)])
    assert terms.holding("type", "a", is_prefix=False) is None
    assert terms.beginning("type", "a", is_prefix=True) is None
