"""The one fetcher: the only code that opens connections to addresses that somebody else gave us.

https to public addresses only, but for ``AIMS_FETCH_ALLOW``. The name is resolved once, every answer is checked, and the
checked address is the one connected to, while TLS and Host keep the name: a second look-up could answer otherwise.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import urllib3
from django.conf import settings

from aims.kit.errors import AimsError

TOTAL_S = 5.0
URL_MAX = 2048
_CHUNK_BYTES = 16 * 1024
_PORTS = {"https": 443, "http": 80}
_resolvers = ThreadPoolExecutor(max_workers=8, thread_name_prefix="resolve")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]


class FetchRefused(AimsError):
    """An address that we don't go to, or an answer that we don't take. ``code`` names the rule."""

    code = "fetch_refused"
    public = "The address can't be fetched."

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"The address can't be fetched: {detail}.", detail=detail)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """An answer. headers: lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def fetch(url: str, *, max_bytes: int, accept: str) -> Fetched:
    """GET an address. Raises FetchRefused; any status is an answer, a redirect is not followed."""
    return request("GET", url, body=None, headers={"Accept": accept}, max_bytes=max_bytes)


def post(url: str, *, body: bytes, headers: Mapping[str, str]) -> int:
    """POST to an address and return the status; the answer's body is never read. Raises FetchRefused."""
    return request("POST", url, body=body, headers=headers, max_bytes=None).status


def check_url(url: str) -> None:
    """Raise FetchRefused where an address could never be fetched; asks no network, so forms call it."""
    _parts(url)


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a name, as the system finds them."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def connect(
    host: str,
    port: int,
    *,
    is_tls: bool,
    resolver: Resolver = resolve,
    ssl_context: ssl.SSLContext | None = None,
) -> socket.socket:
    """Open a connection to a checked and pinned address, TLS by the name. Raises FetchRefused.

    Without TLS only to what the allow-list names, as plain http.
    """
    scheme = "https" if is_tls else "http"
    address = _checked_address(scheme, host, port, _resolved(host, port, resolver))
    try:
        raw = socket.create_connection((str(address), port), timeout=TOTAL_S)
        return (ssl_context or ssl.create_default_context()).wrap_socket(raw, server_hostname=host) if is_tls else raw
    except OSError as error:
        raise FetchRefused("unreachable", "it does not answer as it should") from error


def request(
    method: str,
    url: str,
    *,
    body: bytes | None,
    headers: Mapping[str, str],
    max_bytes: int | None,
    resolver: Resolver = resolve,
    ssl_context: ssl.SSLContext | None = None,
) -> Fetched:
    """Send one request to a checked and pinned address, within 5 s in all. Raises FetchRefused.

    max_bytes: of the body; None leaves it unread.
    """
    deadline = time.monotonic() + TOTAL_S
    parts, port = _parts(url)
    host = str(parts.hostname)
    address = _checked_address(parts.scheme, host, port, _resolved(host, port, resolver))
    pool = _pool(parts.scheme, host, port, address, ssl_context)
    try:
        with _ended_at(deadline, pool):
            return _send(pool, method, parts, port, body, headers, max_bytes, deadline)
    except (urllib3.exceptions.HTTPError, OSError) as error:
        _left(deadline)
        raise FetchRefused("unreachable", "it does not answer as it should") from error
    finally:
        pool.close()


@contextlib.contextmanager
def _ended_at(deadline: float, pool: urllib3.HTTPConnectionPool) -> Iterator[None]:
    """Shut the connection at the deadline: time-outs are for each read, and a peer may send one byte at a time."""
    held: list[socket.socket] = []

    class Connection(pool.ConnectionCls):  # type: ignore[misc, name-defined]
        def _new_conn(self) -> socket.socket:
            made: socket.socket = super()._new_conn()
            held.append(made.dup())  # of the same connection, also once TLS has taken the first
            return made

    def shut() -> None:
        for each in held:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    pool.ConnectionCls = Connection
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), shut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for each in held:
            each.close()


