"""What the log says about approval requests, their doors, and grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class RequestOpened(Event, type="authorization.request.opened", title="Asked a person", tone="waiting", part="ask"):
    """eligible: refs of who may decide. expires_at: NumericDate."""

    request: str
    request_hash: str
    door: str
    reversibility: str
    template_hash: str
    policy_version: int
    policy_hash: str
    determined_by: list[str]
    eligible: list[str]
    expires_at: int


@dataclass(frozen=True, kw_only=True)
class RequestRefused(Event, type="authorization.request.refused", title="Was not let ask", tone="no", part="refuse"):
    """code: the error that the agent got. policies: those that determined a refusal by policy."""

    door: str
    code: str
    policies: list[str]


@dataclass(frozen=True, kw_only=True)
class RequestApproved(Event, type="authorization.request.approved", title="Request approved", tone="yes", part="echo"):
    """approved_until: NumericDate."""

    request: str
    request_hash: str
    receipt: str
    receipt_hash: str
    approved_until: int
    acr: str


@dataclass(frozen=True, kw_only=True)
class RequestDenied(Event, type="authorization.request.denied", title="Said no", tone="no", part="echo"):
    """reason: ``person`` or ``policy``. polls: how often the agent asked in vain."""

    request: str
    request_hash: str
    reason: str
    is_signed: bool
    policies: list[str]
    polls: int


@dataclass(frozen=True, kw_only=True)
class RequestCancelled(
    Event,
    type="authorization.request.cancelled",
    title="Request withdrawn",
    tone="info",
    part="change",
):
    """reason: why (``client``, ``agent_suspended``, ``agent_retired``, ``stopped``, ``budget_spent``, ``grant_revoked``,
    ``grant_narrowed``, ``grant_expired``)."""

    request: str
    request_hash: str
    reason: str
    polls: int


@dataclass(frozen=True, kw_only=True)
class RequestExpired(
    Event,
    type="authorization.request.expired",
    title="Nobody answered in time",
    tone="info",
    part="change",
):
    """was: the state it expired in; ``approved`` where a yes was not used in time."""

    request: str
    request_hash: str
    was: str
    polls: int


@dataclass(frozen=True, kw_only=True)
class RequestSuperseded(
    Event,
    type="authorization.request.superseded",
    title="Overtaken by policy",
    tone="info",
    part="change",
):
    """The policy of now asks for more than the statement did."""

    request: str
    request_hash: str
    policy_version: int
    policies: list[str]
    polls: int


@dataclass(frozen=True, kw_only=True)
class RequestRedeemed(
    Event,
    type="authorization.request.redeemed",
    title="Approval became a token",
    tone="yes",
    part="echo",
):
    """jti: of the access token. polls: pending answers before."""

    request: str
    request_hash: str
    receipt_hash: str
    jti: str
    polls: int


@dataclass(frozen=True, kw_only=True)
class RedemptionRefused(
    Event,
    type="authorization.redemption.refused",
    title="Token for approval refused",
    tone="no",
    part="refuse",
):
    """code: the error that the agent got; request: empty where the id led to none of its requests."""

    request: str
    code: str


@dataclass(frozen=True, kw_only=True)
class PingDelivered(Event, type="authorization.ping.delivered", title="Agent notified", tone="info", part="echo"):
    request: str
    attempts: int


@dataclass(frozen=True, kw_only=True)
class PingGivenUp(
    Event,
    type="authorization.ping.given_up",
    title="Agent could not be notified",
    tone="no",
):
    """outcome: the status, or why the address was not called."""

    request: str
    attempts: int
    outcome: str


@dataclass(frozen=True, kw_only=True)
class GrantGiven(
    Event,
    type="authorization.grant.given",
    title="Let an agent do something",
    tone="yes",
    part="change",
):
    """starts, until: NumericDate. from_person: ref, or None for a grant of the organisation.

    parent: the grant that it was passed on from. approval: the request in which a person said yes to it.
    """

    grant: str
    from_person: str | None
    actions: list[str]
    detail_types: list[str]
    until: int
    starts: int | None
    depth: int
    budget: dict[str, Any]
    parent: str | None
    approval: str | None


@dataclass(frozen=True, kw_only=True)
class GrantNarrowed(
    Event, type="authorization.grant.narrowed", title="Narrowed a permission", tone="no", part="change"
):
    """What it allows from now on. until: NumericDate."""

    grant: str
    from_person: str | None
    actions: list[str]
    detail_types: list[str]
    until: int
    depth: int
    budget: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class GrantRevoked(Event, type="authorization.grant.revoked", title="Took a permission back", tone="no", part="change"):
    grant: str
    from_person: str | None


@dataclass(frozen=True, kw_only=True)
class GrantExpiring(Event, type="authorization.grant.expiring", title="A permission ends soon", tone="waiting"):
    """until: NumericDate."""

    grant: str
    from_person: str | None
    until: int


@dataclass(frozen=True, kw_only=True)
class GrantExpired(Event, type="authorization.grant.expired", title="A permission ran out", tone="info", part="change"):
    grant: str
    from_person: str | None
