"""The humans: who they are, what they may do, and the passkeys they sign with. Nobody here has a password."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from aims.kit import clock
from aims.kit.ids import new_ref


class Role(models.TextChoices):
    """What a person may do in the console. One person may hold several; who asks never decides."""

    APPROVER = "approver", _("Approver")
    OWNER = "owner", _("Owner")
    ADMIN = "admin", _("Admin")
    AUDITOR = "auditor", _("Auditor")


@dataclass(frozen=True, kw_only=True)
class LogLimits:
    """The part of the audit log that a seat gives. agents: identifiers, None for all. At midnight (UTC), as recorded."""

    agents: frozenset[str] | None
    since_at: datetime | None
    until_at: datetime | None


class User(AbstractBaseUser):
    """A person. ``ref`` is the stable public name (the ``sub`` of tokens); the e-mail address may change."""

    password = None  # type: ignore[assignment]  # AbstractBaseUser's column is removed: there are no passwords
    last_login = models.DateTimeField(null=True, blank=True)
    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "usr"), editable=False)
    email = models.EmailField(max_length=254)
    name = models.CharField(max_length=120)
    locale = models.CharField(max_length=16, default="en")
    time_zone = models.CharField(max_length=64, default="UTC")
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="people_email_once"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_staff(self) -> bool:
        """The Django admin is not part of this product."""
        return False

    def has_role(self, role: str) -> bool:
        """Return whether this person holds a role now."""
        now = clock.now()
        held = self.role_holdings.filter(role=role, since_at__lte=now)
        return held.filter(Q(until_at=None) | Q(until_at__gt=now)).exists()

    def log_limits(self) -> LogLimits | None:
        """Return what binds this person's reading of the audit log, as ``audit.access.scope_of`` asks; None: nothing."""
        seat = self.audit_seats.filter(closed_at=None).first()
        return seat.limits if seat else None


class RoleHolding(models.Model):
    """A role that a person holds or held. It counts for a decision only if held before the request was opened."""

    person = models.ForeignKey(User, models.CASCADE, related_name="role_holdings")
    role = models.CharField(max_length=16, choices=Role)
    since_at = models.DateTimeField()
    until_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "role"], condition=Q(until_at=None), name="people_role_held_once")
        ]


class AuditSeat(models.Model):
    """An auditor's role that ends by itself, and what part of the log it opens. One open seat a person.

    holding: the role, whose end is the seat's: who asks for the role at any moment gets the right answer, swept or not.
    agents: their identifiers, None for all. period_since_at, period_until_at: of the log, at midnight (UTC).
    closed_at: when it was ended, or when the sweep found it over. Admins are bound by no seat.
    """

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "seat"), editable=False)
    person = models.ForeignKey(User, models.CASCADE, related_name="audit_seats")
    holding = models.OneToOneField(RoleHolding, models.CASCADE, related_name="seat")
    is_guest = models.BooleanField()
    agents = models.JSONField(null=True)
    period_since_at = models.DateTimeField(null=True)
    period_until_at = models.DateTimeField(null=True)
    opened_by = models.CharField(max_length=120)
    closed_at = models.DateTimeField(null=True)
    closed_by = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person"], condition=Q(closed_at=None), name="people_one_open_seat"),
            models.CheckConstraint(
                condition=Q(period_since_at=None)
                | Q(period_until_at=None)
                | Q(period_since_at__lt=F("period_until_at")),
                name="people_seat_period_in_order",
            ),
        ]

    @property
    def limits(self) -> LogLimits:
        """What it opens."""
        agents = None if self.agents is None else frozenset(self.agents)
        return LogLimits(agents=agents, since_at=self.period_since_at, until_at=self.period_until_at)

    @property
    def until_at(self) -> datetime | None:
        """When it ends by itself; None for a seat of the house that lasts."""
        return self.holding.until_at


class Group(models.Model):
    """People who decide together, named by policies: ``@ask("group:finance")``."""

    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=120)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person in a group, from when to when."""

    group = models.ForeignKey(Group, models.CASCADE, related_name="memberships")
    person = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    since_at = models.DateTimeField()
    until_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "person"], condition=Q(until_at=None), name="people_member_once")
        ]


class Passkey(models.Model):
    """A WebAuthn credential of a person, with the evidence of its registration (WebAuthn L3 §7.1).

    vouched_by: who answered for the enrolment: a person ref, ``cli:<os user>``, or the person's own ref for a key
    that was added with an existing passkey. usable_from_at: before it the key signs in but does not approve.
    enrolment_event: id of the audit entry of the enrolment; receipts name its log index.
    """

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "key"), editable=False)
    person = models.ForeignKey(User, models.CASCADE, related_name="passkeys")
    name = models.CharField(max_length=80)
    credential_id = models.BinaryField(max_length=1023, unique=True)
    public_key = models.BinaryField(help_text="COSE_Key as registered")
    algorithm = models.IntegerField(help_text="COSE algorithm identifier")
    sign_count = models.BigIntegerField(default=0)
    aaguid = models.CharField(max_length=36)
    transports = models.JSONField(default=list)
    is_backup_eligible = models.BooleanField()
    is_backed_up = models.BooleanField()
    attestation_object = models.BinaryField()
    client_data_json = models.BinaryField()
    vouched_by = models.CharField(max_length=120)
    enrolment_event = models.CharField(max_length=40)
    enrolled_at = models.DateTimeField()
    usable_from_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=120, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(is_backed_up=False) | Q(is_backup_eligible=True), name="people_backed_up_needs_eligible"
            ),
            models.CheckConstraint(
                condition=Q(usable_from_at__gte=F("enrolled_at")), name="people_usable_after_enrolment"
            ),
        ]


class Invitation(models.Model):
    """A one-time enrolment link. Only its hash is kept; used once, and only together with a registered key."""

    token_hash = models.CharField(max_length=64, unique=True)
    person = models.ForeignKey(User, models.CASCADE, related_name="invitations")
    is_recovery = models.BooleanField()
    invited_by = models.CharField(max_length=120)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)


class Ceremony(models.Model):
    """A challenge we made for sign-in, enrolment or adding a key; consumed by delete. Approvals keep their own."""

    class Purpose(models.TextChoices):
        SIGN_IN = "sign-in"
        ENROL = "enrol"
        ADD_KEY = "add-key"

    purpose = models.CharField(max_length=16, choices=Purpose)
    challenge = models.BinaryField(max_length=32, unique=True)
    bound_to = models.CharField(max_length=80, help_text="session key, or the hash of the invitation")
    expires_at = models.DateTimeField(db_index=True)


class SignedInSession(models.Model):
    """A session that its owner can see and end. Ending it deletes Django's session row too."""

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "ses"), editable=False)
    person = models.ForeignKey(User, models.CASCADE, related_name="signed_in_sessions")
    passkey = models.ForeignKey(Passkey, models.CASCADE, related_name="+")
    session_key = models.CharField(max_length=40, unique=True)
    user_agent = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
