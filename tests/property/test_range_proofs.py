"""One proof for many leaves: what it lets through, and what it never does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import merkle
from audit.exports import proofs
from audit.merkle import ProofRefused

LEAVES = [hashlib.sha256(bytes([0, number])).digest() for number in range(80)]


@dataclass(frozen=True)
class Case:
    size: int
    indexes: list[int]

    @property
    def leaves(self) -> list[proofs.Leaf]:
        return [(index, LEAVES[index]) for index in self.indexes]

    @property
    def proof(self) -> list[bytes]:
        return list(proofs.make(self.indexes, self.size, merkle.reader_of(LEAVES[: self.size])))

    @property
    def root(self) -> bytes:
        return merkle.root_of(LEAVES[: self.size])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    size = draw(st.integers(1, len(LEAVES)))
    if draw(st.booleans()):
        first = draw(st.integers(0, size - 1))
        return Case(size, list(range(first, draw(st.integers(first + 1, size)))))
    return Case(size, sorted(draw(st.sets(st.integers(0, size - 1), max_size=12))))


@settings(max_examples=60, deadline=None)
@given(cases())
def test_some_leaves_and_their_proof_rebuild_the_root(case: Case) -> None:
    assert proofs.root_from(case.leaves, case.size, case.proof) == case.root


@settings(max_examples=30, deadline=None)
@given(cases())
def test_one_leaf_needs_no_more_than_an_inclusion_proof(case: Case) -> None:
    for index in case.indexes[:1]:
        alone = list(proofs.make([index], case.size, merkle.reader_of(LEAVES[: case.size])))
        usual = merkle.inclusion_proof(index, case.size, merkle.reader_of(LEAVES[: case.size]))
        assert sorted(alone) == sorted(usual)


@settings(max_examples=30, deadline=None)
@given(cases())
def test_a_range_needs_a_path_on_each_side_at_most(case: Case) -> None:
    if case.indexes and case.indexes[-1] - case.indexes[0] + 1 == len(case.indexes):
        assert len(case.proof) <= 2 * case.size.bit_length()


@settings(max_examples=60, deadline=None)
@given(cases(), st.data())
def test_a_leaf_left_out_moved_changed_or_added_never_leads_to_the_root(case: Case, data: st.DataObject) -> None:
    if not case.indexes:
        return
    at = data.draw(st.integers(0, len(case.indexes) - 1))
    kind = data.draw(st.sampled_from(["left out", "changed", "moved", "twice", "added"]))
    leaves = case.leaves
    if kind == "left out":
        del leaves[at]
    elif kind == "changed":
        leaves[at] = (leaves[at][0], merkle.leaf_hash(b"another"))
    elif kind == "moved":
        leaves[at] = (leaves[at][0] + data.draw(st.integers(1, 3)), leaves[at][1])
    elif kind == "twice":
        leaves.insert(at, leaves[at])
    else:
        leaves.append((leaves[-1][0] + 1, merkle.leaf_hash(b"another")))
    assert _root(leaves, case.size, case.proof) != case.root


@settings(max_examples=30, deadline=None)
@given(cases(), st.integers(1, 90))
def test_a_proof_for_another_size_never_leads_to_the_root(case: Case, size: int) -> None:
    if size != case.size:
        assert _root(case.leaves, size, case.proof) != merkle.root_of(LEAVES[:size])


@pytest.mark.parametrize("change", [[b""], [b"x" * 31], [b"x" * 32, b"x" * 32]])
def test_a_proof_that_is_too_short_too_long_or_misshapen_is_refused(change: list[bytes]) -> None:
    case = Case(2, [0])
    assert len(case.proof) == 1
    for proof in (change if len(change) == 1 else [*case.proof, change[0]], []):
        with pytest.raises(ProofRefused):
            proofs.root_from(case.leaves, 2, proof)


def test_no_leaf_at_all_leaves_the_root_itself() -> None:
    assert Case(5, []).proof == [Case(5, []).root]
    assert list(proofs.make([], 0, merkle.reader_of([]))) == []


@pytest.mark.parametrize("indexes", [[1, 1], [2, 1], [5], [-1]])
def test_no_proof_is_made_for_places_out_of_order_or_outside(indexes: list[int]) -> None:
    with pytest.raises(ProofRefused):
        list(proofs.make(indexes, 5, merkle.reader_of(LEAVES[:5])))


def _root(leaves: list[proofs.Leaf], size: int, proof: list[bytes]) -> bytes | None:
    try:
        return proofs.root_from(leaves, size, proof)
    except ProofRefused:
        return None
