"""What the log says about tokens that carry a call on: inside the trust domain, and out of it."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class TransactionTokenIssued(
    Event, type="authorization.transaction_token.issued", title="Issued a transaction token", tone="yes", part="issue"
):
    """parent: jti of the subject token, None where the workload began by itself. workloads: who has asked, in order.

    is_replacement: it stands for an earlier one. policies: those that allowed the call that it stands for.
    """

    jti: str
    parent: str | None
    root: str
    is_replacement: bool
    workloads: list[str]
    expires_at: int
    policy_version: int
    policies: list[str]


@dataclass(frozen=True, kw_only=True)
class GrantForElsewhereIssued(
    Event, type="authorization.foreign_grant.issued", title="Spoke for a subject elsewhere", tone="yes", part="issue"
):
    """A JWT that another domain's authorization server exchanges for a token of its own.

    server: its ref. profile: ``chaining`` or ``id-jag``. parent: jti of the subject token, None for an ID token.
    """

    jti: str
    server: str
    profile: str
    parent: str | None
    root: str
    expires_at: int
    policy_version: int
    policies: list[str]


@dataclass(frozen=True, kw_only=True)
class ForeignGrantAccepted(
    Event, type="authorization.foreign_grant.accepted", title="Took another server's word for a subject", tone="yes"
):
    """jti: of the token that was issued on it. server: its ref."""

    jti: str
    server: str
    profile: str


@dataclass(frozen=True, kw_only=True)
class ServerTrusted(
    Event, type="authorization.server.trusted", title="Changed what another server may say", tone="info"
):
    """accepts, receives: profiles. subjects, clients: how many are mapped. changed: the names of what changed."""

    server: str
    changed: list[str]
    accepts: list[str]
    receives: list[str]
    subjects: int
    clients: int


@dataclass(frozen=True, kw_only=True)
class ServerRetired(Event, type="authorization.server.retired", title="Stopped trusting another server", tone="no"):
    server: str
