"""Reference pages that are written from the code: ``python -m tests.house.documents`` writes them anew."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import fields
from importlib import import_module
from itertools import groupby
from pkgutil import walk_packages
from typing import TypeVar

from aims.kit.errors import AimsError
from tests.support.running import ROOT

Kind = TypeVar("Kind")
# Outsiders, one-time steps, and what starts something when it is loaded.
_NOT_LOADED = frozenset({"demo", "resource_server", "migrations", "management", "asgi", "wsgi"})
_NOT_HAND = "<!-- Written by python -m tests.house.documents; change the code, not this page. -->"


def pages() -> dict[str, str]:
    """Return every generated page by its name under docs/."""
    return {"conformance.md": _conformance(), "events.md": _events(), "errors.md": _errors()}


def below(kind: type[Kind]) -> list[type[Kind]]:
    """Return every subclass that the product's own modules define, all of which are loaded first."""
    for package in ("aims", "approvals", "audit"):
        for module in walk_packages([str(ROOT / package)], f"{package}."):
            if not _NOT_LOADED & set(module.name.split(".")):
                import_module(module.name)
    return [sub for sub in _subclasses(kind) if sub.__module__.partition(".")[0] in ("aims", "approvals", "audit")]


def _subclasses(kind: type[Kind]) -> Iterator[type[Kind]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def _conformance() -> str:
    from tests.house.marks import kept

    head = [
        "# Conformance",
        "",
        "Each rule of a specification that has a test of its own, and the test. All of them run in `python3 manage.py test`.",
        "What is not here may still hold; nobody has shown it.",
    ]
    body: list[str] = []
    for document, rules in groupby(kept(), key=lambda each: each.document):
        body += ["", f"## {document}", "", "| section | requirement | test |", "|---|---|---|"]
        body += [f"| {each.section} | {_cell(each.requirement)} | `{each.test}` |" for each in rules]
    return _page([*head, *body])


def _events() -> str:
    from audit.write import Event

    head = [
        "# Events",
        "",
        "Every kind of entry that the log can hold. An entry has these members besides the ones that all have (docs/formats.md); names",
        "and free text never stand in them. Types are never used again for something else, and members are only added.",
    ]
    body: list[str] = []
    found = sorted((each for each in below(Event) if "type" in vars(each)), key=lambda each: each.type)
    for room, events in groupby(found, key=lambda each: each.type.partition(".")[0]):
        body += ["", f"## {room}", "", "| type | title | tone | members |", "|---|---|---|---|"]
        body += [f"| `{each.type}` | {_cell(str(each.title))} | {each.tone} | {_members(each)} |" for each in events]
    return _page([*head, *body])


def _members(event: type) -> str:
    return ", ".join(f"`{field.name}`" for field in fields(event)) or "none"


def _errors() -> str:
    head = [
        "# Errors",
        "",
        "Every refusal: the code that a machine gets, the status, and the text that is safe to show. One class for each rule, so several",
        "may share a code where a specification wants that. Where the text is empty, the endpoint writes it for the case at hand.",
    ]
    body: list[str] = []
    found = sorted(below(AimsError), key=lambda each: (each.__module__, each.__name__))
    for module, errors in groupby(found, key=lambda each: each.__module__):
        body += ["", f"## {module}", "", "| class | code | status | text |", "|---|---|---|---|"]
        body += [f"| `{one.__name__}` | `{one.code}` | {one.status} | {_text(one)} |" for one in errors]
    return _page([*head, *body])


def _text(error: type[AimsError]) -> str:
    return "" if error.public == AimsError.public else _cell(str(error.public))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _page(lines: Iterable[str]) -> str:
    title, *rest = lines
    return "\n".join([title, "", _NOT_HAND, *rest]) + "\n"


def main() -> None:
    """Write the pages."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.support.settings")
    import django

    django.setup()
    for name, text in pages().items():
        (ROOT / "docs" / name).write_text(text)
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
