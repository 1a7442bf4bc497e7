"""What happened, as a story is told from it: entries with the part that each plays. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

CONSOLE = "console"
# What a token may be found under in an entry's data: issued or used, and what it was exchanged for.
JTI, PARENT, ENDED = "jti", "parent", "jtis"


@dataclass(frozen=True, kw_only=True)
class Happened:
    """One entry. at: when it happened; of a report, by its reporter's clock. part: of ``audit.write.Part``."""

    index: int
    at: datetime
    type: str
    title: str
    tone: str
    part: str
    by: str
    agent: str | None
    subject: str | None
    resource: str | None
    action: str | None
    decision: str | None
    txn: str | None
    posture: str | None = None
    remediation: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What a report says it was; empty for anything else."""
        return str(self.data.get("kind") or "") if self.part == "report" else ""

    @property
    def is_by_agent(self) -> bool:
        """Whether an agent reports, and not a resource server."""
        return self.data.get("side") == "agent"

    @property
    def jti(self) -> str | None:
        """The access token that it is about."""
        found = self.data.get("token") if self.part == "report" else self.data.get(JTI)
        return str(found) if found else None

    @property
    def request(self) -> str | None:
        """The approval request that it is about."""
        found = self.data.get("approval") if self.part == "report" else self.data.get("request")
        return str(found) if found else None

    def text(self, name: str) -> str | None:
        """Return a member of its data that is a string, or None."""
        found = self.data.get(name)
        return found if isinstance(found, str) and found else None
