"""What the log says about clients that register themselves. What they call themselves never enters it."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class ClientRegistered(
    Event, type="authorization.client.registered", title="A client registered itself", tone="waiting"
):
    """kind: dynamic or document. method: how it will authenticate. metadata_hash: of what it said, canonical."""

    registration: str
    client_id: str
    kind: str
    method: str
    metadata_hash: str


@dataclass(frozen=True, kw_only=True)
class ClientAdmitted(Event, type="authorization.client.admitted", title="Admitted a client as an agent", tone="yes"):
    """rule: the trust rule that let it in, None where a person did. is_again: it was admitted before, and changed."""

    registration: str
    agent: str
    rule: str | None
    is_again: bool
    metadata_hash: str


@dataclass(frozen=True, kw_only=True)
class ClientRefused(Event, type="authorization.client.refused", title="Refused a client", tone="no"):
    registration: str
    client_id: str


@dataclass(frozen=True, kw_only=True)
class ClientChanged(Event, type="authorization.client.changed", title="A client changed its registration", tone="info"):
    """members: names of those that changed. is_waiting: it has to be admitted again, and its agent is suspended."""

    registration: str
    client_id: str
    members: list[str]
    is_waiting: bool
    metadata_hash: str


@dataclass(frozen=True, kw_only=True)
class ClientWithdrawn(
    Event, type="authorization.client.withdrawn", title="A client withdrew its registration", tone="no"
):
    """agent: the one that ended with it, None where it never became one."""

    registration: str
    client_id: str
    agent: str | None


@dataclass(frozen=True, kw_only=True)
class ClientExpired(Event, type="authorization.client.expired", title="Forgot a client that nobody admitted"):
    registration: str
    client_id: str


@dataclass(frozen=True, kw_only=True)
class TrustRuleAdded(Event, type="authorization.trust_rule.added", title="Added a trust rule", tone="yes"):
    """kind: what is compared. value: with what. owner: who answers for agents that it admits."""

    rule: str
    kind: str
    value_hash: str
    owner: str


@dataclass(frozen=True, kw_only=True)
class TrustRuleEnded(Event, type="authorization.trust_rule.ended", title="Ended a trust rule", tone="no"):
    rule: str
