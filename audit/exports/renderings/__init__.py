"""Other spellings of the entries, beside the exact bytes. Each line carries index and leaf hash, to find the evidence by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audit.exports.entries import Item
from audit.exports.renderings import comma


class Rendering(Protocol):
    """One file of a set, written entry by entry."""

    def add(self, item: Item) -> None:
        """Write one entry."""

    def close(self) -> None:
        """Bring the file to its end."""


@dataclass(frozen=True)
class Format:
    """What can be asked for. suffix: of the set's file."""

    name: str
    suffix: str
    begin: Callable[[Path], Rendering]


FORMATS = {each.name: each for each in (Format("csv", ".csv", comma.Csv),)}
