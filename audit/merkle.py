"""The Merkle tree of RFC 9162: hashes, roots, proofs and their verification. Pure.

A proof maker reads hashes of complete subtrees through a ``Reader``: (height, index) -> hash of the leaves
``[index << height, (index + 1) << height)``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

Reader = Callable[[int, int], bytes]


class ProofRefused(ValueError):
    """A proof that proves nothing: wrong length, wrong index, or wrong hashes."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf. Spec: RFC 9162 §2.1.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node. Spec: RFC 9162 §2.1.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes. Spec: RFC 9162 §2.1.1."""
    return root(len(leaves), reader_of(leaves))


def reader_of(leaves: Sequence[bytes]) -> Reader:
    """Return a reader over leaf hashes that are all in memory."""

    def read(height: int, index: int) -> bytes:
        if height == 0:
            return leaves[index]
        return node_hash(read(height - 1, 2 * index), read(height - 1, 2 * index + 1))

    return read


def root(size: int, read: Reader) -> bytes:
    """Return the root of the first ``size`` leaves."""
    return range_hash(0, size, read) if size else EMPTY_ROOT


def range_hash(start: int, end: int, read: Reader) -> bytes:
    """Return the hash of leaves [start, end), where start is a multiple of the power of two that covers them."""
    height = (end - start).bit_length() - 1
    whole = read(height, start >> height)
    rest = start + (1 << height)
    return whole if rest == end else node_hash(whole, range_hash(rest, end, read))


def inclusion_proof(index: int, size: int, read: Reader) -> list[bytes]:
    """Return the inclusion proof of a leaf: 32-byte hashes, leaf to root. Spec: RFC 9162 §2.1.3.1."""
    if not 0 <= index < size:
        raise ProofRefused("no such leaf")
    return _path(index, 0, size, read)


def consistency_proof(first: int, second: int, read: Reader) -> list[bytes]:
    """Return the proof that the tree of ``first`` leaves begins the tree of ``second``. Spec: RFC 9162 §2.1.4.1."""
    if not 0 < first <= second:
        raise ProofRefused("no such sizes")
    return _subproof(first, 0, second, True, read)


def verify_inclusion(*, leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that a leaf is in the tree. Raises: ProofRefused. Spec: RFC 9162 §2.1.3.2."""
    if not 0 <= index < size:
        raise ProofRefused("the index is outside the tree")
    _need_hashes(leaf, root, *proof)
    first, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofRefused("the proof is too long")
        if first & 1 or first == last:
            computed = node_hash(sibling, computed)
            first, last = _up_past_zeros(first, last)
        else:
            computed = node_hash(computed, sibling)
        first, last = first >> 1, last >> 1
    if last != 0 or computed != root:
        raise ProofRefused("the proof leads to another root")


def verify_consistency(
    *, first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that one tree begins the other. Raises: ProofRefused. Spec: RFC 9162 §2.1.4.2."""
    if not 0 < first <= second:
        raise ProofRefused("sizes that can't be compared")
    if first == second:
        if proof or first_root != second_root:
            raise ProofRefused("two roots for one size")
        return
    _need_hashes(first_root, second_root, *proof)
    hashes = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not proof:
        raise ProofRefused("the proof is empty")
    old, new = _walk(first, second, hashes)
    if old != first_root or new != second_root:
        raise ProofRefused("the proof leads to other roots")


def grow(frontier: list[bytes], size: int, leaf: bytes) -> None:
    """Append a leaf to the right edge of a tree of ``size`` leaves. frontier: complete subtrees, largest first."""
    while size & 1:
        leaf = node_hash(frontier.pop(), leaf)
        size >>= 1
    frontier.append(leaf)


def root_of_frontier(frontier: Sequence[bytes]) -> bytes:
    """Return the root that the right edge stands for."""
    if not frontier:
        return EMPTY_ROOT
    computed = frontier[-1]
    for whole in reversed(frontier[:-1]):
        computed = node_hash(whole, computed)
    return computed


def _need_hashes(*hashes: bytes) -> None:
    if any(len(hashed) != HASH_BYTES for hashed in hashes):
        raise ProofRefused("a hash of another length")


def _split(count: int) -> int:
    """Return the largest power of two below ``count``."""
    return 1 << ((count - 1).bit_length() - 1)


def _path(index: int, start: int, end: int, read: Reader) -> list[bytes]:
    if end - start == 1:
        return []
    middle = start + _split(end - start)
    if index < middle:
        return [*_path(index, start, middle, read), range_hash(middle, end, read)]
    return [*_path(index, middle, end, read), range_hash(start, middle, read)]


def _subproof(first: int, start: int, end: int, is_known: bool, read: Reader) -> list[bytes]:
    if first == end:
        return [] if is_known else [range_hash(start, end, read)]
    middle = start + _split(end - start)
    if first <= middle:
        return [*_subproof(first, start, middle, is_known, read), range_hash(middle, end, read)]
    return [*_subproof(first, middle, end, False, read), range_hash(start, middle, read)]


def _walk(first: int, second: int, hashes: Sequence[bytes]) -> tuple[bytes, bytes]:
    index, last = first - 1, second - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise ProofRefused("the proof is too long")
        if index & 1 or index == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            index, last = _up_past_zeros(index, last)
        else:
            new = node_hash(new, sibling)
        index, last = index >> 1, last >> 1
    if last != 0:
        raise ProofRefused("the proof is too short")
    return old, new


def _up_past_zeros(index: int, last: int) -> tuple[int, int]:
    while index and not index & 1:
        index, last = index >> 1, last >> 1
    return index, last
