"""kit/forms.py: a form is read whole or refused, and nothing is lost on the way."""

from __future__ import annotations

import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from aims.kit.forms import (
    MACHINE_BODY_MAX_BYTES,
    MEDIA_TYPE,
    FormRefused,
    read_form,
    single,
)


def post(body: bytes | str, media_type: str = MEDIA_TYPE) -> HttpRequest:
    return RequestFactory().post("/", data=body, content_type=media_type)


def test_every_value_of_a_repeated_field_is_kept() -> None:
    assert read_form(post("resource=a&resource=b&scope=x+y%20z")) == {
        "resource": ("a", "b"),
        "scope": ("x y z",),
    }


def test_a_field_is_single_or_refused() -> None:
    form = read_form(post("a=1&b=1&b=2&c=&d=&d=1"))
    assert (single(form, "a"), single(form, "c"), single(form, "nothing")) == (
        "1",
        None,
        None,
    )
    for name in ("b", "d"):
        with pytest.raises(FormRefused, match="repeated"):
            single(form, name)


@pytest.mark.parametrize(
    "media_type",
    ["application/json", "multipart/form-data; boundary=x", "", "text/plain"],
)
def test_another_media_type_is_refused(media_type: str) -> None:
    with pytest.raises(FormRefused) as caught:
        read_form(post("a=1", media_type))
    assert caught.value.status == 415


def test_the_media_type_may_name_a_charset() -> None:
    assert read_form(post("a=1", MEDIA_TYPE.upper() + "; charset=UTF-8")) == {"a": ("1",)}


@pytest.mark.parametrize("body", [b"a=%ff", "a=ä".encode(), b"&".join(b"a%d=1" % n for n in range(201))])
def test_bad_utf8_raw_bytes_and_too_many_fields_are_refused(body: bytes) -> None:
    with pytest.raises(FormRefused) as caught:
        read_form(post(body))
    assert caught.value.status == 400


def test_the_size_limit_holds_at_the_edge() -> None:
    fits = b"a=" + b"x" * (MACHINE_BODY_MAX_BYTES - 2)
    assert len(read_form(post(fits))["a"][0]) == MACHINE_BODY_MAX_BYTES - 2
    with pytest.raises(FormRefused) as caught:
        read_form(post(fits + b"x"))
    assert caught.value.status == 413


def test_a_body_that_lies_about_its_length_is_still_measured() -> None:
    request = post(b"a=" + b"x" * 20)
    request.META["CONTENT_LENGTH"] = "5"
    with pytest.raises(FormRefused) as caught:
        read_form(request, max_bytes=4)
    assert caught.value.status == 413
