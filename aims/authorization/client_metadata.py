"""What a client says of itself when it registers, checked and completed. Pure.

Spec: RFC 7591 §2 (the members), RFC 9126 §6, RFC 9396 §10, RFC 9449 §5.2, CIBA Core 1.0 §4,
draft-ietf-oauth-client-id-metadata-document (the same members, published instead of sent).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aims.authorization import redirects
from aims.kit.errors import AimsError
from aims.kit.jose import ALGORITHMS

CODE, REFRESH, OWN_BEHALF = "authorization_code", "refresh_token", "client_credentials"
BACKCHANNEL = "urn:openid:params:grant-type:ciba"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# What a registered client can be given. The first two are for people's browsers, and all that a client without a key has.
WITHOUT_KEY = frozenset({CODE, REFRESH})
GRANT_TYPES = WITHOUT_KEY | {OWN_BEHALF, BACKCHANNEL, EXCHANGE, JWT_BEARER}
NONE, WITH_KEY = "none", "private_key_jwt"
PROFILES = frozenset(
    {"ai_agent", "service", "native_app", "web_app", "browser_app"}
)  # draft-mora-oauth-entity-profiles
REDIRECT_URIS_MAX = 10  # a client
LIST_MAX = 20  # entries of any other list
TEXT_MAX = 200  # characters
URL_MAX = 2048
SCOPE_MAX = 1000
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*")  # RFC 6749 §3.3
# Members that change nothing of what a client may do: they are what it says of itself, and no page believes them.
PLAIN_MEMBERS = frozenset(
    {"client_name", "client_uri", "logo_uri", "tos_uri", "policy_uri", "contacts", "software_version"}
)
KEY_MEMBERS = frozenset({"jwks", "jwks_uri"})


class MetadataRefused(AimsError):
    """RFC 7591 §3.2.2: a member is missing, ill-formed, or asks for what can't be had."""

    code = "invalid_client_metadata"


class RedirectUriRefused(MetadataRefused):
    """RFC 7591 §3.2.2: a redirect URI that we don't send anybody to."""

    code = "invalid_redirect_uri"


@dataclass(frozen=True, kw_only=True)
class ClientMetadata:
    """A client as it will be registered. members: every member, defaults included, as it goes back to the client."""

    members: Mapping[str, Any]

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        return tuple(self.members.get("redirect_uris", ()))

    @property
    def grant_types(self) -> tuple[str, ...]:
        return tuple(self.members["grant_types"])

    @property
    def method(self) -> str:
        """How it authenticates: ``none`` or ``private_key_jwt``. There are no secrets."""
        return str(self.members["token_endpoint_auth_method"])

    @property
    def is_loopback_only(self) -> bool:
        """Whether everything that it is told ends on the machine of the person themselves."""
        return bool(self.redirect_uris) and all(map(redirects.is_loopback, self.redirect_uris))

    def text(self, name: str) -> str:
        """Return a member that is a text, empty where there is none."""
        return str(self.members.get(name, ""))

    def is_set(self, name: str) -> bool:
        """Return whether a member is true."""
        return self.members.get(name) is True


