"""The keys that whatever is issued will be bound to. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What a request proves to hold, empty where it does not.

    jkt: RFC 7638 thumbprint of a DPoP key (RFC 9449 §6.1). x5t_s256: SHA-256 of the client's certificate (RFC 8705 §3.1).
    """

    jkt: str = ""
    x5t_s256: str = ""

    @property
    def binding(self) -> str:
        """How a token is bound, in the policy's word: ``dpop``, ``mtls``, or ``none`` for a bearer token."""
        if self.jkt:
            return "dpop"
        return "mtls" if self.x5t_s256 else "none"

    def holds(self, *, jkt: str, x5t_s256: str) -> bool:
        """Return whether it proves whatever something is bound to; what is bound to nothing is everybody's."""
        return jkt in ("", self.jkt) and x5t_s256 in ("", self.x5t_s256)
