"""Whether two URIs name the same target. Pure. Spec: RFC 9449 §4.3 (9), RFC 3986 §6.2.2 and §6.2.3."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

MAX_CHARACTERS = 2048
_DEFAULT_PORT = {"http": 80, "https": 443}
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_URI = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")  # no @: a target names no user


def normal_target(uri: str) -> str | None:
    """Return an http or https URI in one spelling, without query and fragment; None for what is no such URI.

    Alike are: case of scheme, host and percent-encoding, encoded unreserved characters, dot segments, the default port,
    an empty path and ``/``. Everything else is another target, a slash at the end too.
    """
    if len(uri) > MAX_CHARACTERS or not _URI.fullmatch(uri):
        return None
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in _DEFAULT_PORT or not host:
        return None
    shown = f"[{host}]" if ":" in host else host
    origin = f"{scheme}://{shown}" if port in (None, _DEFAULT_PORT[scheme]) else f"{scheme}://{shown}:{port}"
    return origin + _without_dots(re.sub(r"%(..)", _respelled, parts.path))


def _respelled(escape: re.Match[str]) -> str:
    char = chr(int(escape[1], 16))
    return char if char in _UNRESERVED else escape[0].upper()


def _without_dots(path: str) -> str:
    """Return an absolute path without dot segments. Spec: RFC 3986 §5.2.4."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)
