"""Canonical JSON: what is hashed, signed and stored. Pure.

RFC 8785 (JCS), restricted: strings, integers below 2^53, booleans, null, lists, objects. Floats are refused, so
that no two implementations can ever disagree about a number.
"""

from __future__ import annotations

import json
from typing import Any

SAFE_INTEGER_MAX = 2**53 - 1  # RFC 7493 §2.2
INTEGER_DIGITS_MAX = 16
DEPTH_MAX = 32
_ONLY_STRINGS = frozenset({str})

_quote = json.encoder.encode_basestring  # in C; escapes as RFC 8785 §3.2.2.2 has it


class CanonicalError(ValueError):
    """A value or a text that has no place in canonical JSON."""


def encode(value: Any, *, max_depth: int = DEPTH_MAX) -> bytes:
    """Return the one canonical spelling of a value.

    Raises: CanonicalError for floats, big integers, keys that aren't strings, lone surrogates, deep nesting.
    Spec: RFC 8785 §3.2.
    """
    try:
        return _spell(value, max_depth).encode()
    except UnicodeEncodeError as error:
        raise CanonicalError("a lone surrogate") from error


def decode(raw: bytes, *, max_depth: int = DEPTH_MAX) -> Any:
    """Return the value of a JSON text that means the same to everybody.

    Raises: CanonicalError for bad UTF-8 or JSON, duplicate members, floats, big integers, lone surrogates, deep
    nesting. Spec: RFC 7493 §2.
    """
    value = read(raw)
    encode(value, max_depth=max_depth)
    return value


def read(raw: bytes) -> Any:
    """Return the value of a JSON text whose nesting and surrogates nobody has looked at yet.

    Raises: CanonicalError for bad UTF-8 or JSON, duplicate members, floats, big integers.
    """
    try:
        return _reader.decode(raw.decode())
    except RecursionError as error:
        raise CanonicalError("nested too deeply") from error
    except CanonicalError:
        raise
    except ValueError as error:
        raise CanonicalError("not JSON in UTF-8") from error


def _spell(value: Any, depth: int) -> str:
    kind = type(value)
    if kind is str:
        return _quote(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int:
        return str(_safe(value))
    if depth == 0:
        raise CanonicalError("nested too deeply")
    if kind is dict:
        return _spell_members(value, depth - 1)
    if kind is list or kind is tuple:
        return "[" + ",".join([_spell(item, depth - 1) for item in value]) + "]"
    raise CanonicalError(f"no place for {kind.__name__}")


def _spell_members(members: dict[Any, Any], depth: int) -> str:
    spelled = []
    for key in _sorted_keys(members):
        value = members[key]
        # Most members are strings, and a call for each would cost as much as the spelling.
        spelled.append(f"{_quote(key)}:{_quote(value) if type(value) is str else _spell(value, depth)}")
    return "{" + ",".join(spelled) + "}"


def _sorted_keys(members: dict[Any, Any]) -> list[str]:
    if not _ONLY_STRINGS.issuperset(map(type, members)):
        raise CanonicalError("a key that is not a string")
    # RFC 8785 §3.2.3: UTF-16 code units, which differ from code points beyond the basic plane.
    return sorted(members) if "".join(members).isascii() else sorted(members, key=_utf16)


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _safe(number: int) -> int:
    if not -SAFE_INTEGER_MAX <= number <= SAFE_INTEGER_MAX:
        raise CanonicalError("an integer of 2^53 or more")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise CanonicalError("a member twice")
    return members


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > INTEGER_DIGITS_MAX:
        raise CanonicalError("an integer of 2^53 or more")
    return _safe(int(digits))


def _no_float(text: str) -> Any:
    raise CanonicalError("a number that is not an integer")


_reader = json.JSONDecoder(
    object_pairs_hook=_once,
    parse_int=_integer,
    parse_float=_no_float,
    parse_constant=_no_float,
)
