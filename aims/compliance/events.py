"""What the log says about this room: its consents, and who read what was measured.

The note of a consent stays out: the statement's hash is salted and tells nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class ConsentAsked(Event, type="compliance.consent.asked", title="Asked a second person's consent", tone="waiting"):
    """kind: what will happen. params_hash, statement_hash: docs/formats.md. expires_at: NumericDate."""

    consent: str
    kind: str
    params_hash: str
    statement_hash: str
    reason: str
    expires_at: int


@dataclass(frozen=True, kw_only=True)
class ConsentConfirmed(Event, type="compliance.consent.confirmed", title="Gave consent as second person", tone="yes"):
    """context_hash: of the bytes that were signed. vouched_by_asker: who asked had vouched for the key that signed."""

    consent: str
    kind: str
    statement_hash: str
    context_hash: str
    asked_by: str
    passkey: str
    vouched_by_asker: bool


@dataclass(frozen=True, kw_only=True)
class ConsentDenied(Event, type="compliance.consent.denied", title="Refused consent", tone="no"):
    """was_confirmed: another person had signed yes before."""

    consent: str
    kind: str
    was_confirmed: bool


@dataclass(frozen=True, kw_only=True)
class ConsentWithdrawn(Event, type="compliance.consent.withdrawn", title="Withdrew what needed consent", tone="plain"):
    consent: str
    kind: str
    was_confirmed: bool


@dataclass(frozen=True, kw_only=True)
class ConsentUsed(Event, type="compliance.consent.used", title="Acted on a second person's consent", tone="info"):
    """Stands in the transaction of the action itself."""

    consent: str
    kind: str
    params_hash: str
    asked_by: str
    confirmed_by: str


@dataclass(frozen=True, kw_only=True)
class ConsentExpired(Event, type="compliance.consent.expired", title="Consent ran out", tone="plain"):
    consent: str
    kind: str
    was_confirmed: bool


@dataclass(frozen=True, kw_only=True)
class ConsentRefused(Event, type="compliance.consent.refused", title="A consent was not accepted", tone="no"):
    """attempted: confirm, deny or withdraw. reason: the code of the rule that was broken."""

    consent: str
    attempted: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ReportViewed(Event, type="compliance.report.viewed", title="Compliance report read", tone="plain"):
    """page: report, fleet or measured. at: the set or the agent it was about, None for all. since, until: days (UTC)."""

    page: str
    at: str | None
    since: str
    until: str
