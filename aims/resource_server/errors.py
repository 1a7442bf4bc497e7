"""Why a call is not let in: one class for each rule, with the words of RFC 6750 §3.1, RFC 9449 §7.1 and RFC 9470 §3.

``error`` goes on the wire, ``code`` names the rule for the log, ``description`` may be sent: none of them holds anything
of the token. challenge.py writes the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Refused(Exception):
    """A call that is not let in. error: empty where RFC 6750 §3.1 wants no error code. detail: for the log only."""

    status = 401
    error = ""
    code = "refused"
    description = "The call was refused."

    def __init__(self, detail: str = "") -> None:
        super().__init__(f"{self.code}: {detail or self.description}")

    @property
    def params(self) -> Mapping[str, str]:
        """Return what the challenge says besides error and description."""
        return {}


class Unavailable(Refused):
    """We can't tell: the issuer or our own memory does not answer. Nothing is let in meanwhile."""

    status = 503
    code = "unavailable"
    description = "This can't be checked at the moment. Try again later."


# What comes with the request: RFC 6750 §2.1, §3.1; RFC 9449 §7.1.


class NoToken(Refused):
    """Nobody tried to authenticate: a challenge, no error code."""

    code = "no_token"
    description = "Send an access token."


class InvalidRequest(Refused):
    """The request is malformed: 400."""

    status = 400
    error = "invalid_request"


class ManyCredentials(InvalidRequest):
    code = "many_credentials"
    description = "Send one Authorization header with one access token."


class MalformedCredentials(InvalidRequest):
    code = "malformed_credentials"
    description = "The Authorization header holds no access token."


class TxnTokenCount(InvalidRequest):
    code = "txn_token_count"
    description = "Send exactly one Txn-Token header with one transaction token."


# The access token: RFC 9068 §4, RFC 7519 §4.1, RFC 8725.


class InvalidToken(Refused):
    """The token is malformed, expired, revoked or not good here: 401."""

    error = "invalid_token"


class TokenMalformed(InvalidToken):
    code = "token_malformed"
    description = "The token is not an access token that is taken here."


class TokenKeyUnknown(InvalidToken):
    code = "token_key_unknown"
    description = "The issuer has no such key."


class TokenSignature(InvalidToken):
    code = "token_signature"
    description = "The signature of the token does not verify."


class TokenClaims(InvalidToken):
    code = "token_claims"
    description = "The token lacks a claim that every access token has."


class WrongIssuer(InvalidToken):
    code = "wrong_issuer"
    description = "The token is from somebody else."


class WrongAudience(InvalidToken):
    code = "wrong_audience"
    description = "The token is for somebody else."


class TokenExpired(InvalidToken):
    code = "token_expired"
    description = "The token has expired."


class TokenNotYetValid(InvalidToken):
    code = "token_not_yet_valid"
    description = "The token is not valid yet."


class TokenNotActive(InvalidToken):
    code = "token_not_active"
    description = "The token is no longer active."


# Whose key: RFC 7800 §3.1, RFC 8705 §3, RFC 9449 §7.


class NotBound(InvalidToken):
    code = "not_bound"
    description = "The token is bound to no key, and only bound ones are taken here."


class BindingUnknown(InvalidToken):
    code = "binding_unknown"
    description = "The token is bound in a way that is not understood here."


class Downgraded(InvalidToken):
    code = "downgraded"
    description = "The token is bound to a key: send it with the scheme DPoP and a proof."


class NotBoundToProof(InvalidToken):
    code = "not_bound_to_proof"
    description = "The token is not bound to a DPoP key: send it with the scheme Bearer."


class WrongCertificate(InvalidToken):
    code = "wrong_certificate"
    description = "The token is bound to another certificate than the one of this connection."


# The proof: RFC 9449 §4.3, in its order.


class InvalidProof(Refused):
    """The DPoP proof proves nothing here: 401 at a resource server, 400 at the token endpoint (RFC 9449 §5, §7.1)."""

    error = "invalid_dpop_proof"


class ProofCount(InvalidProof):
    code = "proof_count"
    description = "Send exactly one DPoP header."


class ProofMalformed(InvalidProof):
    code = "proof_malformed"
    description = "The DPoP proof is not a well-formed proof of an accepted type and algorithm."


