"""Authorization servers of other domains: what each may say here, and what we say to it."""

from __future__ import annotations

from functools import partial

from django.conf import settings
from django.db import models

from aims.kit.ids import new_ref

ISSUER_MAX = 2048
SUBJECT_MAX = 255


class Profile(models.TextChoices):
    """How authority crosses to another domain."""

    CHAINING = "chaining"  # draft-ietf-oauth-identity-chaining
    ID_JAG = "id-jag"  # draft-ietf-oauth-identity-assertion-authz-grant


class ForeignServer(models.Model):
    """Another domain's authorization server. Its keys are those of the holder ``ref`` in ``credentials``.

    accepts: profiles in which it may assert subjects here. receives: profiles in which we assert ours to it. scopes: the
    words that what it asserts may carry here at most. matches_email: a subject without a line of its own is whoever has
    the verified address that an ID-JAG names. tells_email: an ID-JAG for it names the address.
    """

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "fas"), editable=False)
    issuer = models.CharField(max_length=ISSUER_MAX, unique=True)
    name = models.CharField(max_length=80)
    accepts = models.JSONField(default=list, blank=True)
    receives = models.JSONField(default=list, blank=True)
    scopes = models.JSONField(default=list, blank=True)
    matches_email = models.BooleanField(default=False)
    tells_email = models.BooleanField(default=False)
    trusted_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class ForeignSubject(models.Model):
    """Under which name another server knows a person.

    is_ours: made here at its first use, to speak of them there; by such a name nobody is asserted here.
    """

    server = models.ForeignKey(ForeignServer, models.CASCADE, related_name="subjects")
    subject = models.CharField(max_length=SUBJECT_MAX)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    is_ours = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["server", "subject"], name="authorization_foreign_subject_once"),
            models.UniqueConstraint(fields=["server", "person"], name="authorization_one_name_at_a_server"),
        ]


class ForeignClient(models.Model):
    """Under which ``client_id`` another server knows one of our agents."""

    server = models.ForeignKey(ForeignServer, models.CASCADE, related_name="clients")
    client_id = models.CharField(max_length=SUBJECT_MAX)
    agent = models.ForeignKey("identifier.Agent", models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["server", "client_id"], name="authorization_foreign_client_once"),
            models.UniqueConstraint(fields=["server", "agent"], name="authorization_one_client_at_a_server"),
        ]
