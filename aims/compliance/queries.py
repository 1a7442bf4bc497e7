"""Questions about consents: who may see and give them, and what exactly was asked. They never write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet

from aims.compliance.consent_bytes import Statement, parse_statement
from aims.compliance.errors import NoKeyForConsent, NotAnother, NotEntitled
from aims.compliance.kinds import SPECS, ConsentKind, KindSpec, Reason
from aims.compliance.models import Consent
from aims.compliance.states import OPEN
from aims.kit.errors import AimsError
from aims.people.models import Passkey, User
from aims.people.queries import passkeys_for_approval, roles_held
from audit.read import scope_of

PAGE_DEFAULT = 50
_JOINED = ("asked_by", "confirmed_by", "stopped_by", "passkey")


@dataclass(frozen=True, kw_only=True)
class Line:
    """One label and value of what will happen, from the signed bytes. kind: ``mono`` for references."""

    label: str
    value: str
    kind: str = ""


def consents_visible_to(person: User) -> QuerySet[Consent]:
    """Return the consents that a person may see: admins, and auditors who read the whole log, see all of them."""
    rows = Consent.objects.select_related(*_JOINED)
    return rows if scope_of(person).is_whole else rows.none()


def consents_page(person: User, *, before: str = "", limit: int = PAGE_DEFAULT) -> list[Consent]:
    """Return a page of consents, the newest first. before: the last reference of the page before, or empty."""
    rows = consents_visible_to(person).order_by("-ref")
    return list((rows.filter(ref__lt=before) if before else rows)[:limit])


def open_consents(person: User, now: datetime) -> list[Consent]:
    """Return what still waits to be confirmed or used, the one that ends first at the top."""
    rows = consents_visible_to(person).filter(state__in=[str(state) for state in OPEN], expires_at__gt=now)
    return list(rows.order_by("expires_at")[:PAGE_DEFAULT])


def statement_of(consent: Consent) -> Statement:
    """Return what will happen, read from the bytes that are signed."""
    return parse_statement(bytes(consent.statement))


def spec_of(consent: Consent) -> KindSpec:
    """Return the rules of a consent's kind."""
    return SPECS[ConsentKind(consent.kind)]


def lines_of(consent: Consent) -> list[Line]:
    """Return what will happen in words, from the signed bytes."""
    said, spec = statement_of(consent), spec_of(consent)
    shown = [
        Line(label=str(label), value=str(said.params[name]), kind="mono" if of_type is str else "")
        for name, (of_type, label) in spec.params.items()
    ]
    return [*shown, Line(label="", value=str(Reason(said.reason).label))]


def signing_keys(consent: Consent, person: User, *, now: datetime) -> list[Passkey]:
    """Return the keys with which a person may sign: registered before it was asked, past their cool-down."""
    return passkeys_for_approval(person, opened_at=consent.asked_at, now=now)


def why_not(consent: Consent, person: User, *, now: datetime) -> AimsError | None:
    """Return why a person may not consent, or None: NotAnother, NotEntitled, NoKeyForConsent."""
    if error := why_not_entitled(consent, person, now=now):
        return error
    return None if signing_keys(consent, person, now=now) else NoKeyForConsent()


def why_not_entitled(consent: Consent, person: User, *, now: datetime) -> AimsError | None:
    """Return why a person may neither consent nor refuse, or None: NotAnother, NotEntitled."""
    if person.pk == consent.asked_by_id:
        return NotAnother()
    confirmers = spec_of(consent).confirmers
    # Held before it was asked, or who asks could make a second person of anybody.
    held = roles_held(person, at=consent.asked_at) & roles_held(person, at=now) & confirmers
    is_entitled = person.is_active and held and scope_of(person).is_whole
    return None if is_entitled else NotEntitled()
