"""Evidence of decisions: the contexts we prepared, the assertions that signed them, the receipts."""

from __future__ import annotations

from functools import partial

from django.conf import settings
from django.db import models
from django.db.models import Q

from aims.kit.ids import new_ref


class PreparedContext(models.Model):
    """The canonical bytes C that one person may sign for one decision. Reused on reload, consumed by delete."""

    request = models.ForeignKey(
        "authorization.ApprovalRequest",
        models.CASCADE,
        related_name="prepared_contexts",
    )
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    session_key = models.CharField(max_length=40)
    decision = models.CharField(max_length=8)
    context = models.BinaryField()
    challenge = models.BinaryField(max_length=32, unique=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["request", "person", "session_key", "decision"],
                name="approvals_one_context_each",
            )
        ]


class Decision(models.Model):
    """One person's yes or no to one request, with the bytes that prove it.

    A yes without an assertion cannot be stored.
    """

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "dec"), editable=False)
    request = models.ForeignKey("authorization.ApprovalRequest", models.PROTECT, related_name="decisions")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="decisions")
    passkey = models.ForeignKey("people.Passkey", models.PROTECT, null=True, related_name="decisions")
    decision = models.CharField(max_length=8)
    is_signed = models.BooleanField()
    context = models.BinaryField()
    authenticator_data = models.BinaryField(null=True)
    client_data_json = models.BinaryField(null=True)
    signature = models.BinaryField(null=True)
    decided_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "person"], name="approvals_one_decision_a_person"),
            models.CheckConstraint(
                condition=Q(decision__in=["approve", "deny"]),
                name="approvals_decision_known",
            ),
            models.CheckConstraint(
                condition=~Q(decision="approve") | (Q(is_signed=True) & Q(signature__isnull=False)),
                name="approvals_no_unsigned_yes",
            ),
        ]


class Receipt(models.Model):
    """The signed evidence of the decisions on one request (docs/formats.md). The bytes are kept as issued."""

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "rcp"), editable=False)
    request = models.OneToOneField("authorization.ApprovalRequest", models.PROTECT, related_name="receipt")
    jws = models.TextField()
    hash = models.CharField(max_length=60, unique=True)
    issued_at = models.DateTimeField()
