"""Other spellings of the entries, beside the exact bytes. Each line carries index and leaf hash, to find the evidence by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from audit.exports.entries import Item
from audit.exports.renderings import columnar, comma, mapped


class Rendering(Protocol):
    """One file of a set, written entry by entry."""

    def add(self, item: Item) -> None:
        """Write one entry."""

    def close(self) -> None:
        """Bring the file to its end."""


@dataclass(frozen=True)
class Format:
    """What can be asked for. suffix: of the set's file. is_there: whether its library is installed."""

    name: str
    suffix: str
    begin: Callable[[Path], Rendering]
    is_there: Callable[[], bool] = lambda: True


FORMATS = {
    each.name: each
    for each in (
        Format("csv", ".csv", comma.Csv),
        Format("parquet", ".parquet", columnar.Parquet, columnar.is_there),
        Format("ocsf", ".ocsf.jsonl", mapped.Ocsf),
        Format("cadf", ".cadf.jsonl", mapped.Cadf),
    )
}
