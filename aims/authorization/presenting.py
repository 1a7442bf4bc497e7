"""An access token as a resource of ours is shown it, and what its sender proves to hold with it.

Spec: RFC 6750 §2.1, §3; RFC 8705 §3; RFC 9449 §7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from django.http import HttpRequest

from aims.authentication import dpop
from aims.authentication.certificate import certificate_of
from aims.authentication.dpop import KeyProof
from aims.authentication.errors import InvalidClient, InvalidDpopProof
from aims.authorization import fapi
from aims.authorization.errors import InvalidRequest, InvalidToken, OAuthError

_CREDENTIALS = re.compile(r"(?i:(Bearer|DPoP)) ([A-Za-z0-9._~+/-]+=*)")  # RFC 6750 §2.1, RFC 9449 §7.1
_SCHEMES = {"bearer": "Bearer", "dpop": "DPoP"}


class NoToken(OAuthError):
    """RFC 6750 §3.1: who sends no credentials, or another scheme, is told how, and no error."""

    status = 401


@dataclass(frozen=True, kw_only=True)
class Presented:
    """An access token and what the request proves to hold. key: None where it came as a bearer token.

    x5t_s256: of the certificate that TLS showed, empty where none.
    """

    token: str
    key: KeyProof | None
    x5t_s256: str

    def check_holds(self, *, jkt: str, x5t_s256: str) -> None:
        """Raises InvalidToken unless the sender proves what the token is bound to.

        A bound token counts with its key alone, and a bearer token is no more with one (RFC 9449 §7.2, RFC 8705 §3).
        """
        if jkt != (self.key.jkt if self.key else ""):
            raise InvalidToken(detail="another key")
        if x5t_s256 not in ("", self.x5t_s256):
            raise InvalidToken(detail="another certificate")
        if fapi.is_on() and not (jkt or x5t_s256):  # FAPI 2.0 Security Profile §5.3.4
            raise InvalidToken(detail="bearer")


def presented(request: HttpRequest, *, now: datetime) -> Presented:
    """Return what a request shows. Its proof is not spent yet: do that in the transaction that lets it in.

    Raises NoToken, InvalidToken, InvalidRequest, InvalidDpopProof, UseDpopNonce.
    """
    sent = request.headers.get("Authorization", "")  # RFC 9700 §4.3.2: nothing is looked for in the query or the body
    if scheme_of(sent) is None:
        raise NoToken
    if "," in sent:  # servers join repeated headers with a comma, which no token has; RFC 6750 §3.1
        raise InvalidRequest("Send one access token, in one Authorization header.")
    found = _CREDENTIALS.fullmatch(sent)
    if found is None:
        raise InvalidToken
    scheme, token = found.groups()
    key = _key(request, token, now=now) if scheme.lower() == "dpop" else None
    return Presented(token=token, key=key, x5t_s256=_shown(request))


def scheme_of(sent: str) -> str | None:
    """Return the scheme of credentials, spelled as its specification does; None for any that takes no access token."""
    return _SCHEMES.get("".join(sent.split()[:1]).lower())


def _key(request: HttpRequest, token: str, *, now: datetime) -> KeyProof:
    header = request.META.get(dpop.META_NAME)
    key = dpop.read_key(header, method=str(request.method), path=request.path, client=None, access_token=token, now=now)
    if key is None:
        raise InvalidDpopProof("A token bound to a key comes with a proof of it.", reason="missing")
    return key


def _shown(request: HttpRequest) -> str:
    """Return the certificate's thumbprint. One that can't be read is as if none were shown: no token is bound to it."""
    try:
        certificate = certificate_of(request)
    except InvalidClient:
        return ""
    return certificate.x5t_s256 if certificate else ""
