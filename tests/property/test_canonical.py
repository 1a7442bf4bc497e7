"""Canonical bytes are what RFC 8785 says, whatever the value; reading them back changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit.canonical import CanonicalError, decode, encode
from audit.write import _is_plain, _refuse_free_text

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.none() | st.booleans() | texts | st.integers(-(2**53) + 1, 2**53 - 1)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=30)


@given(values)
def test_our_bytes_are_those_of_another_implementation(value: Any) -> None:
    assert encode(value) == rfc8785.dumps(value)


@given(values)
def test_reading_and_writing_again_changes_nothing(value: Any) -> None:
    assert decode(encode(value)) == value
    assert decode(json.dumps(value, indent=3).encode()) == value


@given(st.binary())
def test_reading_anything_gives_a_value_or_a_refusal(raw: bytes) -> None:
    try:
        value = decode(raw)
    except CanonicalError:
        return
    assert decode(encode(value)) == value


@given(st.floats())
def test_no_float_has_a_spelling(value: float) -> None:
    with pytest.raises(CanonicalError):
        encode([value])


@given(st.recursive(st.text() | st.characters(max_codepoint=0x100), lambda inner: st.lists(inner), max_leaves=5))
def test_what_looks_plain_from_outside_holds_no_free_text(value: Any) -> None:
    try:
        payload = encode({"data": value})
    except CanonicalError:
        return
    if _is_plain(payload):
        _refuse_free_text(value)
