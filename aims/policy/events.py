"""What the log says about policy."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class PolicyLoaded(Event, type="policy.version.loaded", title="Loaded a policy", tone="info"):
    version: int
    policy_hash: str
    policies: list[str]


@dataclass(frozen=True, kw_only=True)
class PolicyActivated(
    Event, type="policy.version.activated", title="Put a policy in force", tone="info", part="change"
):
    version: int
    policy_hash: str
    version_before: int | None
