"""The parameters of an authorization request, read and checked for shape in the order of the spec. Pure but for its errors.

Spec: RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 8707 §2, RFC 9396 §3, RFC 9449 §10, OpenID Connect Core 1.0 §3.1.2.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from aims.authorization.authorize_errors import (
    RequestNotSupported,
    UnsupportedResponseType,
)
from aims.authorization.errors import InvalidAuthorizationDetails, InvalidRequest, InvalidScope, InvalidTarget
from aims.authorization.identity import IDENTITY, OFFLINE, grounded
from aims.authorization.wanted import WantedRefused, read_details
from aims.kit.forms import Form, single

OF_SIGN_IN = IDENTITY | {OFFLINE}  # words of OpenID Connect: no action of any resource
STATE_MAX = 1024
NONCE_MAX = 255
SCOPE_MAX = 1000
ACR_MAX = 200
HINT_MAX = 254
MAX_AGE_MAX_S = 366 * 86400
PROMPTS = frozenset({"none", "login", "consent", "select_account"})
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # RFC 7636 §4.2: base64url of SHA-256; RFC 7638 the same
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3
_DIGITS = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
# What is read. Everything else is ignored (RFC 6749 §3.1), and not stored.
PARAMETERS = (
    "response_type", "response_mode", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
    "authorization_details", "dpop_jkt", "acr_values", "max_age", "login_hint", "prompt", "nonce", "request",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Requested:
    """An authorization request of the right shape. What is absent is empty; max_age_s: None where not wished.

    resource: empty where only the words of OpenID Connect are asked for. jkt: of ``dpop_jkt``.
    """

    redirect_uri: str
    state: str
    scope: tuple[str, ...]
    resource: str
    details: tuple[dict[str, Any], ...]
    code_challenge: str
    nonce: str
    jkt: str
    acr_values: tuple[str, ...]
    max_age_s: int | None
    prompt: frozenset[str]
    login_hint: str

    @property
    def actions(self) -> tuple[str, ...]:
        """The words of the scope that name actions of the resource."""
        return tuple(word for word in self.scope if word not in OF_SIGN_IN)


def parameters_of(form: Form) -> dict[str, Any]:
    """Return what a form asks for, as it is kept: a text by name, ``resource`` a list. Raises FormRefused for repeats."""
    found: dict[str, Any] = {name: value for name in PARAMETERS if (value := single(form, name)) is not None}
    return found | {"resource": [value for value in form.get("resource", ()) if value]}


def read(parameters: Mapping[str, Any]) -> Requested:
    """Return a request whose parameters keep every rule of shape. parameters: of ``parameters_of``."""
    _response(parameters)
    details = _details(parameters.get("authorization_details"))
    scope = _scope(parameters.get("scope"))
    _sign_in(scope, details)
    return Requested(
        redirect_uri=str(parameters.get("redirect_uri", "")),
        state=_text(parameters, "state", STATE_MAX),
        code_challenge=_challenge(parameters),
        scope=scope,
        details=details,
        resource=_resource(parameters.get("resource", ()), details, scope),
        nonce=_text(parameters, "nonce", NONCE_MAX),
        jkt=_jkt(parameters.get("dpop_jkt")),
        acr_values=tuple(_text(parameters, "acr_values", ACR_MAX).split()),
        max_age_s=_max_age(parameters.get("max_age")),
        prompt=_prompt(parameters.get("prompt")),
        login_hint=_text(parameters, "login_hint", HINT_MAX),
    )


def answer_uri(redirect_uri: str, *, issuer: str, state: str, **answer: str) -> str:
    """Return where the browser goes with an answer, its issuer always named. Spec: RFC 6749 §4.1.2, RFC 9207 §2."""
    members = answer | ({"state": state} if state else {}) | {"iss": issuer}
    parts = urlsplit(redirect_uri)
    query = "&".join(part for part in (parts.query, urlencode(members)) if part)
    return parts._replace(query=query).geturl()


def _response(parameters: Mapping[str, Any]) -> None:
    if "request" in parameters:  # OpenID Connect Core 1.0 §6.1
        raise RequestNotSupported
    if "response_type" not in parameters:
        raise InvalidRequest("response_type is missing.")
    if parameters["response_type"] != "code":
        raise UnsupportedResponseType
    if parameters.get("response_mode", "query") != "query":
        raise InvalidRequest("response_mode must be query.")


def _challenge(parameters: Mapping[str, Any]) -> str:
    """RFC 7636 §4.3, RFC 9700 §2.1.1: S256 and nothing else; a method left out means plain."""
    challenge = parameters.get("code_challenge")
    if challenge is None:
        raise InvalidRequest("code_challenge is missing.")
    if parameters.get("code_challenge_method") != "S256":
        raise InvalidRequest("code_challenge_method must be S256.")
    if not _CHALLENGE.fullmatch(challenge):
        raise InvalidRequest("code_challenge must be 43 characters of base64url.")
    return str(challenge)


def _scope(value: str | None) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(value.split(" "))) if value else ()
    if len(value or "") > SCOPE_MAX or not all(_SCOPE_TOKEN.fullmatch(word) for word in words):
        raise InvalidScope("The scope is malformed.")
    return words


def _sign_in(scope: tuple[str, ...], details: tuple[dict[str, Any], ...]) -> None:
    """OpenID Connect Core 1.0 §3.1.2.1, §5.4, §11: its words say more about something, and stand on nothing alone."""
    if grounded(scope) != scope:
        raise InvalidScope("profile and email need openid beside them.")
    if scope == (OFFLINE,) and not details:
        raise InvalidScope("offline_access needs openid or an action of a resource beside it.")
    if not scope and not details:
        raise InvalidScope("Say in scope or authorization_details what you want to do.")


def _details(value: str | None) -> tuple[dict[str, Any], ...]:
    try:
        return read_details(value) if value else ()
    except WantedRefused as error:
        raise InvalidAuthorizationDetails(error.public) from error


def _resource(named: Any, details: tuple[dict[str, Any], ...], scope: tuple[str, ...]) -> str:
    """Return the one resource (RFC 8707 §2), or the location that all details share (RFC 9396 §2.2)."""
    places = set(named) or {place for detail in details for place in _locations(detail)}
    if not details and set(scope) <= OF_SIGN_IN:
        if places:
            raise InvalidScope("Name an action of the resource in the scope, or leave the resource out.")
        return ""
    if len(places) != 1:
        raise InvalidTarget
    return str(places.pop())


def _locations(detail: Mapping[str, Any]) -> list[str]:
    places = detail.get("locations", [])
    return [place for place in places if isinstance(place, str)] if isinstance(places, list) else []


def _jkt(value: str | None) -> str:
    if value is not None and not _CHALLENGE.fullmatch(value):  # RFC 9449 §10: an RFC 7638 SHA-256 thumbprint
        raise InvalidRequest("dpop_jkt must be a thumbprint of 43 characters.")
    return value or ""


def _max_age(value: str | None) -> int | None:
    if value is None:
        return None
    if not _DIGITS.fullmatch(value) or int(value) > MAX_AGE_MAX_S:
        raise InvalidRequest("max_age must be a number of seconds.")
    return int(value)


def _prompt(value: str | None) -> frozenset[str]:
    words = frozenset((value or "").split())
    if not words <= PROMPTS or ("none" in words and len(words) > 1):  # OpenID Connect Core 1.0 §3.1.2.1
        raise InvalidRequest("prompt is none alone, or some of login, consent and select_account.")
    return words


def _text(parameters: Mapping[str, Any], name: str, most: int) -> str:
    value = str(parameters.get(name, ""))
    if len(value) > most:
        raise InvalidRequest(f"{name} must have at most {most} characters.")
    return value
