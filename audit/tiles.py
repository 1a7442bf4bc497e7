"""How the tree is cut into tiles: paths, widths, growing the right edge, reading hashes back. Pure.

Spec: C2SP tlog-tiles v0.1.0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence

from audit.merkle import HASH_BYTES, Reader

HEIGHT = 8
WIDTH = 1 << HEIGHT
FULL_BYTES = WIDTH * HASH_BYTES
LEVEL_MAX = 63
_NUMBER = re.compile(r"(?:x\d{3}/)*\d{3}")

Place = tuple[int, int]  # level, index


def number_path(index: int) -> str:
    """Return a tile's number in groups of three digits: 1234067 is ``x001/x234/067``."""
    path = f"{index % 1000:03d}"
    while index := index // 1000:
        path = f"x{index % 1000:03d}/{path}"
    return path


def parse_number(path: str) -> int | None:
    """Return the number that a path spells, or None for any other spelling."""
    if not _NUMBER.fullmatch(path):
        return None
    index = int(path.replace("x", "").replace("/", ""))
    return index if number_path(index) == path else None


def partial_width(level: int, size: int) -> int:
    """Return how many hashes the last, partial tile of a level has; 0 when there is none."""
    return (size >> (HEIGHT * level)) % WIDTH


def width_of(level: int, index: int, size: int) -> int:
    """Return how many hashes a tile has in a tree of ``size`` leaves; 0 or less when it does not exist."""
    return min(WIDTH, (size >> (HEIGHT * level)) - index * WIDTH)


def edge_places(size: int) -> list[Place]:
    """Return the partial tiles at the right edge of a tree: one a level, where there is one."""
    levels = range((max(size, 1).bit_length() - 1) // HEIGHT + 1)
    return [(level, (size >> (HEIGHT * level)) >> HEIGHT) for level in levels if partial_width(level, size)]


def grow(edge: Mapping[Place, bytes], size: int, leaves: Sequence[bytes]) -> dict[Place, bytes]:
    """Return the tiles that change when leaf hashes are appended to a tree of ``size`` leaves.

    edge: the partial tiles of ``edge_places(size)``.
    """
    changed: dict[Place, bytearray] = {}
    arriving, level, at = list(leaves), 0, size
    while arriving:
        filled = []
        for hashed in arriving:
            place = (level, at >> HEIGHT)
            tile = changed.setdefault(place, bytearray(edge.get(place, b"")))
            tile += hashed
            at += 1
            if len(tile) == FULL_BYTES:
                filled.append(subtree(bytes(tile)))
        arriving, level, at = filled, level + 1, size >> (HEIGHT * (level + 1))
    return {place: bytes(tile) for place, tile in changed.items()}


def subtree(data: bytes) -> bytes:
    """Return the root of a power of two of hashes that stand one behind the other."""
    sha256 = hashlib.sha256  # node_hash spelled out: half of a whole check is spent here
    while len(data) > HASH_BYTES:
        data = b"".join([sha256(b"\x01" + data[at : at + 64]).digest() for at in range(0, len(data), 64)])
    return data


def reader_of(tile: Callable[[int, int], bytes]) -> Reader:
    """Return a reader of subtree hashes over something that gives tiles by level and index."""

    def read(height: int, index: int) -> bytes:
        level, above = divmod(height, HEIGHT)
        first = index << above
        start = (first % WIDTH) * HASH_BYTES
        part = tile(level, first >> HEIGHT)[start : start + (HASH_BYTES << above)]
        if len(part) != HASH_BYTES << above:
            raise LookupError(f"tile {level}/{number_path(first >> HEIGHT)} is too short")
        return subtree(part)

    return read
