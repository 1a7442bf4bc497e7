"""target.py: two spellings of one target are one, two targets are two."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aims.resource_server.target import MAX_CHARACTERS, normal_target

unhurried = settings(deadline=None, suppress_health_check=list(HealthCheck))  # a loaded machine proves nothing


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://pay.example/a", "HTTPS://Pay.EXAMPLE/a"),
        ("https://pay.example/a", "https://pay.example:443/a"),
        ("http://pay.example/a", "http://pay.example:80/a"),
        ("https://pay.example", "https://pay.example/"),
        ("https://pay.example:/a", "https://pay.example/a"),
        ("https://pay.example/a", "https://pay.example/a?x=1"),
        ("https://pay.example/a", "https://pay.example/a?x=1#y"),
        ("https://pay.example/a", "https://pay.example/a#y"),
        ("https://pay.example/a~b", "https://pay.example/%61%7Eb"),
        ("https://pay.example/%c3%a4", "https://pay.example/%C3%A4"),
        ("https://pay.example/a/c", "https://pay.example/a/./b/../c"),
        ("https://pay.example/c", "https://pay.example/../../c"),
        ("https://pay.example/c", "https://pay.example/a/%2e%2E/c"),
        ("https://pay.example/a/", "https://pay.example/a/."),
        ("https://pay.example/a/", "https://pay.example/a/b/.."),
        ("https://[2001:DB8::1]/a", "https://[2001:db8::1]:443/a"),
    ],
)
def test_these_are_one_target(one: str, other: str) -> None:
    assert normal_target(one) is not None
    assert normal_target(one) == normal_target(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://pay.example/a", "http://pay.example/a"),
        ("https://pay.example/a", "https://pay.example:8443/a"),
        ("https://pay.example:80/a", "https://pay.example/a"),
        ("https://pay.example/a", "https://pay.example/a/"),
        ("https://pay.example/a", "https://pay.example/A"),
        ("https://pay.example/a", "https://pay.example//a"),
        ("https://pay.example/a/b", "https://pay.example/a%2Fb"),
        ("https://pay.example/a", "https://pay.example./a"),
        ("https://pay.example/a", "https://pay.example.evil.example/a"),
        ("https://pay.example//evil.example/a", "https://evil.example/a"),
        ("https://pay.example/a;b", "https://pay.example/a"),
        ("https://pay.example/a%3Fb", "https://pay.example/a?b"),
    ],
)
def test_these_are_two(one: str, other: str) -> None:
    assert normal_target(one) is not None
    assert normal_target(one) != normal_target(other)


@pytest.mark.parametrize(
    "uri",
    [
        "", "pay.example/a", "/a", "//pay.example/a", "ftp://pay.example/a", "https:///a", "https://", "https:a",
        "https://user@pay.example/a", "https://user:pw@pay.example/", "https://pay.example/a b", "https://pay.example/a\tb",
        "https://pay.example/a\n", " https://pay.example/a", "https://pay.example\\@evil.example/a", "https://päy.example/",
        "https://pay.example/%zz", "https://pay.example/%4", "https://pay.example/\x00", "https://pay.example:x/",
        "https://pay.example:99999/", "https://[::1/a", "javascript:alert(1)", "https://pay.example/" + "a" * MAX_CHARACTERS,
    ],
)  # fmt: skip
def test_what_is_no_target_is_none(uri: str) -> None:
    assert normal_target(uri) is None


@unhurried
@given(st.text(alphabet="aZ09-._~/%:?#[]@!2eE\\ é", max_size=40))
def test_the_one_spelling_is_its_own_spelling(rest: str) -> None:
    once = normal_target("https://pay.example/" + rest)
    assert once is None or normal_target(once) == once
