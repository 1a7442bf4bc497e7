"""What a person agreed to at the authorization endpoint, and the refresh tokens that go on from there."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.db import models
from oauth2_provider.models import AbstractGrant, AbstractRefreshToken

from aims.kit.ids import new_ref, new_secret


class AuthorizationCode(AbstractGrant):
    """A code, what the person agreed to, and so the head of the family of tokens that came from it.

    ``Grant`` means delegation grant in this house. ``code`` is the toolkit's column: it holds a public reference that
    buys nothing; the code itself is stored as ``code_hash`` alone. The row outlives the code, so that a second use of
    it finds what the first one made, and ends that.
    scope: as agreed, with ``openid`` and ``offline_access``. request: whose signed yes stands behind it, once.
    jkt: of the key that alone redeems it, and later refreshes; empty where the client is not held to one. x5t_s256: of the
    certificate that alone refreshes what a public client got with it (RFC 8705 §4).
    """

    code = models.CharField(max_length=255, unique=True, default=partial(new_ref, "cod"), editable=False)
    code_hash = models.CharField(max_length=64, unique=True, null=True)
    agent = models.ForeignKey("identifier.Agent", models.PROTECT, null=True, related_name="authorization_codes")
    grant = models.ForeignKey("DelegationGrant", models.PROTECT, null=True, related_name="authorization_codes")
    request = models.ForeignKey("ApprovalRequest", models.PROTECT, null=True, related_name="authorization_codes")
    authorization_details = models.JSONField(null=True)
    txn = models.CharField(max_length=40, blank=True, default="", db_default="", db_index=True)
    auth_time = models.DateTimeField(null=True, help_text="when the person signed in with a passkey")
    acr = models.CharField(max_length=16, blank=True, default="", db_default="")
    amr = models.JSONField(default=list)
    jkt = models.CharField(max_length=43, blank=True, default="", db_default="", help_text="RFC 9449 §10")
    x5t_s256 = models.CharField(max_length=43, blank=True, default="", db_default="", help_text="RFC 8705 §7.1")
    consumed_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True, help_text="since when nothing that came from it counts")

    class Meta(AbstractGrant.Meta):
        pass

    @property
    def ref(self) -> str:
        """Its public name, in the log and on pages."""
        return str(self.code)

    @property
    def signed_in(self) -> dict[str, Any]:
        """The person's sign-in at the authorization endpoint: acr, amr and auth_time, as tokens carry them."""
        assert self.auth_time is not None
        return {"acr": self.acr, "amr": list(self.amr), "auth_time": int(self.auth_time.timestamp())}

    def is_expired(self) -> bool:
        """Return that it has: the toolkit asks here, and redeems none of ours."""
        return True


class RefreshToken(AbstractRefreshToken):
    """A refresh token as its hash: good for one use, by which it is replaced. Spec: RFC 9700 §4.14.2.

    The row of a used one stays, so that a second use is known for what it is. expires_at: where nobody uses it.
    """

    code = models.ForeignKey(
        settings.OAUTH2_PROVIDER_GRANT_MODEL, models.PROTECT, null=True, related_name="refresh_tokens"
    )
    used_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta(AbstractRefreshToken.Meta):
        constraints = [
            # The toolkit's own is not one while ``revoked`` is null.
            models.UniqueConstraint(fields=["token_checksum"], name="authorization_refresh_token_once")
        ]


class PairwiseSubject(models.Model):
    """By which name one client knows one person: random, so that two clients can't tell that they know the same one.

    Spec: OpenID Connect Core 1.0 §8.1, the third of its methods.
    """

    person = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    agent = models.ForeignKey("identifier.Agent", models.CASCADE, related_name="+")
    sub = models.CharField(max_length=43, unique=True, default=new_secret, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "agent"], name="authorization_one_sub_for_each_client")
        ]
