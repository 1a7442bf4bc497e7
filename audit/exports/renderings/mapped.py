"""JSON Lines in the words of another schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from audit.exports.entries import Item, title_of
from audit.exports.mappings import cadf, ocsf
from audit.exports.product import version


class Mapped:
    """One mapped event a line."""

    def __init__(self, path: Path, event: Callable[..., dict[str, Any]]) -> None:
        self._file = path.open("w", encoding="utf-8", newline="")
        self._event = event

    def add(self, item: Item) -> None:
        """Write one entry."""
        mapped = self._event(
            index=item.index, leaf=item.leaf, entry=item.entry, title=title_of(item.entry["type"]), version=version()
        )
        self._file.write(json.dumps(mapped, ensure_ascii=False, separators=(",", ":")) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


Ocsf = partial(Mapped, event=ocsf.event)
Cadf = partial(Mapped, event=cadf.event)
