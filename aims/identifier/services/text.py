"""Limits of the free texts of this room."""

from __future__ import annotations

from aims.identifier.errors import FieldRefused

NAME_MAX = 80
PURPOSE_MAX = 400
CONTACT_MAX = 254
REASON_MAX = 400


def checked(text: str, *, field: str, max_length: int, may_be_empty: bool = False) -> str:
    """Return the trimmed text. Raises FieldRefused, naming the field."""
    trimmed = text.strip()
    if not trimmed and not may_be_empty:
        raise FieldRefused(f"The {field} is missing.", field=field)
    if "\x00" in trimmed:
        raise FieldRefused(f"The {field} holds a character that can't be kept.", field=field)
    if len(trimmed) > max_length:
        raise FieldRefused(f"The {field} is longer than {max_length} characters.", field=field)
    return trimmed
