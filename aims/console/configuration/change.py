"""What applying a file changed or would change: one line each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Change:
    """sign: ``+`` new, ``~`` changed, ``-`` retired, suspended or revoked. what: the fields, or the new state."""

    sign: str
    kind: str
    name: str
    what: str = ""

    def __str__(self) -> str:
        return f"{self.sign} {self.kind} {self.name}" + (f": {self.what}" if self.what else "")


@dataclass(frozen=True, kw_only=True)
class Applying:
    """Who applies, and when."""

    by: str
    now: datetime
