"""What the log holds of a personal value: a salted commitment, which tells nothing and binds to everything. Pure.

``c1.`` and base64url(HMAC-SHA-256(salt, field name ‖ 0x00 ‖ value)), without padding. salt: 32 random bytes, fresh for each
value, so that two entries about one address have nothing in common and no list of addresses can be tried. Whoever is shown
value and salt checks them against an entry that is proven, and needs nobody's word for it. Spec: docs/formats.md.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass

SALT_BYTES = 32
VALUE_MAX_BYTES = 1_024
PREFIX = "c1."
_COMMITMENT = re.compile(r"c1\.[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Personal:
    """A value about a person, for an event's field. The entry gets a commitment; the value is kept beside, erasably.

    person: whose it is, by reference: it goes when they are erased. value: text, at most VALUE_MAX_BYTES in UTF-8.
    """

    person: str
    value: str


def commit(salt: bytes, field: str, value: str) -> str:
    """Return the commitment to a value of a field. salt: SALT_BYTES, never used twice."""
    assert len(salt) == SALT_BYTES
    digest = hmac.digest(salt, field.encode() + b"\x00" + value.encode(), "sha256")
    return PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_commitment(text: object) -> bool:
    """Return whether a member of an entry has the form of a commitment."""
    return isinstance(text, str) and bool(_COMMITMENT.fullmatch(text))


def opens(commitment: str, *, salt: bytes, field: str, value: str) -> bool:
    """Return whether a value and its salt are what was committed to, under this name of a field."""
    return len(salt) == SALT_BYTES and hmac.compare_digest(commit(salt, field, value), commitment)
