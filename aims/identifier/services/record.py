"""The facts of entries about the registry: nobody asked for anything, nothing was decided."""

from __future__ import annotations

from audit.write import Facts


def registry_facts(*, agent: str | None = None, subject: str | None = None, resource: str | None = None) -> Facts:
    """Return facts of a change in the registry. agent: identifier; subject: ref of the owner."""
    return Facts(
        agent=agent,
        subject=subject,
        resource=resource,
        action=None,
        decision="not_applicable",
        txn=None,
        posture="unknown",
        remediation=None,
    )
