"""Questions about people. They never write."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from django.db.models import Q, QuerySet

from aims.kit.ids import digest
from aims.people.models import AuditSeat, Group, Invitation, Passkey, SignedInSession, User
from aims.people.options import Descriptor
from aims.people.webauthn import StoredKey

PAGE_DEFAULT, PAGE_MAX = 50, 200


def roles_held(person: User, *, at: datetime) -> frozenset[str]:
    """Return the roles that a person held at a moment."""
    return frozenset(person.role_holdings.filter(_held(at)).values_list("role", flat=True))


def holders_of(role: str, *, at: datetime) -> list[User]:
    """Return the active people who held a role at a moment."""
    until = Q(role_holdings__until_at=None) | Q(role_holdings__until_at__gt=at)
    held = Q(role_holdings__role=role, role_holdings__since_at__lte=at) & until
    return list(User.objects.filter(held, is_active=True).distinct().order_by("pk"))


def members_of(slug: str, *, at: datetime) -> list[User]:
    """Return the active people who were in a group at a moment; nobody where there is no such group."""
    held = Q(memberships__group__slug=slug, memberships__since_at__lte=at)
    until = Q(memberships__until_at=None) | Q(memberships__until_at__gt=at)
    return list(User.objects.filter(held & until, is_active=True).distinct().order_by("pk"))


def groups_of(person: User, *, at: datetime) -> list[Group]:
    """Return the groups that a person was in at a moment."""
    return [held.group for held in person.memberships.filter(_held(at)).select_related("group").order_by("group__slug")]


def passkeys_of(person: User) -> list[Passkey]:
    """Return the keys that work, oldest first."""
    return list(person.passkeys.filter(ended_at=None).order_by("enrolled_at", "pk"))


def passkeys_for_approval(person: User, *, opened_at: datetime, now: datetime) -> list[Passkey]:
    """Return the keys that may sign a decision: held before the request was opened, past their cool-down, not ended."""
    usable = person.passkeys.filter(ended_at=None, enrolled_at__lte=opened_at, usable_from_at__lte=now)
    return list(usable.order_by("enrolled_at", "pk")) if person.is_active else []


def stored_keys(passkeys: Iterable[Passkey]) -> dict[bytes, StoredKey]:
    """Return what the strict layer needs of these keys, by credential id."""
    return {bytes(key.credential_id): _stored(key) for key in passkeys}


def descriptors(passkeys: Iterable[Passkey]) -> list[Descriptor]:
    """Return these keys as ``allowCredentials`` or ``excludeCredentials`` name them."""
    return [Descriptor(bytes(key.credential_id), tuple(key.transports)) for key in passkeys]


def person_by_ref(ref: str) -> User | None:
    """Return a person by public reference."""
    return User.objects.filter(ref=ref).first()


def person_by_email(email: str) -> User | None:
    """Return a person by address, whatever its capitals."""
    return User.objects.filter(email__iexact=email.strip()).first()


def names_of(refs: Collection[str]) -> Mapping[str, str]:
    """Return the names of people by reference, for pages that hold references."""
    return dict(User.objects.filter(ref__in=refs).values_list("ref", "name"))


def people_page(*, after: str, limit: int = PAGE_DEFAULT) -> list[User]:
    """Return a page of people by reference, oldest first. after: the last reference of the page before, or empty."""
    people: QuerySet[User] = User.objects.prefetch_related("role_holdings", "passkeys")
    return list(people.filter(ref__gt=after).order_by("ref")[: min(limit, PAGE_MAX)])


def all_groups() -> list[Group]:
    """Return every group by short name."""
    return list(Group.objects.order_by("slug"))


def sessions_of(person: User) -> list[SignedInSession]:
    """Return a person's sessions, the last seen first."""
    return list(person.signed_in_sessions.select_related("passkey").order_by("-last_seen_at", "-pk"))


def session_at(session_key: str | None, person: User) -> SignedInSession | None:
    """Return a person's session of this key: when it began, and with which passkey."""
    return person.signed_in_sessions.select_related("passkey").filter(session_key=session_key or "").first()


def usable_invitation(token: str, *, now: datetime) -> Invitation | None:
    """Return the invitation of a link that still works."""
    found = Invitation.objects.select_related("person").filter(token_hash=digest(token))
    return found.filter(used_at=None, expires_at__gt=now, person__is_active=True).first()


def seat_of(person: User) -> AuditSeat | None:
    """Return a person's auditor's seat that was not closed; it may be over all the same."""
    return person.audit_seats.select_related("holding").filter(closed_at=None).first()


def seats_page(*, before: str = "", limit: int = PAGE_DEFAULT) -> list[AuditSeat]:
    """Return a page of auditors' seats, the newest first. before: the last reference of the page before, or empty."""
    seats = AuditSeat.objects.select_related("person", "holding").order_by("-ref")
    return list((seats.filter(ref__lt=before) if before else seats)[: min(limit, PAGE_MAX)])


def _held(at: datetime) -> Q:
    return Q(since_at__lte=at) & (Q(until_at=None) | Q(until_at__gt=at))


def _stored(key: Passkey) -> StoredKey:
    return StoredKey(bytes(key.credential_id), bytes(key.public_key), key.sign_count, key.is_backup_eligible)
