"""Why a client's proof was not accepted: the code of RFC 6749 §5.2, and the reason for the log."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

from aims.kit.errors import AimsError


class InvalidClient(AimsError):
    """The client is not authenticated.

    reason: stable word for the log. agent: the identifier, only where the signature proved it.
    """

    code = "invalid_client"
    public = _("The client could not be authenticated.")
    status = 401

    def __init__(self, public: str | None = None, *, reason: str, agent: str | None = None) -> None:
        self.reason = reason
        self.agent = agent
        super().__init__(public, detail=reason)


class ProofReplayed(InvalidClient):
    """The jti was used before, or the client changed while it was being checked. Spec: RFC 7523 §3 (7)."""

    public = _("This client assertion has been used before. Make a new one for every request.")
    why = "replayed"

    def __init__(self, *, agent: str | None) -> None:
        super().__init__(reason=self.why, agent=agent)


class ProofForgotten(ProofReplayed):
    """Made before our memory of used proofs began: nobody can say whether it was used."""

    public = _("This client assertion is older than our memory of used ones. Make a new one for every request.")
    why = "forgotten"


class InvalidDpopProof(AimsError):
    """The proof of possession is not one, is not for this request, or is missing. Spec: RFC 9449 §5.

    reason: stable word for the log.
    """

    code = "invalid_dpop_proof"
    public = _("The DPoP proof is not acceptable.")

    def __init__(self, public: str | None = None, *, reason: str) -> None:
        self.reason = reason
        super().__init__(public, detail=reason)


class DpopReplayed(InvalidDpopProof):
    """The proof was used before. Spec: RFC 9449 §11.1. agent: the identifier of who sent it, None where unknown."""

    public = _("This DPoP proof has been used before. Make a new one for every request.")
    why = "replayed"

    def __init__(self, *, agent: str | None) -> None:
        self.agent = agent
        super().__init__(reason=self.why)


class DpopForgotten(DpopReplayed):
    """Made before our memory of used proofs began: nobody can say whether it was used."""

    public = _("This DPoP proof is older than our memory of used ones. Make a new one for every request.")
    why = "forgotten"


class CertificateMissing(AimsError):
    """The client registered to have its tokens bound to its certificate, and shows none. Spec: RFC 8705 §3.4."""

    code = "invalid_request"
    public = _("This client has registered to show its certificate with every request for a token.")


class UseDpopNonce(AimsError):
    """The proof has none of our nonces: here is one, come again. Nothing was consumed. Spec: RFC 9449 §8."""

    code = "use_dpop_nonce"
    public = _("Put the nonce of the header DPoP-Nonce into the proof, and send the request again.")

    def __init__(self, nonce: str) -> None:
        self.nonce = nonce
        super().__init__()


class ManyMethods(AimsError):
    """More than one way of client authentication in one request. Spec: RFC 6749 §2.3, §5.2."""

    code = "invalid_request"
    public = _("Use one client authentication method, not several.")
