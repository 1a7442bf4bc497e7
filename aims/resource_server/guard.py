"""May this call happen? The questions in their order: whose token, for whom, whose key, for what, by whom, and once."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import access_token, challenge, details, dpop, jws
from .errors import (
    ApprovalForgotten,
    ApprovalLapsed,
    ApprovalMissing,
    ApprovalUsed,
    BindingUnknown,
    Downgraded,
    InsufficientScope,
    InsufficientUserAuthentication,
    MalformedCredentials,
    ManyCredentials,
    NotBound,
    NotBoundToProof,
    NoToken,
    ProofForgotten,
    ProofOtherKey,
    ProofReplayed,
    Refused,
    TokenNotActive,
    Unavailable,
    WrongCertificate,
)
from .issued import KeyLookup
from .memory import Memory, Seen, Use

APPROVAL_ID_MAX = 255
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750 §2.1, RFC 9449 §7.1
_BINDINGS = frozenset({"jkt", "x5t#S256"})


@dataclass(frozen=True, kw_only=True)
class Request:
    """What came over HTTP. authorization, dpop: all values of these headers. url: as its sender sees it.

    certificate: DER of the client's certificate, only where TLS ends here or a trusted proxy hands it on.
    """

    method: str
    url: str
    authorization: Sequence[str]
    dpop: Sequence[str]
    certificate: bytes | None


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call whose token holds: issued for us, to whoever sends it, and not expired."""

    token: str
    claims: Mapping[str, Any]

    @property
    def agent(self) -> str:
        """Return the identifier of the agent that acts."""
        return str(self.claims["client_id"])

    @property
    def subject(self) -> str:
        """Return on whose behalf it acts."""
        return str(self.claims["sub"])


