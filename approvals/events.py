"""What this room writes into the log. References, hashes and numbers only."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class DecisionApproved(Event, type="approvals.decision.approved", title="Signed a yes", tone="yes", part="answer"):
    """A person signed a yes. ``receipt`` and its hash are None until the last signature that is needed."""

    request: str
    request_hash: str
    context_hash: str
    passkey: str
    is_synced: bool
    count: int
    required: int
    receipt: str | None
    receipt_hash: str | None


@dataclass(frozen=True, kw_only=True)
class DecisionDenied(Event, type="approvals.decision.denied", title="Said no", tone="no", part="answer"):
    """A person said no, with one tap or with a signature."""

    request: str
    request_hash: str
    is_signed: bool
    context_hash: str | None
    passkey: str | None


@dataclass(frozen=True, kw_only=True)
class DecisionRefused(Event, type="approvals.decision.refused", title="Refused a decision", tone="no", part="answer"):
    """Somebody tried to decide and was refused; nothing changed. ``reason`` is the code of the rule."""

    request: str
    request_hash: str
    attempted: str
    reason: str
