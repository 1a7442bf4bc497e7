"""DPoP at the authorization server: whoever asks holds this key. Spec: RFC 9449 §4.3, §5, §8.

``aims.resource_server.dpop`` asks the questions; here are the three that it leaves to its caller: the proof is remembered
with the client's own in the one write transaction, the nonce is ours, and what the key must be the same as is a question
of the grant.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings
from django.utils.crypto import salted_hmac

from aims.authentication.errors import InvalidDpopProof, UseDpopNonce
from aims.authentication.replay import OF_KEY, Proof
from aims.kit.jose import ALGORITHMS as OURS
from aims.resource_server import dpop
from aims.resource_server.errors import InvalidProof, UseNonce
from aims.resource_server.jws import ALGORITHMS as READABLE

HEADER = "DPoP"
META_NAME = "HTTP_DPOP"  # where a request has it; request.headers would spell every header anew
ALGORITHMS = OURS & READABLE


@dataclass(frozen=True, kw_only=True)
class KeyProof:
    """A key that the client holds, and what must be remembered so that its proof counts once.

    jkt: RFC 7638 SHA-256 thumbprint, 43 characters.
    """

    jkt: str
    proof: Proof


def read_key(
    header: str | None,
    *,
    method: str,
    path: str,
    client: str | None,
    now: datetime,
    access_token: str | None = None,
) -> KeyProof | None:
    """Return the key that this request proves to hold, None where it has no such header.

    header: ``META_NAME`` of the request. path: of our endpoint; ``htu`` is compared with the address under the issuer, which is what clients see behind any
    proxy. client: whom an entry about a replay names. access_token: that came with it (``ath``). Raises InvalidDpopProof, UseDpopNonce.
    """
    if header is None:
        return None
    at = now.timestamp()
    try:
        proof = dpop.check(
            (header,),
            method=method,
            url=settings.ISSUER + path,
            access_token=access_token,
            algorithms=ALGORITHMS,
            now=at,
        )
        if settings.DPOP_NONCE:
            dpop.require_nonce(proof, nonces(), now=at)
    except UseNonce as error:
        raise UseDpopNonce(error.nonce) from error
    except InvalidProof as error:
        raise InvalidDpopProof(error.description, reason=error.code) from error
    use = proof.use
    remembered = Proof(
        client_ref=OF_KEY,
        jti_hash=use.name,
        issued_at=datetime.fromtimestamp(proof.issued_at, UTC),
        expires_at=datetime.fromtimestamp(use.latest, UTC),
        agent=client,
    )
    return KeyProof(jkt=proof.jkt, proof=remembered)


def nonces() -> dpop.Nonces:
    """Return what makes and knows our nonces: the same in all processes, for the authorization server alone."""
    return dpop.Nonces(salted_hmac("aims.authentication.dpop", "nonce", algorithm="sha256").digest())
