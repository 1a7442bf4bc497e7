"""What waits in the inbox: the canonical bytes of an event before they have a place. Pure."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from audit.canonical import DEPTH_MAX, CanonicalError, encode, read
from audit.errors import Malformed

_TEXT_MAX = {"by": 2048, "type": 120}
_OPTIONAL_MAX = {
    **dict.fromkeys(("action", "agent", "posture", "remediation", "resource", "subject", "txn"), 2048),
    "decision": 16,
}
_MEMBERS = {"data", "id", "occurred_at", "v"} | _TEXT_MAX.keys() | _OPTIONAL_MAX.keys()
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
# After it come only strings, in which a quote is escaped: it can't be imitated.
_NEXT = b',"remediation":'
# In C, which for letters of ASCII, safe integers and members that ``read`` let through says what ``encode`` says.
_spell = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), check_circular=False).encode


def parse(payload: bytes) -> dict[str, Any]:
    """Return the members of an event. Raises: Malformed for whatever ``record()`` would not have written."""
    is_plain = payload.isascii() and b"\\" not in payload and b"\x7f" not in payload
    # Each level of nesting has a bracket, so that few of them are never too deep.
    is_flat = is_plain and payload.count(b"{") + payload.count(b"[") <= DEPTH_MAX
    try:
        event = read(payload)
        is_canonical = (_spell(event).encode() if is_flat else encode(event)) == payload
    except (CanonicalError, ValueError, RecursionError) as error:
        raise Malformed(f"not canonical JSON: {type(error).__name__}") from error
    if not is_canonical or not isinstance(event, dict):
        raise Malformed("not the canonical form of an event")
    if event.keys() != _MEMBERS or not isinstance(event["data"], dict) or event["v"] != 1:
        raise Malformed("other members than an event's")
    _refuse_odd_texts(event, is_plain=is_plain)
    return event


def with_recorded_at(payload: bytes, recorded_at: str) -> bytes:
    """Return the bytes of the entry: the event's, with the moment of its numbering in its canonical place.

    recorded_at: as ``write.stamp`` spells it.
    """
    at = payload.rindex(_NEXT)
    return b'%b,"recorded_at":"%b"%b' % (payload[:at], recorded_at.encode(), payload[at:])


def _refuse_odd_texts(event: dict[str, Any], *, is_plain: bool) -> None:
    """Refuse a column's value that is no reference. is_plain: whether no text can hold anything that can't be printed."""
    for name, limit in _TEXT_MAX.items():
        value = event[name]
        if type(value) is not str or len(value) > limit or not (is_plain or _is_printable(value)):
            raise Malformed(f"{name} is no reference")
    for name, limit in _OPTIONAL_MAX.items():
        value = event[name]
        if value is None:
            continue
        if type(value) is not str or len(value) > limit or not (is_plain or _is_printable(value)):
            raise Malformed(f"{name} is no reference")
    if not isinstance(event["id"], str) or not _ID.fullmatch(event["id"]):
        raise Malformed("id is no UUID")
    if not _is_moment(event["occurred_at"]):
        raise Malformed("occurred_at is no moment")


def _is_printable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _is_moment(value: Any) -> bool:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
