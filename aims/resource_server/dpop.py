"""A DPoP proof: whoever sends this request holds this key. Pure. Spec: RFC 9449 §4.2, §4.3.

Resource server and authorization server ask the same questions, so both can ask them here. Three things stay with the
caller, who knows what they hang on: whether the proof was seen before (``memory``), whether its nonce is ours
(``require_nonce``), and whether its key is the one that the token, code or refresh token is bound to.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import jws
from .errors import (
    ProofClaims,
    ProofCount,
    ProofKey,
    ProofMalformed,
    ProofMethod,
    ProofSignature,
    ProofTarget,
    ProofTime,
    ProofTokenHash,
    UseNonce,
)
from .memory import Use
from .target import normal_target

TYP = "dpop+jwt"
BACK_S = 60
AHEAD_S = 10
JTI_MAX = 255
NONCE_MAX = 255
NONCE_SLOT_S = 120
NONCE_KEY_MIN_BYTES = 32


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What a proof says, all of it checked but for the three things above.

    jkt: RFC 7638 SHA-256 thumbprint of its key. issued_at: NumericDate. target: htu in its one spelling.
    """

    jkt: str
    jti: str
    issued_at: float
    nonce: str | None
    target: str

    @property
    def use(self) -> Use:
        """Return what to remember: a hash of key, target and ``jti``, while it could be sent again. Spec: RFC 9449 §11.1."""
        said = "\0".join(("dpop-proof/v1", self.jkt, self.target, self.jti))
        return Use(
            kind="proof",
            name=hashlib.sha256(said.encode()).hexdigest(),
            earliest=self.issued_at - AHEAD_S,
            latest=self.issued_at + BACK_S,
        )


def check(
    headers: Sequence[str],
    *,
    method: str,
    url: str,
    access_token: str | None,
    algorithms: Collection[str],
    now: float,
) -> Proof:
    """Return what the request's one proof says. Raises InvalidProof: a class for each rule, in the order of §4.3.

    headers: every value of the header ``DPoP``. url: the request's, as its sender sees it. access_token: the one that
    came with it, None where there is none (at the token endpoint). now: NumericDate.
    """
    proof = _parse(headers, algorithms)
    jti, htm, htu, issued_at = _claims(proof.claims)
    key = _signer(proof)
    if htm != method:  # §4.3 (8)
        raise ProofMethod
    target = normal_target(htu)
    if target is None or target != normal_target(url):  # §4.3 (9)
        raise ProofTarget
    if not now - BACK_S <= issued_at <= now + AHEAD_S:  # §4.3 (11), §11.1
        raise ProofTime
    if access_token is not None and not _is_hash_of(access_token, proof.claims.get("ath")):  # §4.3 (12)
        raise ProofTokenHash
    return Proof(
        jkt=key.thumbprint, jti=jti, issued_at=issued_at, nonce=_text(proof.claims, "nonce", NONCE_MAX), target=target
    )


class Nonces:
    """Nonces without a memory: a keyed hash over a slot of time. Spec: RFC 9449 §8, §9.

    key: 32 random bytes or more, of this server alone and for nothing else, the same in all its processes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < NONCE_KEY_MIN_BYTES:
            raise ValueError("the key of the nonces needs 32 random bytes")
        self._key = key

    def current(self, now: float) -> str:
        """Return the nonce to hand out now, in the header ``DPoP-Nonce`` of any answer."""
        return self._of(int(now // NONCE_SLOT_S))

    def is_ours(self, nonce: str | None, now: float) -> bool:
        """Return whether we handed this nonce out a moment ago: in this slot of time or the one before."""
        slot, given = int(now // NONCE_SLOT_S), (nonce or "").encode()
        return any(hmac.compare_digest(self._of(slot - back).encode(), given) for back in (0, 1))

    def _of(self, slot: int) -> str:
        return jws.base64url(hmac.digest(self._key, f"dpop-nonce/v1\0{slot}".encode(), "sha256"))


def require_nonce(proof: Proof, nonces: Nonces, *, now: float) -> None:
    """Raise UseNonce, with a nonce to use, unless the proof carries one of ours. Spec: RFC 9449 §4.3 (10).

    Ask before anything is consumed: whoever is told comes again with the same code or token.
    """
    if not nonces.is_ours(proof.nonce, now):
        raise UseNonce(nonces.current(now))


def _parse(headers: Sequence[str], algorithms: Collection[str]) -> jws.Jws:
    # §4.3 (1). Servers join repeated headers with a comma, which no JWS has.
    if len(headers) != 1 or "," in headers[0]:
        raise ProofCount
    try:
        return jws.parse(headers[0].strip(" \t"), typ=TYP, algorithms=algorithms)
    except jws.NotAcceptable as error:
        raise ProofMalformed(str(error)) from error


def _claims(claims: Mapping[str, Any]) -> tuple[str, str, str, float]:
    jti, htm, htu, issued_at = _text(claims, "jti", JTI_MAX), claims.get("htm"), claims.get("htu"), claims.get("iat")
    if jti is None or not isinstance(htm, str) or not isinstance(htu, str) or not jws.is_date(issued_at):
        raise ProofClaims
    return jti, htm, htu, float(issued_at)


def _text(claims: Mapping[str, Any], name: str, most: int) -> str | None:
    """Return a claim that we keep or compare, None where it is absent. Overlong ones are refused: RFC 9449 §11.1."""
    value = claims.get(name)
    if value is not None and (not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable()):
        raise ProofClaims(f"{name} is not a string of 1 to {most} printable characters")
    return value


def _signer(proof: jws.Jws) -> jws.Key:
    try:
        key = jws.public_key(proof.header.get("jwk"))  # §4.3 (7)
    except jws.NotAcceptable as error:
        raise ProofKey(str(error)) from error
    try:
        jws.verify(proof, key=key)  # §4.3 (6)
    except jws.NotAcceptable as error:
        raise ProofSignature(str(error)) from error
    return key


def _is_hash_of(access_token: str, ath: object) -> bool:
    wanted = jws.base64url(hashlib.sha256(access_token.encode()).digest())
    return isinstance(ath, str) and hmac.compare_digest(wanted.encode(), ath.encode(errors="replace"))
