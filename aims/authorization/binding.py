"""To whose key a token is bound, and who must bind. Spec: RFC 9449 §5, §5.2, §10; RFC 8705 §3."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.http import HttpRequest

from aims.authentication import dpop
from aims.authentication.certificate import certificate_of
from aims.authentication.client import Client
from aims.authentication.dpop import KeyProof
from aims.authentication.errors import CertificateMissing, InvalidDpopProof
from aims.authorization import fapi
from aims.authorization.authenticating import terms_of


def with_key(client: Client, request: HttpRequest, *, now: datetime, is_demanded: bool = True) -> Client:
    """Return the client with the keys that its request proves, which everything issued is bound to.

    is_demanded: whether something may be issued at once, so that who has to be bound must prove a key now.
    Nothing is written, so nothing is consumed. Raises InvalidDpopProof, UseDpopNonce, CertificateMissing.
    """
    header = request.META.get(dpop.META_NAME)
    key = dpop.read_key(header, method=str(request.method), path=request.path, client=client.identifier, now=now)
    terms = terms_of(client.agent, may_recall=True) if client.agent else None  # read when it authenticated
    if key is None and is_demanded and terms and terms.dpop_bound:
        raise InvalidDpopProof(
            "This client has registered to prove its key by DPoP with every request.", reason="missing"
        )
    must_bind = is_demanded and bool(terms and terms.tls_bound)
    x5t_s256 = _certificate(client, request, key, is_registered=must_bind)
    if is_demanded and client.agent is not None:
        fapi.check_bound(is_bound=bool(key or x5t_s256))
    return replace(client, key=key, x5t_s256=x5t_s256) if key or x5t_s256 != client.x5t_s256 else client


def _certificate(client: Client, request: HttpRequest, key: KeyProof | None, *, is_registered: bool) -> str:
    """Return the certificate that tokens are bound to: for who registered that always, else for who signed in by one.

    A key by DPoP is bound to instead where it was not registered: its resource server may be behind a proxy.
    """
    if not is_registered:
        return "" if key else client.x5t_s256
    certificate = certificate_of(request)
    if certificate is None:
        raise CertificateMissing
    return certificate.x5t_s256
