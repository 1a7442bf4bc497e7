"""What is asked for: the AIMS draft and the control sets, as data (controls.yaml), each with its measures."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

_FILE = Path(__file__).with_name("controls.yaml")
AIMS = "aims"


@dataclass(frozen=True, kw_only=True)
class Control:
    """One requirement. level, layer: of the draft's only. unmeasured: why nothing here is evidence for it."""

    id: str
    ask: str
    measures: tuple[str, ...]
    level: str = ""
    layer: str = ""
    unmeasured: str = ""


@dataclass(frozen=True, kw_only=True)
class ControlSet:
    """Requirements of one source. needs_legal_check: our reading of it, to be checked before it is relied on.

    dated: when the source was read, or published.
    """

    id: str
    title: str
    source: str
    dated: str
    needs_legal_check: bool
    controls: tuple[Control, ...]


@lru_cache(maxsize=1)
def control_sets() -> tuple[ControlSet, ...]:
    """Return every set, the draft first."""
    rows: list[dict[str, Any]] = YAML(typ="safe", pure=True).load(_FILE.read_text())
    return tuple(ControlSet(**row | {"controls": tuple(map(_control, row["controls"]))}) for row in rows)


def set_of(id: str) -> ControlSet | None:
    """Return one set by its id."""
    return next((each for each in control_sets() if each.id == id), None)


def _control(row: dict[str, Any]) -> Control:
    return Control(**row | {"id": str(row["id"]), "measures": tuple(row["measures"])})
