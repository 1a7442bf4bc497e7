"""kit/forms.py reads a form as the standard library does, whatever is in it."""

from __future__ import annotations

from urllib.parse import parse_qsl

from django.test import RequestFactory
from hypothesis import example, given, settings
from hypothesis import strategies as st

from aims.kit.forms import FIELDS_MAX, MEDIA_TYPE, Form, FormRefused, read_form

_factory = RequestFactory()
PIECES = st.sampled_from(
    ["a", "scope", "=", "&", "&&", "+", "%", "%2", "%2B", "%26", "%3d", "%C3%A9", "%c3", "%E2%82%AC", "%00", "%0", "%zz", ";", " ", "\0", "é"]
)  # fmt: skip


def ours(body: bytes) -> Form | None:
    request = _factory.generic("POST", "/", body)
    request.content_type = MEDIA_TYPE
    try:
        return read_form(request)
    except FormRefused:
        return None


def theirs(body: bytes) -> Form | None:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        return None
    if any("\0" in text for pair in pairs for text in pair):
        return None
    return {name: tuple(value for each, value in pairs if each == name) for name, _ in pairs}


@settings(max_examples=400)
@given(st.lists(PIECES, max_size=30).map("".join))
@example("")
@example("&" * (FIELDS_MAX - 1))
@example("&" * FIELDS_MAX)
@example("a=" + "%41" * 100)
@example("a=%00")
@example("%00")
def test_a_form_is_read_as_the_standard_library_reads_it(text: str) -> None:
    body = text.encode()
    assert ours(body) == theirs(body)


@settings(max_examples=100)
@given(st.binary(max_size=60))
def test_so_are_any_bytes(body: bytes) -> None:
    assert ours(body) == theirs(body)
