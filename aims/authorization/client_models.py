"""Clients that registered themselves, and the rules by which they are admitted without a person looking."""

from __future__ import annotations

from functools import partial

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from aims.authorization.registration_states import RegistrationState
from aims.kit.ids import new_ref

CLIENT_ID_MAX = 2048
VALUE_MAX = 255


class ClientRegistration(models.Model):
    """What a client said of itself, and what became of it. Its state moves only in ``services.registering``.

    client_id: reserved for the agent that it may become. metadata: as registered, defaults included (RFC 7591 §3.2.1).
    asked_at: when its metadata document was last asked for; fresh_until_at: how long it need not be asked for again.
    admitted_metadata: what the agent was admitted with, null before; what differs from it is not in force.
    """

    class Kind(models.TextChoices):
        DYNAMIC = "dynamic", _("Registered by itself")
        DOCUMENT = "document", _("Metadata document")

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "reg"), editable=False)
    kind = models.CharField(max_length=12, choices=Kind)
    client_id = models.CharField(max_length=CLIENT_ID_MAX, unique=True)
    state = models.CharField(max_length=16, default=RegistrationState.QUARANTINED)
    state_since_at = models.DateTimeField()
    state_reason = models.CharField(max_length=400, blank=True)
    metadata = models.JSONField()
    admitted_metadata = models.JSONField(null=True)
    token_hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the registration access token")
    source = models.CharField(max_length=40, help_text="keyed hash of the address that registered it")
    registered_at = models.DateTimeField()
    asked_at = models.DateTimeField(null=True)
    fresh_until_at = models.DateTimeField(null=True)
    agent = models.OneToOneField("identifier.Agent", models.PROTECT, null=True, related_name="registration")
    rule = models.ForeignKey("TrustRule", models.PROTECT, null=True, related_name="admitted")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in RegistrationState]),
                name="authorization_registration_state_known",
            ),
            models.CheckConstraint(
                condition=~Q(state="admitted") | Q(agent__isnull=False, admitted_metadata__isnull=False),
                name="authorization_admitted_is_an_agent",
            ),
            # RFC 7592: only who registered over the wire has a token, and it ends with the registration.
            models.CheckConstraint(
                condition=Q(token_hash="") | Q(kind="dynamic") & ~Q(state="withdrawn"),
                name="authorization_registration_token_ends",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "state_since_at"], name="authorization_registrations"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """What it calls itself; nothing to go by."""
        return str(self.metadata.get("client_name", ""))


class TrustRule(models.Model):
    """Admit who fits at once, for this owner. ``ended_at``: rules end and are kept, since registrations name them."""

    class Kind(models.TextChoices):
        DOCUMENT_HOST = "document_host", _("Metadata document at this host")
        REDIRECT_HOST = "redirect_host", _("Redirects to this host only")
        SOFTWARE_ID = "software_id", _("Says that it is this software")

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "rul"), editable=False)
    kind = models.CharField(max_length=16, choices=Kind)
    value = models.CharField(max_length=VALUE_MAX)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    added_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "value"], condition=Q(ended_at=None), name="authorization_one_rule_a_value"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"