def _send(
    pool: urllib3.HTTPConnectionPool,
    method: str,
    parts: SplitResult,
    port: int,
    body: bytes | None,
    headers: Mapping[str, str],
    max_bytes: int | None,
    deadline: float,
) -> Fetched:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # identity: a compressed answer could unfold past any limit.
    sent = {**headers, "Host": _host_header(parts, port), "Accept-Encoding": "identity", "User-Agent": "aims-console"}
    response = pool.urlopen(
        method,
        target,
        body=body,
        headers=sent,
        redirect=False,
        retries=False,
        preload_content=False,
        decode_content=False,
        timeout=urllib3.Timeout(total=_left(deadline)),
    )
    try:
        raw = b"" if max_bytes is None else _read(response, max_bytes, deadline)
    finally:
        response.close()
    return Fetched(status=response.status, headers={k.lower(): v for k, v in response.headers.items()}, body=raw)


def _read(response: urllib3.BaseHTTPResponse, max_bytes: int, deadline: float) -> bytes:
    """Return the body; refuse one that is larger, or that trickles in past the deadline."""
    raw = bytearray()
    while True:
        _left(deadline)
        chunk = response.read1(_CHUNK_BYTES, decode_content=False)
        if not chunk:
            _left(deadline)  # at the deadline the connection is shut, which looks like an end
            return bytes(raw)
        raw += chunk
        if len(raw) > max_bytes:
            raise FetchRefused("too_large", f"the answer is larger than {max_bytes} bytes")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise FetchRefused("too_slow", "it takes longer than 5 seconds")
    return left


def _parts(url: str) -> tuple[SplitResult, int]:
    """Return the parts and port of an address that is well-formed and, but for the allow-list, https."""
    if len(url) > URL_MAX or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise FetchRefused("malformed", "it is not a plain URL of at most 2,048 characters")
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise FetchRefused("malformed", "it is not a URL") from error
    if not parts.hostname or parts.username is not None or parts.fragment:
        raise FetchRefused("malformed", "it has no host, or a user or fragment")
    if parts.scheme not in _PORTS:
        raise FetchRefused("scheme", "it is not https")
    # The allow-list may name a CIDR, so plain http can only be judged here if nothing is allowed at all.
    if parts.scheme == "http" and not settings.FETCH_ALLOW:
        raise FetchRefused("scheme", "it is not https")
    return parts, port


def _resolved(host: str, port: int, resolver: Resolver) -> list[Address]:
    """Return the addresses of a host; getaddrinfo has no time limit of its own."""
    try:
        found = _resolvers.submit(resolver, host, port).result(timeout=TOTAL_S)
        addresses: list[Address] = [ipaddress.ip_address(text.partition("%")[0]) for text in found]
    except (OSError, UnicodeError, ValueError, FutureTimeout) as error:
        raise FetchRefused("unresolved", "its host has no address") from error
    if not addresses:
        raise FetchRefused("unresolved", "its host has no address")
    return addresses


def _checked_address(scheme: str, host: str, port: int, addresses: Sequence[Address]) -> Address:
    """Return the address to connect to. One bad address among many refuses all: the name is not to be trusted."""
    for address in addresses:
        if _is_allowed(host, port, address):
            continue
        if scheme != "https":
            raise FetchRefused("scheme", "it is not https")
        if not _is_public(address):
            raise FetchRefused("private_address", "its host is not a public address")
    return addresses[0]


def _is_allowed(host: str, port: int, address: Address) -> bool:
    """Return whether ``AIMS_FETCH_ALLOW`` names this host and port, or a network that the address is in."""
    for entry in settings.FETCH_ALLOW:
        if "/" in entry:
            network = ipaddress.ip_network(entry, strict=False)
            if address.version == network.version and address in network:
                return True
        elif entry.lower() == f"{host.lower()}:{port}":
            return True
    return False


def _is_public(address: Address) -> bool:
    """Return whether an address is a public unicast one, also by what it embeds (mapped, 6to4, NAT64, Teredo)."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if embedded is None and address in ipaddress.IPv6Network("64:ff9b::/96"):
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None and not _is_public(embedded):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _pool(
    scheme: str, host: str, port: int, address: Address, ssl_context: ssl.SSLContext | None
) -> urllib3.HTTPConnectionPool:
    """Return a pool of one connection to the pinned address. Pools, unlike managers, ignore proxies in the environment."""
    if scheme == "http":
        return urllib3.HTTPConnectionPool(str(address), port, maxsize=1)
    return urllib3.HTTPSConnectionPool(
        str(address),
        port,
        maxsize=1,
        server_hostname=host,
        assert_hostname=host,
        ssl_context=ssl_context or ssl.create_default_context(),
    )


def _host_header(parts: SplitResult, port: int) -> str:
    host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else str(parts.hostname)
    return host if port == _PORTS[parts.scheme] else f"{host}:{port}"
