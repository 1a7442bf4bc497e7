"""What the log says about callers of the management API that went too far."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class CallRefused(Event, type="console.call.refused", title="Refused a call of the API", tone="no", part="refuse"):
    """An agent with a good token asked for what it may not do. jti: of its access token."""

    method: str
    endpoint: str
    code: str
    jti: str
