"""One proof for many leaves: the fewest hashes that, with these leaves, rebuild the root. Pure.

The proof of a contiguous range proves that nothing was left out of it: each leaf between two others has its place, and
each place in the range has its leaf. The same proof over scattered leaves proves that each is in the tree. Hashes stand in
the order in which a walk from left to right meets them; making and checking stream, with memory for one path only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from audit.merkle import EMPTY_ROOT, HASH_BYTES, ProofRefused, Reader, node_hash, range_hash

Leaf = tuple[int, bytes]  # its index within the tree, and its hash


def make(indexes: Iterable[int], size: int, read: Reader) -> Iterator[bytes]:
    """Yield the hashes that are missing beside the leaves at ``indexes``, left to right.

    indexes: ascending, each once. Raises: ProofRefused for others, or outside the tree.
    """
    ahead = _Ahead((index, b"") for index in indexes)
    if size:
        yield from _missing(0, size, ahead, read)
    ahead.must_be_done()


def root_from(leaves: Iterable[Leaf], size: int, hashes: Iterable[bytes]) -> bytes:
    """Return the root of a tree of ``size`` leaves, rebuilt from some of them and a proof.

    leaves: index and hash, ascending. Raises: ProofRefused where the proof is too short or too long, or a leaf is twice,
    out of order or outside the tree.
    """
    ahead, given = _Ahead(leaves), iter(hashes)
    root = _rebuilt(0, size, ahead, given) if size else EMPTY_ROOT
    ahead.must_be_done()
    if next(given, None) is not None:
        raise ProofRefused("the proof is too long")
    return root


class _Ahead:
    """The leaves, with a look at the next one."""

    def __init__(self, leaves: Iterable[Leaf]) -> None:
        self._leaves = iter(leaves)
        self.index: int | None = -1
        self._hash = b""
        self.take()

    def take(self) -> bytes:
        """Return the hash of the leaf at hand, and step to the next."""
        taken, before = self._hash, self.index
        self.index, self._hash = next(self._leaves, (None, b""))
        if self.index is not None and before is not None and self.index <= before:
            raise ProofRefused("leaves twice, or out of order")
        return taken

    def is_before(self, end: int) -> bool:
        """Return whether the leaf at hand lies before a place; those before the start were taken."""
        return self.index is not None and self.index < end

    def must_be_done(self) -> None:
        """Raise ProofRefused where a leaf lies outside the tree."""
        if self.index is not None:
            raise ProofRefused("a leaf outside the tree")


def _missing(start: int, end: int, ahead: _Ahead, read: Reader) -> Iterator[bytes]:
    if not ahead.is_before(end):
        yield range_hash(start, end, read)
    elif end - start == 1:
        ahead.take()
    else:
        middle = start + _split(end - start)
        yield from _missing(start, middle, ahead, read)
        yield from _missing(middle, end, ahead, read)


def _rebuilt(start: int, end: int, ahead: _Ahead, given: Iterator[bytes]) -> bytes:
    if not ahead.is_before(end):
        hashed = next(given, b"")
        if len(hashed) != HASH_BYTES:
            raise ProofRefused("the proof is too short, or holds a hash of another length")
        return hashed
    if end - start == 1:
        return ahead.take()
    middle = start + _split(end - start)
    left = _rebuilt(start, middle, ahead, given)
    return node_hash(left, _rebuilt(middle, end, ahead, given))


def _split(count: int) -> int:
    return 1 << ((count - 1).bit_length() - 1)
