"""What the log says about agents that come through a person's browser, and about what the person answered."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class RequestPushed(Event, type="authorization.push.accepted", title="Prepared a question", tone="info"):
    """A request was pushed (RFC 9126). expires_at: NumericDate. is_bound: a key is named that alone redeems the code."""

    pushed: str
    detail_types: list[str]
    expires_at: int
    is_bound: bool


@dataclass(frozen=True, kw_only=True)
class ConsentAgreed(Event, type="authorization.consent.agreed", title="Let an agent act", tone="yes", part="answer"):
    """A person agreed, or had agreed before (is_remembered). is_narrowed: to less than was asked for.

    grant: what they gave, None where only their sign-in was asked for, or while a signed decision is awaited.
    request: the approval request of that decision. policies: those that let them, or that asked.
    """

    pushed: str
    grant: str | None
    request: str | None
    is_narrowed: bool
    is_remembered: bool
    policy_version: int | None
    policies: list[str]


@dataclass(frozen=True, kw_only=True)
class ConsentRefused(
    Event, type="authorization.consent.refused", title="Did not let an agent act", tone="no", part="answer"
):
    """code: the error that the client got. reason: ``person``, ``policy``, ``request`` or ``rule``."""

    pushed: str
    code: str
    reason: str
    policies: list[str]
    request: str | None
