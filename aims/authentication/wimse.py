"""Client authentication by a WIT and the proof of its key: a WPT, or a signature over the whole request.

Our own mapping until draft-ietf-oauth-spiffe-client-auth has one: the client is the WIT's subject, the audience is the
endpoint's address under the issuer. Spec: draft-ietf-wimse-workload-creds, -wpt, -http-signature.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import gettext as _

from aims.authentication import http_signature
from aims.authentication.claims import Life
from aims.authentication.client import Client, client_of, usable
from aims.authentication.errors import InvalidClient, ManyMethods
from aims.authentication.http_signature import SignatureRefused
from aims.authentication.jwt_svid import signed_by_domain
from aims.authentication.replay import Proof
from aims.authentication.wit import HEADER, PROOF_HEADER, Wit, one_token, read_proof, read_wit
from aims.identifier.models import Agent
from aims.kit.jose import JoseRefused, Unverified, verify

WIT_WPT, HTTP_SIGNATURE = "wimse_wit_wpt", "wimse_http_signature"
SIGNATURE_INPUT, SIGNATURE = "Signature-Input", "Signature"


def authenticate(request: HttpRequest, *, client_id: str | None, now: datetime) -> tuple[Client, str]:
    """Return the client whose WIT this is, and the method by which it proved that. Raises InvalidClient, ManyMethods.

    The WIT is judged first, then its proof; nothing is written, see ``Client.proof``.
    """
    wit = read_wit(one_token(request.headers.get(HEADER), HEADER), now=now)
    if client_id is not None and client_id != str(wit.identifier):
        raise InvalidClient(_("client_id differs from the token's sub."), reason="client_id")
    has_proof, has_signature = PROOF_HEADER in request.headers, SIGNATURE_INPUT in request.headers
    if has_proof and has_signature:
        raise ManyMethods
    if has_signature:
        return _by_signature(request, wit, now=now), HTTP_SIGNATURE
    return _by_proof(request, wit, now=now), WIT_WPT


def _by_proof(request: HttpRequest, wit: Wit, *, now: datetime) -> Client:
    raw = one_token(request.headers.get(PROOF_HEADER), PROOF_HEADER)  # creds §3.1: a WIT without a proof is nothing
    token, jti, life = read_proof(raw, wit, target=target_of(request), headers=request.headers, now=now)
    agent = _proved(wit, token)
    return usable(client_of(agent, _proof(agent, f"wpt\0{jti}", life)))


def _by_signature(request: HttpRequest, wit: Wit, *, now: datetime) -> Client:
    try:
        signed = http_signature.read(request.headers.get(SIGNATURE_INPUT), request.headers.get(SIGNATURE))
        fields = {name.lower(): value.strip(" \t") for name, value in request.headers.items()}
        nonce, created, expires = http_signature.check_profile(
            signed, present=list(fields), audience=target_of(request), now=now
        )
        http_signature.check_digest(fields.get("content-digest"), request.body)
        covered = http_signature.base(signed, fields | _derived(request))
    except SignatureRefused as error:
        raise InvalidClient(error.public, reason=error.code) from error
    header = {"alg": wit.algorithm}
    agent = _proved(wit, Unverified(header=header, claims={}, signing_input=covered, signature=signed.signature))
    made, remembered = datetime.fromtimestamp(created, UTC), datetime.fromtimestamp(expires, UTC)
    life = Life(issued_at=made, expires_at=remembered + timedelta(seconds=http_signature.SKEW_S))
    return usable(client_of(agent, _proof(agent, f"http-signature\0{nonce}", life)))


def target_of(request: HttpRequest) -> str:
    """Return the address of this endpoint as clients know it. wpt §3.2: by configuration, never by Host."""
    return f"{settings.ISSUER}{request.path}"


def _derived(request: HttpRequest) -> dict[str, str]:
    """RFC 9421 §2.2.1, §2.2.5. Our endpoints take no query and their paths are plain, so there is one spelling."""
    return {"@method": str(request.method), "@request-target": request.path}


def _proved(wit: Wit, proof: Unverified) -> Agent:
    """Return the agent: its domain signed the WIT, and the key in it signed the proof. The same work whoever it is."""
    try:
        verify(proof, key=wit.key)
        is_proved = True
    except JoseRefused:
        is_proved = False
    agent = signed_by_domain(wit.token, wit.identifier, keys="wit_keys")
    if not is_proved:
        raise InvalidClient(reason="signature")
    return agent


def _proof(agent: Agent, name: str, life: Life) -> Proof:
    """Return what makes it count once: its own tag, since a jti of another kind of token is another thing."""
    return Proof(
        client_ref=agent.ref,
        jti_hash=hashlib.sha256(name.encode()).hexdigest(),
        issued_at=life.issued_at,
        expires_at=life.expires_at,
        agent=agent.identifier,
    )
