"""What the log says about codes, and the families of tokens that come from them."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class CodeIssued(Event, type="authorization.code.issued", title="Issued an authorization code", tone="yes"):
    """code: its public reference, which buys nothing. grant, request: what it stands on, None without one."""

    code: str
    grant: str | None
    request: str | None
