"""How entries are spelled on the wire: JSON lines, RFC 5424 messages, and the signature over a POST. Pure.

A line is an entry, a checkpoint or a test. A receiver that keeps the canonical lines keeps a copy of the log that can be
verified: each carries index and leaf hash, and checkpoints come in between.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from audit.exports.mappings import cef, ocsf
from audit.exports.mappings.kinds import is_failure

FACILITY_AUDIT, NOTICE, INFORMATIONAL = 13, 5, 6
SD_ID = "aims@32473"  # RFC 5612: a number for those who have none of their own
MSGID_MAX = 32
COMPONENTS = ("@method", "@target-uri", "content-type", "content-digest")


class Line:
    """One thing to deliver: what it is called, when it happened, how grave it is, and what it says in a format."""

    def __init__(
        self, kind: str, at: str, text: bytes, *, index: int | None = None, leaf: str = "", failed: bool = False
    ) -> None:
        self.kind, self.at, self.text, self.index, self.leaf, self.failed = kind, at, text, index, leaf, failed


def entry_line(
    format: str, *, index: int, leaf: str, canon: bytes, entry: dict[str, Any], title: str, version: str
) -> Line:
    """Return an entry in a format: ``canonical``, ``ocsf`` or ``cef``."""
    told: dict[str, Any] = {"index": index, "leaf": leaf, "entry": entry, "title": title, "version": version}
    if format == "canonical":
        text = b'{"index":%d,"leaf_hash":"%b","entry":%b}' % (index, leaf.encode(), canon)
    elif format == "ocsf":
        text = json.dumps(ocsf.event(**told), separators=(",", ":")).encode()
    else:
        text = cef.line(**told).encode()
    failed = is_failure(entry["type"], entry["decision"])
    return Line(entry["type"], entry["occurred_at"], text, index=index, leaf=leaf, failed=failed)


def checkpoint_line(note: str, *, at: str) -> Line:
    """Return a signed checkpoint. It stands behind the entries that it covers."""
    return Line("checkpoint", at, json.dumps({"checkpoint": note}, ensure_ascii=False).encode())


def test_line(feed: str, *, at: str) -> Line:
    """Return a message that means nothing but that the way is open."""
    return Line("test", at, json.dumps({"test": feed}).encode())


def json_lines(lines: Sequence[Line]) -> bytes:
    """Return the body of one POST."""
    return b"".join(line.text + b"\n" for line in lines)


def syslog(lines: Sequence[Line], *, host: str) -> bytes:
    """Return messages with their lengths before them. Spec: RFC 5424 §6, RFC 6587 §3.4.1, RFC 5425 §4.3."""
    framed = []
    for line in lines:
        priority = FACILITY_AUDIT * 8 + (NOTICE if line.failed else INFORMATIONAL)
        data = "-" if line.index is None else f'[{SD_ID} index="{line.index}" leafHash="{line.leaf}"]'
        head = f"<{priority}>1 {line.at} {_name(host, 255)} aims-console - {_name(line.kind, MSGID_MAX)} {data} "
        message = head.encode() + line.text
        framed.append(b"%d %b" % (len(message), message))
    return b"".join(framed)


def signed_headers(
    *, url: str, body: bytes, content_type: str, key: bytes, key_id: str, created: int
) -> dict[str, str]:
    """Return the headers of a POST, signed with a shared key. Spec: RFC 9421 §2.5, §3.3.3; RFC 9530 §2."""
    digest = f"sha-256=:{_b64(hashlib.sha256(body).digest())}:"
    values = {"@method": "POST", "@target-uri": url, "content-type": content_type, "content-digest": digest}
    names = " ".join(f'"{name}"' for name in COMPONENTS)
    parameters = f'({names});created={created};keyid="{key_id}";alg="hmac-sha256"'
    base = "".join(f'"{name}": {values[name]}\n' for name in COMPONENTS) + f'"@signature-params": {parameters}'
    signature = hmac.new(key, base.encode(), "sha256").digest()
    return {
        "Content-Type": content_type,
        "Content-Digest": digest,
        "Signature-Input": f"aims={parameters}",
        "Signature": f"aims=:{_b64(signature)}:",
    }


def parse_address(kind: str, address: str) -> tuple[str, str, int]:
    """Return scheme, host and port of a receiver's address. Raises: ValueError."""
    parts = urlsplit(address)
    schemes = {"http": {"https": 443, "http": 80}, "syslog": {"tls": 6514, "tcp": 601}}[kind]
    if parts.scheme not in schemes or not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError(address)
    if kind == "syslog" and (parts.path not in ("", "/") or parts.query):
        raise ValueError(address)
    return parts.scheme, parts.hostname, parts.port or schemes[parts.scheme]


def _name(text: str, limit: int) -> str:
    kept = "".join(letter for letter in text if "\x21" <= letter <= "\x7e")[:limit]
    return kept or "-"


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
