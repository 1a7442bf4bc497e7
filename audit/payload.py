"""What waits in the inbox: the canonical bytes of an event before they have a place. Pure."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from audit.canonical import CanonicalError, encode
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


def parse(payload: bytes) -> dict[str, Any]:
    """Return the members of an event. Raises: Malformed for whatever ``record()`` would not have written."""
    try:
        event = json.loads(payload)
        is_canonical = encode(event) == payload
    except (CanonicalError, ValueError, RecursionError) as error:
        raise Malformed(f"not canonical JSON: {type(error).__name__}") from error
    if not is_canonical or not isinstance(event, dict):
        raise Malformed("not the canonical form of an event")
    if event.keys() != _MEMBERS or not isinstance(event["data"], dict) or event["v"] != 1:
        raise Malformed("other members than an event's")
    _refuse_odd_texts(event)
    return event


def with_recorded_at(payload: bytes, recorded_at: datetime) -> bytes:
    """Return the bytes of the entry: the event's, with the moment of its numbering in its canonical place.

    recorded_at: aware UTC, whole milliseconds.
    """
    at = payload.rindex(_NEXT)
    moment = recorded_at.isoformat(timespec="milliseconds")[:23]
    return b'%b,"recorded_at":"%bZ"%b' % (payload[:at], moment.encode(), payload[at:])


def _refuse_odd_texts(event: dict[str, Any]) -> None:
    for name, limit in _TEXT_MAX.items():
        if not isinstance(event[name], str) or not _fits(event[name], limit):
            raise Malformed(f"{name} is no reference")
    for name, limit in _OPTIONAL_MAX.items():
        if event[name] is not None and not (isinstance(event[name], str) and _fits(event[name], limit)):
            raise Malformed(f"{name} is no reference")
    if not isinstance(event["id"], str) or not _ID.fullmatch(event["id"]):
        raise Malformed("id is no UUID")
    if not _is_moment(event["occurred_at"]):
        raise Malformed("occurred_at is no moment")


def _fits(text: str, limit: int) -> bool:
    return len(text) <= limit and text.isascii() and text.isprintable()


def _is_moment(value: Any) -> bool:
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
