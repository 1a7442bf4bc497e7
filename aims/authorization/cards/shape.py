"""The grammar of templates: which members a payload has, what they must be, how they are shown. Pure.

A template is data, so that its hash covers every word the person reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from aims.authorization.cards import money

TEXT_MAX = 4096
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.ASCII)
_ADDRESS = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")


class ShapeRefused(Exception):
    """A payload does not have the shape of its type. ``path``: the member; ``why``: what it must be."""

    def __init__(self, path: str, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(f"{path} {why}")


@dataclass(frozen=True)
class Field:
    """One row of a card. path: members from the payload's top; kind: what it must be and how it is shown."""

    label: str
    path: tuple[str, ...]
    kind: str = "text"
    is_required: bool = False

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class Template:
    """How one type of ``authorization_details`` is checked and shown.

    headline: verb, object, counterpart; ``{member.path}`` stands for a field as shown. short: what stands beside the
    headline in a list. is_typed: false for the raw view, which makes the request one class harder.
    """

    id: str
    version: int
    type: str
    tag: str
    headline: str
    fields: tuple[Field, ...] = ()
    is_typed: bool = True


def check(template: Template, detail: Mapping[str, Any]) -> None:
    """Raise ShapeRefused at the first member that is missing or not what its type says. Spec: RFC 9396 §2, §5."""
    for field in template.fields:
        value = member(detail, field)
        if value is None and field.is_required:
            raise ShapeRefused(field.name, "is missing")
        if value is not None and (why := _KINDS[field.kind].fault(value)):
            raise ShapeRefused(field.name, why)


def member(detail: Mapping[str, Any], field: Field) -> Any:
    """Return the field's value, None if absent. Raises ShapeRefused where a parent is not an object."""
    value: Any = detail
    for depth, name in enumerate(field.path):
        if not isinstance(value, Mapping):
            raise ShapeRefused(".".join(field.path[:depth]), "must be an object")
        if name not in value:
            return None
        value = value[name]
        if value is None:
            raise ShapeRefused(".".join(field.path[: depth + 1]), "must not be null")
    return value


def shown(field: Field, value: Any) -> str:
    """Return a checked value as the card shows it."""
    return _KINDS[field.kind].shown(value)


def covers(field: Field) -> tuple[tuple[str, ...], ...]:
    """Return the paths of the leaves that this row shows whole, so that they need no raw row."""
    if field.kind == "money":
        return (*field.path, "amount"), (*field.path, "currency")
    return (field.path,)


@dataclass(frozen=True)
class _Kind:
    """fault(value): what the value must be, or an empty string; shown(value): its text."""

    fault: Callable[[Any], str]
    shown: Callable[[Any], str]


def _text_fault(most: int) -> Callable[[Any], str]:
    def fault(value: Any) -> str:
        is_fine = isinstance(value, str) and 1 <= len(value) <= most and value.strip() != ""
        return "" if is_fine else f"must be text of 1 to {most} characters"

    return fault


def _money_fault(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "must be an object with amount and currency"
    amount, currency = value.get("amount"), value.get("currency")
    if not isinstance(currency, str) or not money.is_currency(currency):
        return "needs a currency code of ISO 4217"
    if not isinstance(amount, str) or not money.is_amount(amount, currency):
        return "needs an amount: a positive decimal, as a string"
    return ""


def _iban_fault(value: Any) -> str:
    if not isinstance(value, str) or not _IBAN.fullmatch(value):
        return "must be an IBAN without spaces"
    turned = "".join(str(int(letter, 36)) for letter in value[4:] + value[:4])
    return "" if int(turned) % 97 == 1 else "is not a valid IBAN"  # ISO 13616: the check digits


def _date_fault(value: Any) -> str:
    try:
        is_date = isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        is_date = False
    return "" if is_date else "must be a date, as 2026-01-31"


def _matches(pattern: re.Pattern[str], why: str) -> Callable[[Any], str]:
    return lambda value: "" if isinstance(value, str) and pattern.fullmatch(value) else why


def _count_fault(value: Any) -> str:
    return "" if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else "must be a whole number"


def _flag_fault(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _list_fault(inner: Callable[[Any], str]) -> Callable[[Any], str]:
    def fault(value: Any) -> str:
        if not isinstance(value, list) or not 1 <= len(value) <= 50:
            return "must be a list of 1 to 50 entries"
        return next((f"{why} (each entry)" for entry in value if (why := inner(entry))), "")

    return fault


def _grouped(iban: str) -> str:
    return " ".join(iban[at : at + 4] for at in range(0, len(iban), 4))


_address_fault = _matches(_ADDRESS, "must be an address")
_KINDS: dict[str, _Kind] = {
    "text": _Kind(_text_fault(400), str),
    "name": _Kind(_text_fault(140), str),
    "long": _Kind(_text_fault(TEXT_MAX), str),
    "money": _Kind(_money_fault, lambda value: money.shown(value["amount"], value["currency"])),
    "iban": _Kind(_iban_fault, _grouped),
    "date": _Kind(_date_fault, str),
    "commit": _Kind(_matches(_COMMIT, "must be a commit hash"), str),
    "addresses": _Kind(_list_fault(_address_fault), ", ".join),
    "names": _Kind(_list_fault(_text_fault(400)), "\n".join),
    "count": _Kind(_count_fault, lambda value: f"{value:,}"),
    "flag": _Kind(_flag_fault, lambda value: "yes" if value else "no"),
}
