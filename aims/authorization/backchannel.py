"""The parameters of a CIBA request, read and checked for shape in the order of the spec. Pure but for its errors.

Spec: CIBA Core 1.0 §7.1, §13; RFC 9396; RFC 8707.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aims.authorization.errors import InvalidAuthorizationDetails, InvalidRequest, InvalidScope, InvalidTarget
from aims.authorization.request_errors import InvalidBindingMessage
from aims.authorization.wanted import OPENID, WantedRefused, checked_details, read_details
from aims.kit.forms import Form, single

EXPIRY_MAX_S = 72 * 3600
BINDING_MAX = 1024
SAYS_MAX = 1024
NOTIFICATION_TOKEN_MAX = 1024
SCOPE_MAX = 1000
_HINTS = ("login_hint", "id_token_hint", "login_hint_token")
_B64TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)  # RFC 6750 §2.1
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3
_DIGITS = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_TEXTS = (
    "scope",
    "client_notification_token",
    "acr_values",
    *_HINTS,
    "binding_message",
    "user_code",
    "agent_says",
    "resource",
)
REFUSED = {
    "invalid_scope": InvalidScope,
    "invalid_authorization_details": InvalidAuthorizationDetails,
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A CIBA request of the right shape. Exactly one hint is set. requested_expiry_s: None where not wished."""

    scope: tuple[str, ...]
    resource: str
    details: tuple[dict[str, Any], ...]
    login_hint: str | None
    id_token_hint: str | None
    binding_message: str | None
    agent_says: str | None
    requested_expiry_s: int | None
    notification_token: str | None


def from_form(form: Form) -> Mapping[str, Any]:
    """Return the parameters of an unsigned request. Raises FormRefused for a repeated one. Spec: RFC 6749 §3.2."""
    return {name: value for name in form if (value := single(form, name)) is not None}


def read(parameters: Mapping[str, Any], *, is_ping: bool) -> Asked:
    """Return a request whose parameters keep every rule of shape; unknown parameters are ignored (§7.1)."""
    for name in _TEXTS:
        if name in parameters and not isinstance(parameters[name], str):
            raise InvalidRequest(f"{name} must be a string.")
        if "\0" in parameters.get(name, ""):  # from a signed request; a form has none
            raise InvalidRequest(f"{name} holds a NUL.")
    hint = _one_hint(parameters)
    details = _details(parameters.get("authorization_details"))
    return Asked(
        requested_expiry_s=_expiry(parameters.get("requested_expiry")),
        scope=_scope(parameters.get("scope")),
        resource=_resource(parameters.get("resource"), details),
        details=details,
        binding_message=_binding(parameters.get("binding_message")),
        agent_says=_says(parameters.get("agent_says")),
        notification_token=_notification(parameters.get("client_notification_token")) if is_ping else None,
        login_hint=parameters["login_hint"] if hint == "login_hint" else None,
        id_token_hint=parameters["id_token_hint"] if hint == "id_token_hint" else None,
    )


def _one_hint(parameters: Mapping[str, Any]) -> str:
    # CIBA 1.0 §7.1: exactly one hint.
    given = [name for name in _HINTS if parameters.get(name)]
    if len(given) != 1:
        raise InvalidRequest("Send exactly one of login_hint and id_token_hint.")
    if given[0] == "login_hint_token":
        raise InvalidRequest("login_hint_token is not supported. Send login_hint or id_token_hint.")
    if "user_code" in parameters:
        raise InvalidRequest("user_code is not supported.")
    return given[0]


def _expiry(value: Any) -> int | None:
    # CIBA 1.0 §7.1.1: in a signed request a JSON number or a JSON string.
    if value is None:
        return None
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not _DIGITS.fullmatch(text) or int(text) > EXPIRY_MAX_S:
        raise InvalidRequest(f"requested_expiry must be 1 to {EXPIRY_MAX_S} seconds.")
    return int(text)


def _scope(value: str | None) -> tuple[str, ...]:
    tokens = tuple(dict.fromkeys((value or "").split(" ")))
    if len(value or "") > SCOPE_MAX or not all(_SCOPE_TOKEN.fullmatch(token) for token in tokens):
        raise InvalidScope("The scope is missing or malformed.")
    if OPENID not in tokens:  # CIBA 1.0 §7.1
        raise InvalidScope("The scope must contain openid.")
    return tokens


def _resource(value: str | None, details: Sequence[Mapping[str, Any]]) -> str:
    """Return the resource named (RFC 8707 §2), or the one location that the details share (RFC 9396 §2.2)."""
    places = {value} if value else {place for detail in details for place in _locations(detail)}
    if len(places) != 1:
        raise InvalidTarget
    return str(places.pop())


def _locations(detail: Mapping[str, Any]) -> list[str]:
    places = detail.get("locations", [])
    return [place for place in places if isinstance(place, str)] if isinstance(places, list) else []


def _details(value: Any) -> tuple[dict[str, Any], ...]:
    if value is None:
        return ()
    try:
        return read_details(value) if isinstance(value, str) else checked_details(value)
    except WantedRefused as error:
        raise REFUSED[error.code](error.public) from error


def _binding(value: str | None) -> str | None:
    if value is not None and (not 1 <= len(value) <= BINDING_MAX or not value.strip()):
        raise InvalidBindingMessage(f"binding_message must have 1 to {BINDING_MAX} characters.")
    return _storable(value, "binding_message", InvalidBindingMessage)


def _says(value: str | None) -> str | None:
    if value is not None and len(value) > SAYS_MAX:
        raise InvalidRequest(f"agent_says must have at most {SAYS_MAX} characters.")
    return _storable(value, "agent_says", InvalidRequest)


def _storable(value: str | None, name: str, error: type[InvalidRequest | InvalidBindingMessage]) -> str | None:
    # A lone surrogate (possible in JSON) has no UTF-8; the statement could not hold it.
    if value is not None and not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise error(f"{name} is not valid Unicode.")
    return value


def _notification(value: str | None) -> str:
    if not value:
        raise InvalidRequest("client_notification_token is missing.")
    if len(value) > NOTIFICATION_TOKEN_MAX or not _B64TOKEN.fullmatch(value) or len(value.rstrip("=")) < 22:
        # §7.1: at least 128 bits; 22 characters are the fewest that can hold them.
        raise InvalidRequest("client_notification_token must be a bearer token of 128 bits to 1024 characters.")
    return value
