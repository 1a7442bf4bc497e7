"""What is asked of a person through their browser, until they answer; and what they agreed to before."""

from __future__ import annotations

from functools import partial

from django.conf import settings
from django.db import models

from aims.kit.ids import new_ref


class PushedRequest(models.Model):
    """An authorization request that waits for its person (RFC 9126 §2.2). Answered by delete: used once.

    reference_hash: of what follows ``urn:ietf:params:oauth:request_uri:``. parameters: of ``authorize.parameters_of``,
    read again at each step. jkt: of the key that alone redeems the code, or empty. is_pushed: the client
    authenticated; else a person brought it in their browser. seen_at: when somebody signed in first saw it.
    person, session_hash, terms, approval: set together, when what they agreed to waits for a signed decision; terms: of
    ``Terms``. Only that browser goes on from there.
    """

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "par"), editable=False)
    reference_hash = models.CharField(max_length=64, unique=True)
    agent = models.ForeignKey("identifier.Agent", models.CASCADE, related_name="pushed_requests")
    parameters = models.JSONField()
    jkt = models.CharField(max_length=43, blank=True, default="", db_default="")
    is_pushed = models.BooleanField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    seen_at = models.DateTimeField(null=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    session_hash = models.CharField(max_length=64, blank=True, default="", db_default="")
    terms = models.JSONField(null=True)
    approval = models.OneToOneField("ApprovalRequest", models.CASCADE, null=True, related_name="pushed")


class Consent(models.Model):
    """What a person read when they agreed to a grant, so that they need not read the same again while it is in force.

    scope: words, those of OpenID Connect too. details: as agreed.
    """

    grant = models.OneToOneField("DelegationGrant", models.CASCADE, related_name="consent")
    scope = models.CharField(max_length=1000)
    details = models.JSONField(default=list)
