"""Keys: those that agents and resource servers registered, and our own signing keys."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class RegisteredKey(models.Model):
    """A public key bound to an agent or a resource server. ``holder_ref``: ``agt_…`` or ``res_…``."""

    holder_ref = models.CharField(max_length=40, db_index=True)
    kid = models.CharField(max_length=255)
    thumbprint = models.CharField(max_length=43, help_text="RFC 7638, SHA-256, base64url")
    algorithm = models.CharField(max_length=16)
    jwk = models.JSONField()
    registered_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["holder_ref", "kid"], condition=Q(ended_at=None), name="credentials_kid_once"
            ),
            # One key, one holder: the same key registered for two agents would make them one.
            models.UniqueConstraint(
                fields=["thumbprint"], condition=Q(ended_at=None), name="credentials_key_has_one_holder"
            ),
        ]


class KeySource(models.Model):
    """Where a holder publishes its keys (``jwks_uri``), and the copy we fetched last."""

    holder_ref = models.CharField(max_length=40, unique=True)
    jwks_uri = models.URLField(max_length=2048)
    jwks = models.JSONField(null=True)
    fetched_at = models.DateTimeField(null=True)
    refused_at = models.DateTimeField(null=True, help_text="last failure; limits how often an unknown kid may refetch")


class TrustBundle(models.Model):
    """The bundle of one trust domain, and where it is fetched from if it is: configured, never derived.

    document: as it was given, null before the first fetch. sequence: of the document; never goes back.
    due_at: when to fetch next. failure: why the last fetch was no good, else empty.
    """

    trust_domain = models.OneToOneField("identifier.TrustDomain", models.PROTECT, related_name="bundle")
    endpoint_url = models.URLField(max_length=2048, blank=True)
    document = models.JSONField(null=True)
    sequence = models.BigIntegerField(null=True)
    changed_at = models.DateTimeField(null=True)
    fetched_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True, db_index=True)
    failure = models.CharField(max_length=40, blank=True)


class KeyPurpose(models.TextChoices):
    """One key per purpose. The checkpoint key is not here: ``audit`` alone holds it, from a file."""

    ACCESS_TOKEN = "access-token"
    ID_TOKEN = "id-token"
    RECEIPT = "receipt"
    INTROSPECTION = "introspection"
    TXN_TOKEN = "txn-token"
    JWT_GRANT = "jwt-grant"
    ID_JAG = "id-jag"


class SigningKey(models.Model):
    """One of our signing keys, its private part wrapped under the first ``AIMS_KEK``.

    Life: published (one cache lifetime before it signs), signing, ending (until no process can hold it as its cached
    signer), retired (its private part destroyed, still published until everything it signed has expired), then gone;
    receipt keys stay published for ever. ``signs_until_at``: when its turn ends; while ending, when it is retired.
    """

    class State(models.TextChoices):
        PUBLISHED = "published"
        SIGNING = "signing"
        ENDING = "ending"
        RETIRED = "retired"

    kid = models.CharField(max_length=43, unique=True, help_text="RFC 7638 thumbprint")
    purpose = models.CharField(max_length=24, choices=KeyPurpose)
    algorithm = models.CharField(max_length=16, default="ES256")
    public_jwk = models.JSONField()
    wrapped_private = models.BinaryField(null=True, help_text="AES-256-GCM; destroyed at retirement")
    state = models.CharField(max_length=16, choices=State, default=State.PUBLISHED)
    created_at = models.DateTimeField()
    signs_from_at = models.DateTimeField()
    signs_until_at = models.DateTimeField()
    published_until_at = models.DateTimeField(null=True, help_text="null: for ever")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["purpose"], condition=Q(state="signing"), name="credentials_one_signing_key_a_purpose"
            )
        ]
