"""Where the navigation says one is."""

from __future__ import annotations

import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from aims.console.context import _HOUSE, _MINE, _current, frame

PLACES = [row[1] for row in _MINE + _HOUSE]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/", "/"),
        ("/inbox/apr_1/", "/inbox/"),
        ("/agents/", "/agents/"),
        ("/me/agents/", "/me/agents/"),
        ("/me/", ""),
        ("/chains/txn_1/", "/grants/"),
        ("/trust/srv_1/", "/agents/"),
    ],
)
def test_the_longest_place_lights_up(path: str, place: str) -> None:
    assert _current(path, PLACES) == place


def test_a_stranger_has_no_navigation(rf: RequestFactory) -> None:
    request: HttpRequest = rf.get("/sign-in/")
    shown = frame(request)["frame"]
    assert shown.person is None
    assert shown.mine == ()
    assert shown.house == ()
