"""What the log says about tokens and the clients that asked for them."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class TokenIssued(Event, type="authorization.token.issued", title="Issued a token", tone="yes", part="issue"):
    """expires_at: NumericDate. policies: those that allowed it. request: the approval request, None without one."""

    jti: str
    expires_at: int
    policy_version: int
    policies: list[str]
    detail_types: list[str]
    request: str | None


@dataclass(frozen=True, kw_only=True)
class TokenRefused(Event, type="authorization.token.refused", title="Refused a client", tone="no", part="refuse"):
    """code: the error that the client got. reason: why, in one word, where the code does not say."""

    endpoint: str
    code: str
    reason: str
    policies: list[str]


@dataclass(frozen=True, kw_only=True)
class TokenUsed(Event, type="authorization.token.used", title="Used a token", tone="info", part="use"):
    """The resource server asked whether the token holds, as it must at use."""

    jti: str
    request: str | None


@dataclass(frozen=True, kw_only=True)
class TokenRevoked(Event, type="authorization.token.revoked", title="Revoked a token", tone="no", part="change"):
    """Revoked by its client. descendants: how many tokens ended with it, exchanged for it or for one of these.

    descendant_jtis: of the oldest 200 of them.
    """

    jti: str
    descendants: int
    descendant_jtis: list[str]


@dataclass(frozen=True, kw_only=True)
class TokenExchanged(Event, type="authorization.token.exchanged", title="Exchanged a token", tone="yes", part="issue"):
    """expires_at: NumericDate. parent: jti of the subject token; root: of the first of the chain.

    chain: who has held the tokens so far, the first on the left and the one who exchanges on the right.
    """

    jti: str
    parent: str
    root: str
    depth: int
    chain: list[str]
    expires_at: int
    policy_version: int
    policies: list[str]
    detail_types: list[str]


@dataclass(frozen=True, kw_only=True)
class TokensEnded(Event, type="authorization.tokens.ended", title="Ended tokens", tone="no", part="change"):
    """Tokens that stopped counting with what they stood on.

    reason: ``agent_suspended``, ``agent_retired``, ``stopped``, ``grant_revoked``, ``grant_narrowed``,
    ``grant_expired`` or ``trust_narrowed``. count: how many. jtis: of the newest 200 of them.
    """

    reason: str
    grant: str | None
    count: int
    jtis: list[str]


@dataclass(frozen=True, kw_only=True)
class ClientConfigured(Event, type="authorization.client.configured", title="Set how an agent is told", tone="info"):
    """How an agent takes delivery of decisions. endpoint_hash: of the address that is pinged, None for poll.

    redirect_hashes: of where browsers may bring it codes.
    dpop_bound, tls_bound: its tokens must be bound to a key, to its certificate. auth_method: how it proves who it is;
    with ``tls_client_auth`` which name its certificate bears, and the hash of that.
    """

    agent: str
    delivery_mode: str
    endpoint_hash: str | None
    request_signing_alg: str | None
    dpop_bound: bool
    auth_method: str
    tls_name: str | None
    tls_value_hash: str | None
    tls_bound: bool
    redirect_hashes: list[str]
