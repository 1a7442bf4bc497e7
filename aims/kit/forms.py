"""Reading ``application/x-www-form-urlencoded`` bodies of machine endpoints, strictly (RFC 6749 appendix B)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_plus

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, UnreadablePostError

from aims.kit.errors import AimsError

MACHINE_BODY_MAX_BYTES = 256 * 1024
QUERY_MAX_BYTES = 64 * 1024
FIELDS_MAX = 200
DECODED_KEPT_MAX = (
    128  # characters; what is escaped and as short as that is the same in most requests: types, resources
)
MEDIA_TYPE = "application/x-www-form-urlencoded"

Form = Mapping[str, tuple[str, ...]]


class FormRefused(AimsError):
    """A body that is not a form, or is too big."""

    code = "invalid_request"
    public = "The request body can't be read as a form."


def read_form(request: HttpRequest, *, max_bytes: int = MACHINE_BODY_MAX_BYTES) -> dict[str, tuple[str, ...]]:
    """Return every value of every field, in order. Raises FormRefused."""
    if (request.content_type or "").lower() != MEDIA_TYPE:
        raise _refused(f"Send the body as {MEDIA_TYPE}.", 415)
    try:
        return _read(_body(request, max_bytes).decode("ascii"))
    except UnicodeDecodeError as error:
        raise _unreadable() from error


def read_query(request: HttpRequest, *, max_bytes: int = QUERY_MAX_BYTES) -> dict[str, tuple[str, ...]]:
    """Return every value of every parameter in the address, in order. Raises FormRefused."""
    raw = str(request.META.get("QUERY_STRING", ""))
    if len(raw) > max_bytes or not raw.isascii():
        raise _refused("The address is too long, or not encoded.", 414)
    return _read(raw)


def _read(raw: str) -> dict[str, tuple[str, ...]]:
    """Return what ``urllib.parse.parse_qsl`` reads, grouped; at half of its cost, which every request to a machine pays."""
    if raw.count("&") >= FIELDS_MAX:
        raise _unreadable()
    form: dict[str, tuple[str, ...]] = {}
    try:
        for pair in filter(None, raw.split("&")):
            name, _, value = pair.partition("=")
            name, value = _decoded(name), _decoded(value)
            form[name] = (*form[name], value) if name in form else (value,)
    except UnicodeDecodeError as error:
        raise _unreadable() from error
    if "\0" in raw or ("%00" in raw and any("\0" in text for name in form for text in (name, *form[name]))):
        raise _refused("No parameter may hold a NUL.", 400)  # a database breaks on it, or cuts the value there
    return form


def _decoded(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    return _kept(text) if len(text) <= DECODED_KEPT_MAX else unquote_plus(text, errors="strict")


@lru_cache(maxsize=1024)
def _kept(text: str) -> str:
    return unquote_plus(text, errors="strict")


def single(form: Form, name: str) -> str | None:
    """Return the only value of a field; None where it is absent or empty. Raises FormRefused for a repeated one.

    Spec: RFC 6749 §3.2: a parameter without a value counts as absent, and none may be given twice.
    """
    values = form.get(name, ())
    if len(values) > 1:
        raise _refused(f"The parameter {name} is repeated.", 400)
    return values[0] or None if values else None


def _body(request: HttpRequest, max_bytes: int) -> bytes:
    too_big = f"The body is larger than {max_bytes // 1024} KiB."
    if int(request.META.get("CONTENT_LENGTH") or 0) > max_bytes:
        raise _refused(too_big, 413)
    try:
        raw = request.body
    except RequestDataTooBig as error:
        raise _refused(too_big, 413) from error
    except UnreadablePostError as error:
        raise _refused("The body ended early.", 400) from error
    if len(raw) > max_bytes:
        raise _refused(too_big, 413)
    return raw


def _unreadable() -> FormRefused:
    return _refused("The body is not form-encoded UTF-8, or has too many fields.", 400)


def _refused(public: str, status: int) -> FormRefused:
    error = FormRefused(public)
    error.status = status
    return error