class ProofClaims(InvalidProof):
    code = "proof_claims"
    description = "The DPoP proof needs jti, htm, htu and iat, each of its type and no longer than is useful."


class ProofKey(InvalidProof):
    code = "proof_key"
    description = "The header jwk of the DPoP proof must be one public key of an accepted kind."


class ProofSignature(InvalidProof):
    code = "proof_signature"
    description = "The DPoP proof was not signed with the key in it."


class ProofMethod(InvalidProof):
    code = "proof_method"
    description = "htm is not the method of this request."


class ProofTarget(InvalidProof):
    code = "proof_target"
    description = "htu is not the address of this request."


class ProofTime(InvalidProof):
    code = "proof_time"
    description = "The DPoP proof is too old or from the future. Make a new one for every request."


class ProofTokenHash(InvalidProof):
    code = "proof_token_hash"
    description = "ath is not the hash of the access token."


class ProofOtherKey(InvalidProof):
    code = "proof_other_key"
    description = "The token is bound to another key than the one that made the DPoP proof."


class ProofReplayed(InvalidProof):
    code = "proof_replayed"
    description = "This DPoP proof has been used before. Make a new one for every request."


class ProofForgotten(InvalidProof):
    code = "proof_forgotten"
    description = "This DPoP proof may be older than the memory of used ones. Make a new one in a few seconds."


class UseNonce(Refused):
    """RFC 9449 §8, §9: the proof must carry the nonce that comes with this answer."""

    error = "use_dpop_nonce"
    code = "use_dpop_nonce"
    description = "Make the DPoP proof with the nonce given here."

    def __init__(self, nonce: str) -> None:
        super().__init__()
        self.nonce = nonce


# What for: RFC 6750 §3.1, RFC 9396 §9.


class InsufficientScope(Refused):
    """The token allows less than this request needs: 403. scopes: what is needed."""

    status = 403
    error = "insufficient_scope"
    code = "insufficient_scope"
    description = "The token lacks a scope that is needed for this."

    def __init__(self, scopes: Sequence[str] = ()) -> None:
        super().__init__()
        self.scopes = tuple(scopes)

    @property
    def params(self) -> Mapping[str, str]:
        """Return the scopes that are needed."""
        return _scope(self.scopes)


class DetailNotCovered(InsufficientScope):
    code = "detail_not_covered"
    description = "The token allows something else than this."


class DetailAmbiguous(InsufficientScope):
    code = "detail_ambiguous"
    description = "More than one authorization_details object allows this, so nobody can say which one is used."


# By whom: RFC 9470 §3, and the claim ``approval``.


class InsufficientUserAuthentication(Refused):
    """A person must authenticate, or decide, for this: 401. What they must do stands in the challenge."""

    error = "insufficient_user_authentication"
    code = "insufficient_user_authentication"
    description = "A person must authenticate for this, recently and strongly enough."

    def __init__(
        self, *, acr_values: Sequence[str] = (), max_age_s: int | None = None, scopes: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.acr_values, self.max_age_s, self.scopes = tuple(acr_values), max_age_s, tuple(scopes)

    @property
    def params(self) -> Mapping[str, str]:
        """Return how, and how recently, the person must authenticate, and the scopes that the operation needs."""
        wanted = {"acr_values": " ".join(self.acr_values)} if self.acr_values else {}
        wanted |= {} if self.max_age_s is None else {"max_age": str(self.max_age_s)}
        return {**wanted, **_scope(self.scopes)}


class ApprovalMissing(InsufficientUserAuthentication):
    code = "approval_missing"
    description = "This needs a person's approval."


class ApprovalLapsed(InsufficientUserAuthentication):
    code = "approval_lapsed"
    description = "The approval has lapsed. Ask again."


class ApprovalUsed(InsufficientScope):
    """One yes is one action: what it allowed has happened, and the token allows nothing more."""

    code = "approval_used"
    description = "This approval has already been used. Ask again."


class ApprovalForgotten(ApprovalUsed):
    code = "approval_forgotten"
    description = "This approval may be older than the memory of used ones. Ask again."


def _scope(scopes: Sequence[str]) -> Mapping[str, str]:
    return {"scope": " ".join(scopes)} if scopes else {}
