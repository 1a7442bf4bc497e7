"""The facts of entries about the registry: nobody asked for anything, nothing was decided."""

from __future__ import annotations

from dataclasses import replace

from audit.write import NOBODY, Facts


def registry_facts(*, agent: str | None = None, subject: str | None = None, resource: str | None = None) -> Facts:
    """Return facts of a change in the registry. agent: identifier; subject: ref of the owner."""
    return replace(NOBODY, agent=agent, subject=subject, resource=resource)
