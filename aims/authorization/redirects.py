"""Where an authorization response may go: which redirect URIs can be registered, and which one a request means. Pure.

Spec: RFC 6749 §3.1.2, RFC 8252 §7 and §8.4, RFC 9700 §2.1 and §4.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

REDIRECT_URI_MAX = 2048  # characters
# RFC 8252 §8.3 asks for the addresses; clients of today also send the name (MCP 2026-07-28).
_LOOPBACK_NAMES = frozenset({"localhost"})


class RedirectRefused(Exception):
    """A redirect URI that nobody may register. Its text says why."""


def check(uri: str, *, application_type: str) -> None:
    """Raise RedirectRefused where a redirect URI may not be registered. application_type: ``web``, ``native`` or empty."""
    parts = _parts(uri)
    if parts.scheme == "https":
        _check_https(parts)
        if application_type == "web" and is_loopback(uri):
            raise RedirectRefused("a web client redirects to https on a host of its own")
        return
    if application_type == "web":
        raise RedirectRefused("a web client redirects to https")
    if parts.scheme == "http":
        if not is_loopback(uri):
            raise RedirectRefused("plain http is for the loopback interface only")
        return
    # RFC 8252 §7.1: a private-use scheme is a domain of its owner in reverse, so that javascript: and data: are none.
    if "." not in parts.scheme or parts.netloc:
        raise RedirectRefused("a scheme of an app's own is a domain name in reverse, followed by a path")


def is_loopback(uri: str) -> bool:
    """Return whether a URI leads to the machine of the person themselves. Spec: RFC 8252 §7.3."""
    host = (urlsplit(uri).hostname or "").lower()
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK_NAMES


def host_of(uri: str) -> str:
    """Return the host that people are shown, or the scheme where an app takes the answer."""
    parts = urlsplit(uri)
    return (parts.hostname or f"{parts.scheme}:").lower()


def is_registered(asked: str, registered: Iterable[str]) -> bool:
    """Return whether a request may use this redirect URI: equal by characters; the port of a loopback one may differ.

    Spec: RFC 9700 §4.1.3, RFC 8252 §7.3.
    """
    held = tuple(registered)
    if asked in held:
        return True
    try:
        portless = _portless(asked)
    except ValueError:
        return False
    return portless is not None and portless in {_portless(uri) for uri in held}


def _portless(uri: str) -> str | None:
    """Return a loopback URI of plain http without its port, None for any other."""
    parts = urlsplit(uri)
    if parts.scheme != "http" or parts.username is not None or parts.fragment or not is_loopback(uri):
        return None
    if parts.port is None and parts.netloc.endswith(":"):
        return None
    host = parts.netloc.rpartition(":")[0] if parts.port is not None else parts.netloc
    return parts._replace(netloc=host).geturl()


def _parts(uri: str) -> SplitResult:
    if len(uri) > REDIRECT_URI_MAX:
        raise RedirectRefused("it is longer than 2,048 characters")
    if not uri.isascii() or not uri.isprintable() or {" ", "\\", '"', "<", ">"} & set(uri):
        raise RedirectRefused("it holds a character that no URI has")
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as error:
        raise RedirectRefused("it is not a URI") from error
    if not parts.scheme or "#" in uri:  # RFC 6749 §3.1.2
        raise RedirectRefused("it must be absolute and without a fragment")
    if "*" in uri or "@" in parts.netloc:
        raise RedirectRefused("it must name one place, without a wildcard or a user")
    if {"..", "."} & set(parts.path.split("/")):
        raise RedirectRefused("its path has a dot segment")
    return parts


def _check_https(parts: SplitResult) -> None:
    if not parts.hostname:
        raise RedirectRefused("it has no host")