@dataclass(frozen=True, kw_only=True)
class Guard:
    """A resource server's checks. What has no answer refuses: every method raises Refused or one of its kinds.

    issuer, identifier: compared to the letter. keys: the issuer's key of a ``kid``. token_algorithms,
    proof_algorithms: of the JWS. memory: of proofs and approvals. introspect: what the issuer says of a token (RFC 7662),
    raises OSError or ValueError where it says nothing. takes_bearer: whether a token bound to no key is good for
    anything. nonces: None where proofs need not carry one. skew_s: between our clock and the issuer's. first_scopes: what
    a client that has no token yet is told to ask for, so that it does not ask for everything the metadata lists.
    """

    issuer: str
    identifier: str
    keys: KeyLookup
    token_algorithms: Collection[str]
    proof_algorithms: Collection[str]
    memory: Memory
    introspect: Callable[[str], Mapping[str, Any]]
    takes_bearer: bool
    nonces: dpop.Nonces | None
    skew_s: float
    metadata_url: str | None = None
    first_scopes: Sequence[str] = ()

    def admit(self, request: Request, *, now: float) -> Call:
        """Return the call if its token holds here and was issued to whoever sends it."""
        scheme, token = _credentials(request)
        claims = access_token.check(
            token,
            issuer=self.issuer,
            identifier=self.identifier,
            keys=self.keys,
            algorithms=self.token_algorithms,
            skew_s=self.skew_s,
            now=now,
        )
        self._guard_sender(request, scheme, token, claims, now)
        return Call(token=token, claims=claims)

    def require_scope(self, call: Call, *scopes: str) -> None:
        """Refuse unless the token carries these scopes. Spec: RFC 6750 §3.1."""
        held = call.claims.get("scope")
        if not isinstance(held, str) or not set(scopes) <= set(held.split(" ")):
            raise InsufficientScope(scopes)

    def require_authentication(
        self, call: Call, *, acr_values: Sequence[str], max_age_s: int | None, now: float
    ) -> None:
        """Refuse unless the subject authenticated in one of these ways, at most so long ago. Spec: RFC 9470 §3.

        acr_values: empty where any way will do. max_age_s: None where any time will do.
        """
        at = call.claims.get("auth_time")
        wanted = [acr_values] if isinstance(acr_values, str) else list(acr_values)  # or a part of the word would do
        is_strong = not wanted or call.claims.get("acr") in wanted
        is_recent = max_age_s is None or (jws.is_date(at) and -self.skew_s <= now - at <= max_age_s)
        if not is_strong or not is_recent:
            raise InsufficientUserAuthentication(acr_values=wanted, max_age_s=max_age_s)

    def require_detail(self, call: Call, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the one ``authorization_details`` object that covers an action; its rules stand in details.py."""
        return details.covering(call.claims.get("authorization_details"), wanted)

    def require_active(self, call: Call) -> None:
        """Refuse unless the issuer says that the token still holds: ask for all that is not read-only."""
        try:
            answer = self.introspect(call.token)
        except (OSError, ValueError) as error:
            raise Unavailable("the issuer does not answer") from error
        if answer.get("active") is not True:
            raise TokenNotActive

    def use_approval(self, call: Call, wanted: Mapping[str, Any], *, now: float) -> str:
        """Use up a person's approval of exactly this action; return its id. Call it last, just before acting.

        A crash after it and before the act loses the act, never the approval's being single.
        """
        use = self._approved(call, now=now)
        self.require_detail(call, wanted)
        return self._use_up(call, use, scopes=(), now=now)

    def use_approved_scope(self, call: Call, *scopes: str, now: float) -> str:
        """Use up a person's approval of a token with these scopes; return its id. Call it last, just before acting.

        For clients that speak in scopes alone, such as those of MCP: the person said yes to the scope, once, not to what
        the call says besides. Where ``authorization_details`` can be asked for, ask for them and call ``use_approval``.
        scopes: all that the operation needs; a client that must ask again is told them (RFC 6750 §3.1).
        """
        self.require_scope(call, *scopes)
        return self._use_up(call, self._approved(call, scopes=scopes, now=now), scopes=scopes, now=now)

    def headers_of(self, refused: Refused, request: Request) -> dict[str, str]:
        """Return the headers of the answer to a refused call; its status is ``refused.status``."""
        return challenge.headers_of(
            refused,
            authorization=request.authorization,
            takes_bearer=self.takes_bearer,
            proof_algorithms=self.proof_algorithms,
            metadata_url=self.metadata_url,
            first_scopes=self.first_scopes,
        )

    def _approved(self, call: Call, *, scopes: Sequence[str] = (), now: float) -> Use:
        """Return the approval that a token carries, as something that counts once."""
        approval_id, until = _approval(call.claims.get("approval"), scopes)
        if now > until:
            raise ApprovalLapsed(scopes=scopes)
        # The token's iat: a memory that began later can't know what this approval was used for.
        return Use(
            kind="approval", name=approval_id, earliest=call.claims["iat"] - self.skew_s, latest=until + self.skew_s
        )

    def _use_up(self, call: Call, use: Use, *, scopes: Sequence[str], now: float) -> str:
        if self.memory.is_used(use):  # or the issuer would record a use that does not happen
            raise ApprovalUsed(scopes)
        self.require_active(call)
        _guard_once(self.memory.spend(use, now=now), used=ApprovalUsed(scopes), unknown=ApprovalForgotten(scopes))
        return use.name

    def _guard_sender(self, request: Request, scheme: str, token: str, claims: Mapping[str, Any], now: float) -> None:
        """Refuse a bound token without its key. Spec: RFC 7800 §3.1, RFC 8705 §3, RFC 9449 §7."""
        if "cnf" not in claims:
            if scheme == "dpop":
                raise NotBoundToProof
            if not self.takes_bearer:
                raise NotBound
            return
        bound = claims["cnf"]
        if not isinstance(bound, dict) or not bound or not bound.keys() <= _BINDINGS:
            raise BindingUnknown
        if "x5t#S256" in bound:
            _guard_certificate(request.certificate, bound["x5t#S256"])
        if "jkt" in bound:
            self._guard_proof(request, scheme, token, bound["jkt"], now)
        elif scheme == "dpop":  # RFC 8705 §3: the token type stays Bearer
            raise NotBoundToProof

    def _guard_proof(self, request: Request, scheme: str, token: str, jkt: object, now: float) -> None:
        if scheme != "dpop":  # RFC 9449 §7.2: a bound token must not pass as Bearer
            raise Downgraded
        proof = dpop.check(
            request.dpop,
            method=request.method,
            url=request.url,
            access_token=token,
            algorithms=self.proof_algorithms,
            now=now,
        )
        if not _is_equal(proof.jkt, jkt):  # §4.3 (12)
            raise ProofOtherKey
        if self.nonces is not None:
            dpop.require_nonce(proof, self.nonces, now=now)
        # Last: whoever sent a wrong proof, or must come again with a nonce, has used up nothing.
        _guard_once(self.memory.spend(proof.use, now=now), used=ProofReplayed(), unknown=ProofForgotten())


def _credentials(request: Request) -> tuple[str, str]:
    """Return scheme and token. Spec: RFC 6750 §2.1, RFC 9449 §7.1; §7.2: several methods at once are refused."""
    if len(request.authorization) > 1:
        raise ManyCredentials
    scheme, _, token = (request.authorization[0] if request.authorization else "").partition(" ")
    if scheme.lower() not in ("bearer", "dpop"):
        raise NoToken
    # Servers join repeated headers with a comma, which no token has.
    if not _TOKEN.fullmatch(token.strip(" ")):
        raise ManyCredentials if "," in token else MalformedCredentials
    return scheme.lower(), token.strip(" ")


def _approval(claim: object, scopes: Sequence[str]) -> tuple[str, float]:
    if not isinstance(claim, dict):
        raise ApprovalMissing(scopes=scopes)
    name, until = claim.get("id"), claim.get("approved_until")
    if not isinstance(name, str) or not 1 <= len(name) <= APPROVAL_ID_MAX or not name.isprintable():
        raise ApprovalMissing(scopes=scopes)
    if not jws.is_date(until):
        raise ApprovalMissing(scopes=scopes)
    return name, until


def _guard_once(seen: Seen, *, used: Refused, unknown: Refused) -> None:
    if seen is Seen.USED:
        raise used
    if seen is Seen.UNKNOWN:
        raise unknown


def _guard_certificate(certificate: bytes | None, thumbprint: object) -> None:
    """Refuse another certificate than the one the token is bound to. Spec: RFC 8705 §3.1."""
    if not certificate or not _is_equal(jws.base64url(hashlib.sha256(certificate).digest()), thumbprint):
        raise WrongCertificate


def _is_equal(ours: str, given: object) -> bool:
    return isinstance(given, str) and hmac.compare_digest(ours.encode(), given.encode(errors="replace"))
