"""How long a poll wishes to wait, read as a list of preferences."""

from __future__ import annotations

import pytest

from aims.authorization.endpoints.long_poll import PATH, WAIT_MAX_S, wished_s

pytestmark = pytest.mark.spec("RFC 7240", "2", "preferences are a list, of which the first instance of a name counts")


@pytest.mark.parametrize(
    ("said", "wait_s"),
    [
        (["wait=5"], 5),
        (["Wait = 5"], 5),
        (['wait="5"'], 5),
        (["respond-async, wait=9"], 9),
        (["respond-async", "wait=9"], 9),
        (["wait=9; foo=bar"], 9),
        (["wait=25"], WAIT_MAX_S),
        (["wait=26"], WAIT_MAX_S),
        (["wait=" + "9" * 5000], WAIT_MAX_S),
        (["wait=7, wait=3"], 7),
        (["wait=abc, wait=5"], None),
        (['foo="a, wait=5"'], None),
        (["respond-async; wait=9"], None),
        (["wait"], None),
        (["wait="], None),
        (["wait=0"], None),
        (["wait=-1"], None),
        (["wait=1.5"], None),
        (["wait=٥"], None),
        (["awaited=5"], None),
        ([""], None),
        ([], None),
    ],
)
def test_the_wish_of_a_poll(said: list[str], wait_s: int | None) -> None:
    headers = [(b"prefer", value.encode("latin-1", "replace")) for value in said]
    assert wished_s({"type": "http", "path": PATH, "headers": headers}) == wait_s


def test_only_the_token_endpoint_is_held() -> None:
    headers = [(b"prefer", b"wait=5")]
    assert wished_s({"type": "http", "path": "/oauth/revoke", "headers": headers}) is None
    assert wished_s({"type": "websocket", "path": PATH, "headers": headers}) is None
