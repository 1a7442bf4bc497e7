"""Which rule of which specification has a test: read from the ``spec`` marks of the tests themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from tests.support.running import ROOT


@dataclass(frozen=True, order=True)
class Kept:
    """A rule that a test holds. section: as the document numbers it. test: file and function."""

    document: str
    section: str
    requirement: str
    test: str


def kept() -> list[Kept]:
    """Return every marked rule, in the order of documents and sections."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    found = {each for name in names for each in _of_module(import_module(name))}
    return sorted(found, key=lambda each: (each.document, _natural(each.section), each.requirement, each.test))


def _of_module(module: ModuleType) -> Iterator[Kept]:
    file = module.__name__.replace(".", "/") + ".py"
    shared = _specs(_listed(getattr(module, "pytestmark", ())))
    for name, test in vars(module).items():
        if not name.startswith("test_") or getattr(test, "__module__", None) != module.__name__:
            continue
        for said in [*shared, *_specs(_listed(getattr(test, "pytestmark", ())))]:
            requirement = said[2] if len(said) > 2 else _sentence(name)
            yield Kept(said[0], said[1], requirement, f"{file}::{name}")


def _specs(marks: Iterable[object]) -> list[tuple[str, ...]]:
    """Return the arguments of the marks called spec, those of single parameter sets among them."""
    said: list[tuple[str, ...]] = []
    for mark in marks:
        plain = getattr(mark, "mark", mark)
        name: str = getattr(plain, "name", "")
        args: tuple[Any, ...] = getattr(plain, "args", ())
        if name == "spec":
            said.append(tuple(map(str, args)))
        if name == "parametrize":
            said += [each for values in args[1] for each in _specs(getattr(values, "marks", ()))]
    return said


def _listed(marks: object) -> Iterable[object]:
    return marks if isinstance(marks, list | tuple) else [marks]


def _sentence(name: str) -> str:
    return name.removeprefix("test_").replace("_", " ")


def _natural(section: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.findall(r"\d+|\D+", section)]
