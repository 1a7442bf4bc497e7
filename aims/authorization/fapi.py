"""The FAPI 2.0 Security Profile as one switch, ``AIMS_FAPI``: its rules that this server does not always keep.

Always kept: code flow only, PKCE with S256, ``iss`` in every response, codes of 60 s used once, 303 and no 307, signatures
by PS256, ES256 and EdDSA. Spec: FAPI 2.0 Security Profile §5.3.2.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

from aims.authentication.errors import InvalidDpopProof
from aims.authorization.errors import InvalidRequest, UnauthorizedClient


def is_on() -> bool:
    """Return whether the profile is in force."""
    return bool(settings.FAPI)


def check_client(*, is_public: bool) -> None:
    """§5.3.2.1: only confidential clients. Raises UnauthorizedClient."""
    if is_on() and is_public:
        raise UnauthorizedClient("This server serves clients with a key of their own only (FAPI 2.0).")


def check_pushed(*, is_pushed: bool) -> None:
    """§5.3.2.2: a request that was not pushed is refused. Raises InvalidRequest."""
    if is_on() and not is_pushed:
        raise InvalidRequest("Push the request first (FAPI 2.0).")


def check_redirect(uri: str) -> None:
    """§5.3.2.2: https redirect URIs only. Raises InvalidRequest."""
    if is_on() and urlsplit(uri).scheme != "https":
        raise InvalidRequest("redirect_uri must be https (FAPI 2.0).")


def check_bound(*, is_bound: bool) -> None:
    """§5.3.2.1: only sender-constrained access tokens, by DPoP or mTLS. Raises InvalidDpopProof."""
    if is_on() and not is_bound:
        raise InvalidDpopProof(
            "Prove a key by DPoP, or bind your tokens to your certificate: no bearer token is issued here (FAPI 2.0).",
            reason="missing",
        )
