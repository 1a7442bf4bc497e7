"""What can be asked for by name. Pure."""

from __future__ import annotations

from difflib import get_close_matches
from enum import Enum

DECISIONS = {
    "allowed": "allow",
    "asked": "ask",
    "approved": "approve",
    "denied": "deny",
    "none": "not_applicable",
}
DECISION_WORDS = {code: word for word, code in DECISIONS.items()}


class Kind(Enum):
    """How the values of a field are compared.

    PATH: by its words, whole where it is an address. EXACT: as it stands, or its beginning. CHOICE: one of a list.
    REFERENCE: a string anywhere in the entry. NUMBER and TIME have an order.
    """

    PATH = "path"
    EXACT = "exact"
    CHOICE = "choice"
    REFERENCE = "reference"
    NUMBER = "number"
    TIME = "time"


FIELDS: dict[str, Kind] = {
    "type": Kind.PATH,
    "agent": Kind.PATH,
    "person": Kind.PATH,  # as subject or as the one who did it
    "subject": Kind.PATH,
    "by": Kind.PATH,
    "resource": Kind.PATH,
    "action": Kind.PATH,
    "decision": Kind.CHOICE,
    "txn": Kind.EXACT,
    "posture": Kind.PATH,
    "remediation": Kind.PATH,
    "event": Kind.EXACT,
    "index": Kind.NUMBER,
    "time": Kind.TIME,
    "after": Kind.TIME,  # time:>=
    "before": Kind.TIME,  # time:<
    "ref": Kind.REFERENCE,
    "grant": Kind.REFERENCE,
    "approval": Kind.REFERENCE,
    "request": Kind.REFERENCE,
    "receipt": Kind.REFERENCE,
    "token": Kind.REFERENCE,
}
# The names under which entries hold the reference, for ``grant:*``; a value is looked for under every name.
MEMBERS = {
    "grant": ("grant", "parent"),
    "approval": ("approval", "request"),
    "request": ("request",),
    "receipt": ("receipt",),
    "token": ("jti", "jtis"),
}
# Columns that a reference may stand in, besides the strings within ``data``.
REFERENCE_COLUMNS = ("agent", "by", "event_id", "resource", "subject", "txn")
# Columns that words are looked for in, besides the strings within ``data``.
WORD_COLUMNS = (
    "action", "agent", "by", "decision", "event_id", "posture", "remediation", "resource", "subject", "txn", "type",
)  # fmt: skip
ALIASES = {"actor": "by", "kind": "type", "since": "after", "until": "before", "transaction": "txn", "id": "event"}


def columns_of(field: str) -> tuple[str, ...]:
    """Return the columns in which a field's values stand."""
    return {"person": ("subject", "by"), "event": ("event_id",)}.get(field, (field,))


def nearest_field(name: str) -> str:
    """Return the field that was meant, perhaps, or nothing."""
    if (alias := ALIASES.get(name)) is not None:
        return alias
    return next(iter(get_close_matches(name, FIELDS, n=1, cutoff=0.5)), "")


def nearest_decision(word: str) -> str:
    """Return the decision that was meant, perhaps, or nothing."""
    return next(iter(get_close_matches(word, DECISIONS, n=1, cutoff=0.5)), "")
