"""Consents of a second person, with the bytes that prove them; and what was measured last."""

from __future__ import annotations

from functools import partial

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from aims.compliance.kinds import ConsentKind
from aims.compliance.states import ConsentState
from aims.kit.ids import new_ref

_PERSON = settings.AUTH_USER_MODEL


class Consent(models.Model):
    """One action that one person asked for and another must sign. Used once, by the verb that does it.

    statement: the canonical bytes S; the asker's note stands in it and nowhere else. stopped_by: who denied it or
    withdrew it. A confirmation without a signature, or by who asked, can't be stored.
    """

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "con"), editable=False)
    kind = models.CharField(max_length=32, choices=ConsentKind)
    state = models.CharField(max_length=10, default=ConsentState.ASKED)
    statement = models.BinaryField()
    statement_hash = models.CharField(max_length=60, unique=True)
    params_hash = models.CharField(max_length=60)
    asked_by = models.ForeignKey(_PERSON, models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    confirmed_by = models.ForeignKey(_PERSON, models.PROTECT, null=True, related_name="+")
    confirmed_at = models.DateTimeField(null=True)
    passkey = models.ForeignKey("people.Passkey", models.PROTECT, null=True, related_name="+")
    context = models.BinaryField(null=True)
    authenticator_data = models.BinaryField(null=True)
    client_data_json = models.BinaryField(null=True)
    signature = models.BinaryField(null=True)
    stopped_by = models.ForeignKey(_PERSON, models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[str(state) for state in ConsentState]), name="compliance_consent_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["confirmed", "used"])
                | (Q(signature__isnull=False) & Q(context__isnull=False) & Q(confirmed_by__isnull=False)),
                name="compliance_no_unsigned_consent",
            ),
            models.CheckConstraint(
                condition=Q(confirmed_by=None) | ~Q(confirmed_by=F("asked_by")), name="compliance_consent_of_another"
            ),
        ]
        indexes = [models.Index(fields=["state", "expires_at"], name="compliance_consents_due")]


class PreparedConsent(models.Model):
    """The context C that one person may sign for one consent in one session; consumed by delete."""

    consent = models.ForeignKey(Consent, models.CASCADE, related_name="prepared")
    person = models.ForeignKey(_PERSON, models.CASCADE, related_name="+")
    session_key = models.CharField(max_length=40)
    context = models.BinaryField()
    challenge = models.BinaryField(max_length=32, unique=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["consent", "person", "session_key"], name="compliance_one_context_a_session"
            )
        ]


class Measurement(models.Model):
    """What was measured last for the whole house: one row. It is a cache, and says when it was made.

    evidence: by name, as ``reporting.evidence_row`` spells it.
    """

    since_at = models.DateTimeField()
    until_at = models.DateTimeField()
    measured_at = models.DateTimeField()
    evidence = models.JSONField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(pk=1), name="compliance_measurement_is_one_row")]