def read(document: object) -> ClientMetadata:
    """Return what a client asks to be registered as. Unknown members are passed over. Raises MetadataRefused.

    RFC 7591 §2: null means that a member is not there. §3.2.1: we may replace what was asked for, and say so.
    """
    if not isinstance(document, dict):
        raise MetadataRefused("Client metadata is a JSON object.")
    members = {
        name: reads(name, document[name]) for name, reads in _MEMBERS.items() if document.get(name) not in (None, "")
    }
    members["token_endpoint_auth_method"] = _method(members)
    members["grant_types"] = _grant_types(members)
    members["response_types"] = _response_types(members)
    _check_redirect_uris(members)
    _check_keys(members)
    _check_backchannel(members)
    return ClientMetadata(members=members)


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the members that differ, in order."""
    return tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))


def _method(members: Mapping[str, Any]) -> str:
    """No secret is ever made. Who only asks for one, and needs none, is registered as a public client with PKCE."""
    has_keys = bool(KEY_MEMBERS & members.keys())
    asked = members.get("token_endpoint_auth_method")
    if asked is None:
        return WITH_KEY if has_keys else NONE
    if asked in (NONE, WITH_KEY):
        return str(asked)
    if asked.startswith("client_secret_") and not has_keys and _wanted_grants(members) <= WITHOUT_KEY:
        return NONE
    raise MetadataRefused("token_endpoint_auth_method is none or private_key_jwt: there are no client secrets.")


def _wanted_grants(members: Mapping[str, Any]) -> set[str]:
    return set(members.get("grant_types", (CODE,)))  # RFC 7591 §2: the default


def _grant_types(members: Mapping[str, Any]) -> list[str]:
    wanted = _wanted_grants(members)
    if unknown := sorted(wanted - GRANT_TYPES):
        raise MetadataRefused(f"The grant type {unknown[0]} can't be registered here.")
    if members["token_endpoint_auth_method"] == NONE and not wanted <= WITHOUT_KEY:
        raise MetadataRefused("A client without a key has authorization_code and refresh_token only.")
    if REFRESH in wanted and wanted <= {REFRESH}:
        raise MetadataRefused("refresh_token comes with a grant that gives refresh tokens.")
    return sorted(wanted)


def _response_types(members: Mapping[str, Any]) -> list[str]:
    """RFC 7591 §2.1: response types and grant types go together."""
    fitting = ["code"] if CODE in members["grant_types"] else []
    if members.get("response_types", fitting) != fitting:
        raise MetadataRefused('response_types is ["code"] with authorization_code, and empty without.')
    return fitting


def _check_redirect_uris(members: dict[str, Any]) -> None:
    uris = members.get("redirect_uris", [])
    if CODE in members["grant_types"] and not uris:
        raise RedirectUriRefused("redirect_uris is missing.")
    for uri in uris:
        try:
            redirects.check(uri, application_type=members.get("application_type", ""))
        except redirects.RedirectRefused as error:
            raise RedirectUriRefused(f"A redirect URI is not acceptable: {error}.") from error
    if uris:
        is_web = all(urlsplit(uri).scheme == "https" for uri in uris)
        members.setdefault("application_type", "web" if is_web else "native")


def _check_keys(members: dict[str, Any]) -> None:
    """RFC 7591 §2: keys are sent or published, not both. A client that signs nothing has none."""
    if {"jwks", "jwks_uri"} <= members.keys():
        raise MetadataRefused("Give jwks or jwks_uri, not both.")
    if members["token_endpoint_auth_method"] == NONE:
        for name in (*KEY_MEMBERS, "token_endpoint_auth_signing_alg"):
            members.pop(name, None)
    elif not KEY_MEMBERS & members.keys():
        raise MetadataRefused("private_key_jwt needs jwks or jwks_uri.")


def _check_backchannel(members: dict[str, Any]) -> None:
    """CIBA Core 1.0 §4: ping needs an address, poll has none; neither means anything without the grant."""
    mode, endpoint = "backchannel_token_delivery_mode", "backchannel_client_notification_endpoint"
    if BACKCHANNEL not in members["grant_types"]:
        for name in (mode, endpoint, "backchannel_authentication_request_signing_alg"):
            members.pop(name, None)
    elif (members.setdefault(mode, "poll") == "ping") != (endpoint in members):
        raise MetadataRefused("Ping needs a notification endpoint, and poll has none.")


def _text(name: str, value: Any, *, most: int = TEXT_MAX) -> str:
    if not isinstance(value, str) or len(value) > most or "\x00" in value:
        raise MetadataRefused(f"{name} is a text of at most {most} characters.")
    return value


def _url(name: str, value: Any) -> str:
    """Return the address of a page or a document. It is never fetched for showing, and a page links only to https."""
    text = _text(name, value, most=URL_MAX)
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - reading it checks it
    except ValueError as error:
        raise MetadataRefused(f"{name} is not a URL.") from error
    if not text.isascii() or not text.isprintable() or " " in text or not parts.hostname or "@" in parts.netloc:
        raise MetadataRefused(f"{name} is not a URL.")
    if parts.scheme != "https" and not (parts.scheme == "http" and redirects.is_loopback(text)):
        raise MetadataRefused(f"{name} must be https.")
    return text


def _texts(name: str, value: Any, *, most: int = LIST_MAX, each: int = TEXT_MAX) -> list[str]:
    if not isinstance(value, list) or len(value) > most:
        raise MetadataRefused(f"{name} is a list of at most {most} texts.")
    texts = [_text(name, item, most=each) for item in value]
    if len(set(texts)) != len(texts) or "" in texts:
        raise MetadataRefused(f"{name} names something twice, or nothing.")
    return texts


def _redirects(name: str, value: Any) -> list[str]:
    try:
        return _texts(name, value, most=REDIRECT_URIS_MAX, each=redirects.REDIRECT_URI_MAX)
    except MetadataRefused as error:
        raise RedirectUriRefused(str(error.public)) from error


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise MetadataRefused(f"{name} is true or false.")
    return value


def _one_of(*values: str) -> Callable[[str, Any], str]:
    def reads(name: str, value: Any) -> str:
        if value not in values:
            raise MetadataRefused(f"{name} is one of {', '.join(values)}.")
        return str(value)

    return reads


def _scope(name: str, value: Any) -> str:
    text = _text(name, value, most=SCOPE_MAX)
    if not _SCOPE.fullmatch(text):
        raise MetadataRefused("scope is a list of scope tokens with one blank between.")
    return text


def _profiles(name: str, value: Any) -> str:
    """draft-mora-oauth-entity-profiles: an unknown value is an error, since policy may rest on it."""
    text = _text(name, value)
    if not set(text.split(" ")) <= PROFILES:
        raise MetadataRefused(f"client_profile holds only {', '.join(sorted(PROFILES))}.")
    return text


def _jwks(name: str, value: Any) -> dict[str, Any]:
    """The keys themselves are read where they are registered."""
    if not isinstance(value, dict) or not isinstance(value.get("keys"), list) or not value["keys"]:
        raise MetadataRefused('jwks is an object with a list of "keys" that is not empty.')
    return dict(value)


_ALGORITHM = _one_of(*sorted(ALGORITHMS))
_MEMBERS: Mapping[str, Callable[[str, Any], Any]] = {
    "redirect_uris": _redirects,
    "token_endpoint_auth_method": _text,
    "token_endpoint_auth_signing_alg": _ALGORITHM,
    "grant_types": _texts,
    "response_types": _texts,
    "application_type": _one_of("native", "web"),
    "client_name": _text,
    "client_uri": _url,
    "logo_uri": _url,
    "tos_uri": _url,
    "policy_uri": _url,
    "contacts": _texts,
    "scope": _scope,
    "jwks": _jwks,
    "jwks_uri": _url,
    "software_id": _text,
    "software_version": _text,
    "client_profile": _profiles,
    "authorization_details_types": _texts,
    "dpop_bound_access_tokens": _flag,
    "require_pushed_authorization_requests": _flag,
    "backchannel_token_delivery_mode": _one_of("poll", "ping"),
    "backchannel_client_notification_endpoint": _url,
    "backchannel_authentication_request_signing_alg": _ALGORITHM,
}
