"""What the log says about tokens that carry a call on: inside the trust domain, and out of it."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class TransactionTokenIssued(
    Event, type="authorization.transaction_token.issued", title="Issued a transaction token", tone="yes"
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
