"""Whose limits a request counts against, behind a proxy and without one."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from aims.authorization.client_models import ClientRegistration
from aims.kit.address import address_of
from tests.protocol.registration.desk import CALLBACK, REGISTER

PROXY = "10.0.0.7"


@pytest.mark.parametrize(
    ("is_behind", "forwarded", "address"),
    [
        (False, None, PROXY),
        (False, "198.51.100.7", PROXY),  # whoever is not behind a proxy could write anything
        (True, None, PROXY),
        (True, "198.51.100.7", "198.51.100.7"),
        (True, "203.0.113.9, 198.51.100.7", "198.51.100.7"),  # the last is our proxy's word, the first the caller's own
        (True, "198.51.100.7,  2001:DB8::1 ", "2001:db8::1"),
        (True, "198.51.100.7, unknown", PROXY),
        (True, "198.51.100.7:4711", PROXY),
        (True, "", PROXY),
        (True, "198.51.100.7,", PROXY),
    ],
)
def test_the_address_is_what_the_proxy_next_to_us_wrote(
    rf: Any, settings: Any, is_behind: bool, forwarded: str | None, address: str
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if is_behind else None
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert address_of(rf.get("/", headers=headers, REMOTE_ADDR=PROXY)) == address


def test_a_server_on_a_socket_file_names_no_address(rf: Any) -> None:
    request = rf.get("/")
    del request.META["REMOTE_ADDR"]
    assert address_of(request) == ""


@pytest.mark.django_db
@pytest.mark.urls("aims.authorization.urls")
def test_callers_behind_one_proxy_have_their_own_room(settings: Any) -> None:
    def registered(address: str) -> str:
        http = Client(headers={"X-Forwarded-For": f"203.0.113.9, {address}"})
        answer = http.post(REGISTER, {"redirect_uris": [CALLBACK]}, content_type="application/json", REMOTE_ADDR=PROXY)
        return ClientRegistration.objects.get(client_id=answer.json()["client_id"]).source

    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert len({registered("198.51.100.7"), registered("198.51.100.8")}) == 2
    settings.SECURE_PROXY_SSL_HEADER = None
    assert len({registered("198.51.100.7"), registered("198.51.100.8")}) == 1
