"""What must hold for every tree: grown and built are the same, every proof verifies, no changed one does."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import merkle, tiles

LEAVES = [hashlib.sha256(b"%d" % index).digest() for index in range(70_000)]
sizes = st.integers(1, 1200)


@given(sizes, st.data())
def test_any_leaf_is_proven_and_no_other_leaf_is(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    read = merkle.reader_of(LEAVES[:size])
    proof, root = merkle.inclusion_proof(index, size, read), merkle.root(size, read)
    merkle.verify_inclusion(leaf=LEAVES[index], index=index, size=size, proof=proof, root=root)
    other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index)) if size > 1 else None
    if other is not None:
        with pytest.raises(merkle.ProofRefused):
            merkle.verify_inclusion(leaf=LEAVES[other], index=index, size=size, proof=proof, root=root)
        with pytest.raises(merkle.ProofRefused):
            merkle.verify_inclusion(leaf=LEAVES[index], index=other, size=size, proof=proof, root=root)


@given(sizes, sizes, st.data())
def test_any_tree_is_proven_to_begin_a_later_one(one: int, other: int, data: st.DataObject) -> None:
    first, second = sorted((one, other))
    read = merkle.reader_of(LEAVES)
    old, new = merkle.root(first, read), merkle.root(second, read)
    proof = merkle.consistency_proof(first, second, read)
    merkle.verify_consistency(first=first, second=second, first_root=old, second_root=new, proof=proof)
    wrong = bytes([old[0] ^ 1]) + old[1:]
    with pytest.raises(merkle.ProofRefused):
        merkle.verify_consistency(first=first, second=second, first_root=wrong, second_root=new, proof=proof)


@given(st.lists(st.integers(0, 700), max_size=6))
@settings(deadline=None)
def test_growing_in_batches_gives_the_tree_of_all_leaves(batches: list[int]) -> None:
    stored: dict[tuple[int, int], bytes] = {}
    frontier: list[bytes] = []
    size = 0
    for count in batches:
        arriving = LEAVES[size : size + count]
        edge = {place: stored[place] for place in tiles.edge_places(size)}
        stored |= tiles.grow(edge, size, arriving)
        for leaf in arriving:
            merkle.grow(frontier, size, leaf)
            size += 1
    root = merkle.root_of(LEAVES[:size])
    assert merkle.root_of_frontier(frontier) == root
    assert merkle.root(size, tiles.reader_of(lambda level, index: stored[level, index])) == root
    for (level, index), data in stored.items():
        assert len(data) == 32 * tiles.width_of(level, index, size)


def test_a_tree_beyond_one_level_of_tiles_has_the_same_root() -> None:
    stored = tiles.grow({}, 0, LEAVES)
    assert {level for level, _ in stored} == {0, 1, 2}
    read = tiles.reader_of(lambda level, index: stored[level, index])
    assert merkle.root(len(LEAVES), read) == merkle.root_of(LEAVES)
    proof = merkle.inclusion_proof(65_536, len(LEAVES), read)
    root = merkle.root_of(LEAVES)
    merkle.verify_inclusion(leaf=LEAVES[65_536], index=65_536, size=len(LEAVES), proof=proof, root=root)


@given(st.binary(max_size=40), sizes, st.data())
def test_a_hash_more_or_less_or_changed_is_refused(noise: bytes, size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    read = merkle.reader_of(LEAVES[:size])
    proof, root = merkle.inclusion_proof(index, size, read), merkle.root(size, read)
    spoilt = [[*proof, root], proof[:-1] if proof else [root]]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        spoilt.append([*proof[:at], hashlib.sha256(noise).digest(), *proof[at + 1 :]])
    for bad in spoilt:
        with pytest.raises(merkle.ProofRefused):
            merkle.verify_inclusion(leaf=LEAVES[index], index=index, size=size, proof=bad, root=root)
