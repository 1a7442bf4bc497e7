"""What the log says about people: refs, roles, slugs and hashes. Of names and addresses it holds commitments only; the values
are kept beside it and go when the person is erased.
"""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event, Personal


@dataclass(frozen=True, kw_only=True)
class PersonCreated(
    Event, type="people.person.created", title="Added a person", tone="info", personal=("email", "name")
):
    person: str
    email: Personal | None = None
    name: Personal | None = None


@dataclass(frozen=True, kw_only=True)
class PersonChanged(Event, type="people.person.changed", title="Changed a profile", tone="info", personal=("name",)):
    """fields: which ones changed. name: the new one, where it changed."""

    person: str
    fields: list[str]
    name: Personal | None = None


@dataclass(frozen=True, kw_only=True)
class PersonBlanked(Event, type="people.person.blanked", title="Removed who a person is", tone="no"):
    """Name, address, labels of passkeys, sessions and links are gone; the reference stays. Numbers: how many ended."""

    person: str
    sessions: int
    passkeys: int
    roles: list[str]


@dataclass(frozen=True, kw_only=True)
class PersonDeactivated(Event, type="people.person.deactivated", title="Deactivated a person", tone="no"):
    person: str
    sessions: int


@dataclass(frozen=True, kw_only=True)
class PersonReactivated(Event, type="people.person.reactivated", title="Reactivated a person", tone="yes"):
    person: str


@dataclass(frozen=True, kw_only=True)
class RoleGiven(Event, type="people.role.given", title="Gave a role", tone="info"):
    person: str
    role: str


@dataclass(frozen=True, kw_only=True)
class RoleEnded(Event, type="people.role.ended", title="Ended a role", tone="no"):
    person: str
    role: str


@dataclass(frozen=True, kw_only=True)
class SeatOpened(Event, type="people.seat.opened", title="Opened an auditor's seat", tone="info"):
    """agents: whose entries it opens, None for all. Moments are NumericDates, None where there is no bound."""

    person: str
    seat: str
    is_guest: bool
    until_at: int | None
    agents: list[str] | None
    period_since_at: int | None
    period_until_at: int | None


@dataclass(frozen=True, kw_only=True)
class SeatProlonged(Event, type="people.seat.prolonged", title="Prolonged an auditor's seat", tone="info"):
    person: str
    seat: str
    until_at: int
    until_at_before: int | None


@dataclass(frozen=True, kw_only=True)
class SeatEnded(Event, type="people.seat.ended", title="Ended an auditor's seat", tone="no"):
    person: str
    seat: str
    sessions: int


@dataclass(frozen=True, kw_only=True)
class SeatExpired(Event, type="people.seat.expired", title="An auditor's seat ran out", tone="plain"):
    """until_at: when it closed by itself. The entry is later: it says when that was noticed and sessions ended."""

    person: str
    seat: str
    until_at: int
    sessions: int


@dataclass(frozen=True, kw_only=True)
class GroupCreated(Event, type="people.group.created", title="Made a group", tone="info"):
    group: str


@dataclass(frozen=True, kw_only=True)
class GroupJoined(Event, type="people.group.joined", title="Joined a group", tone="info"):
    person: str
    group: str


@dataclass(frozen=True, kw_only=True)
class GroupLeft(Event, type="people.group.left", title="Left a group", tone="no"):
    person: str
    group: str


@dataclass(frozen=True, kw_only=True)
class PersonInvited(
    Event, type="people.person.invited", title="Made an enrolment link", tone="info", personal=("email",)
):
    """email: to whom the link was to be given."""

    person: str
    is_recovery: bool
    expires_at: int
    email: Personal | None = None


@dataclass(frozen=True, kw_only=True)
class PasskeyEnrolled(Event, type="people.passkey.enrolled", title="Registered a passkey", tone="info"):
    """attestation_hash, client_data_hash: of the stored evidence. vouched_by: who answered for the enrolment."""

    person: str
    passkey: str
    attestation_hash: str
    client_data_hash: str
    vouched_by: str
    is_recovery: bool
    usable_from_at: int


@dataclass(frozen=True, kw_only=True)
class PasskeyRenamed(Event, type="people.passkey.renamed", title="Renamed a passkey", tone="plain"):
    person: str
    passkey: str


@dataclass(frozen=True, kw_only=True)
class PasskeyEnded(Event, type="people.passkey.ended", title="Ended a passkey", tone="no"):
    person: str
    passkey: str


@dataclass(frozen=True, kw_only=True)
class SignedIn(Event, type="people.session.started", title="Signed in", tone="plain", personal=("address",)):
    """address: from where, as far as the server knows; no proof of anything."""

    person: str
    session: str
    passkey: str
    address: Personal | None = None


@dataclass(frozen=True, kw_only=True)
class SessionEnded(Event, type="people.session.ended", title="Ended a session", tone="plain"):
    person: str
    session: str


@dataclass(frozen=True, kw_only=True)
class CloneSuspected(Event, type="people.passkey.clone_suspected", title="A passkey may have been copied", tone="no"):
    """The counter of a key did not grow: a signal, not a proof, that there are two of it."""

    person: str
    passkey: str
