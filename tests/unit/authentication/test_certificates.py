"""Whose word it is that a client showed a certificate: the server's own first, then a trusted proxy's, else nobody's."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.handlers.asgi import ASGIRequest
from django.core.management import CommandError
from django.test import RequestFactory, override_settings
from pytest_django import Settings

from aims import startup
from aims.authentication.certificate import certificate_of
from aims.authentication.errors import InvalidClient
from tests.support.domain import Domain, Shown

PROXIES = override_settings(CLIENT_CERT_PROXIES=["192.0.2.0/28", "2001:db8::/64"])


@pytest.fixture(scope="module")
def shown() -> Shown:
    return Domain().svid("spiffe://acme.example/courier")


def pem(shown: Shown) -> str:
    return shown.leaf.public_bytes(Encoding.PEM).decode()


def over_asgi(tls: dict[str, Any] | None, headers: list[tuple[bytes, bytes]] | None = None) -> ASGIRequest:
    scope = {"type": "http", "method": "POST", "path": "/oauth/token", "query_string": b"", "headers": headers or []}
    extensions = {} if tls is None else {"tls": tls}
    return ASGIRequest(scope | {"extensions": extensions, "client": ("192.0.2.7", 1)}, BytesIO())


@pytest.mark.spec("RFC 8705", "2", "a server that ends TLS says what it saw by the ASGI extension")
def test_the_asgi_extension_says_what_the_server_saw(shown: Shown) -> None:
    seen = certificate_of(over_asgi({"client_cert_chain": [pem(shown)], "client_cert_error": None}))
    assert seen is not None and seen.leaf == shown.leaf
    assert certificate_of(over_asgi({"client_cert_chain": [pem(shown)], "client_cert_error": "expired"})) is None
    assert certificate_of(over_asgi({"client_cert_chain": []})) is None
    assert certificate_of(over_asgi(None)) is None


@PROXIES
@pytest.mark.spec("RFC 9440", "4", "where the server itself ends TLS no header counts")
def test_no_header_counts_where_the_server_ends_tls(shown: Shown) -> None:
    header = [(b"client-cert", shown.headers["HTTP_CLIENT_CERT"].encode())]
    assert certificate_of(over_asgi(None, header)) is not None
    assert certificate_of(over_asgi({"client_cert_chain": []}, header)) is None
    with pytest.raises(InvalidClient):  # two headers of one name are joined
        certificate_of(over_asgi(None, header * 2))


@PROXIES
@pytest.mark.parametrize(
    ("address", "is_believed"),
    [
        ("192.0.2.15", True),
        ("192.0.2.16", False),
        ("2001:db8::7", True),
        ("2001:db8:0:1::7", False),
        ("::ffff:192.0.2.1", True),
        ("::ffff:192.0.3.1", False),
        ("fe80::1%eth0", False),
        ("", False),
    ],
)
def test_only_the_named_networks_are_believed(shown: Shown, address: str, is_believed: bool) -> None:
    extra: Any = shown.headers
    request = RequestFactory().post("/oauth/token", REMOTE_ADDR=address, **extra)
    assert (certificate_of(request) is not None) is is_believed


@pytest.mark.parametrize("named", ["10.0.0.7/8", "proxy.internal", "10.0.0.0/33", "*"])
def test_a_server_does_not_start_with_what_is_no_network(named: str, settings: Settings) -> None:
    settings.PERSON_KEYS_IS_CHOSEN = True
    with override_settings(CLIENT_CERT_PROXIES=[named]), pytest.raises(CommandError, match="AIMS_CLIENT_CERT_PROXIES"):
        startup.refuse_unsafe(needs_log_key=False)
    with PROXIES:
        startup.refuse_unsafe(needs_log_key=False)
