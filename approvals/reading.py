"""Reads the members of evidence strictly: a value of another kind fails the step that wanted it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aims.kit.ids import unb64url
from audit.canonical import CanonicalError, decode

Members = Mapping[str, Any]


class NotVerified(Exception):
    """One step failed. ``step`` is its name in docs/formats.md; ``why`` says what was wrong."""

    def __init__(self, step: str, why: str) -> None:
        self.step, self.why = step, why
        super().__init__(f"{step}: {why}")


def object_of(step: str, raw: bytes) -> dict[str, Any]:
    """Return the members of a JSON object; duplicate members, floats and bad UTF-8 fail the step."""
    try:
        value = decode(raw)
    except CanonicalError as error:
        raise NotVerified(step, f"not strict JSON: {error}") from error
    if not isinstance(value, dict):
        raise NotVerified(step, "not a JSON object")
    return value


def bytes_of(step: str, text: str) -> bytes:
    """Return what canonical base64url stands for."""
    try:
        return unb64url(text)
    except ValueError as error:
        raise NotVerified(step, "not canonical base64url") from error


def text_in(members: Members, name: str, step: str) -> str:
    """Return a member that must be a text with something in it."""
    value = members.get(name)
    if not isinstance(value, str) or not value:
        raise NotVerified(step, f"{name} is missing")
    return value


def int_in(members: Members, name: str, step: str) -> int:
    """Return a member that must be an integer; true is none."""
    value = members.get(name)
    if type(value) is not int:
        raise NotVerified(step, f"{name} is missing")
    return value
