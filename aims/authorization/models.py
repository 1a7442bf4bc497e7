"""What OAuth needs stored: grants, approval requests, tokens; and the toolkit's six models, all swapped."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from oauth2_provider.models import (
    AbstractAccessToken,
    AbstractApplication,
    AbstractDeviceGrant,
    AbstractIDToken,
)

from aims.authorization.authorize_models import Consent as Consent
from aims.authorization.authorize_models import PushedRequest as PushedRequest
from aims.authorization.client_models import CLIENT_ID_MAX as CLIENT_ID_MAX
from aims.authorization.client_models import ClientRegistration as ClientRegistration
from aims.authorization.client_models import TrustRule as TrustRule
from aims.authorization.code_models import AuthorizationCode as AuthorizationCode
from aims.authorization.code_models import PairwiseSubject as PairwiseSubject
from aims.authorization.code_models import RefreshToken as RefreshToken
from aims.authorization.states import RequestState
from aims.authorization.trust_models import ForeignClient as ForeignClient
from aims.authorization.trust_models import ForeignServer as ForeignServer
from aims.authorization.trust_models import ForeignSubject as ForeignSubject
from aims.identifier.models import AgentState
from aims.kit import clock
from aims.kit.ids import new_ref

# How a client may prove who it is: each by a key of its own. The names of WIMSE's two are ours; nobody registered any.
KEY_METHODS = (
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "spiffe_jwt",
    "spiffe_x509",
    "wimse_wit_wpt",
    "wimse_http_signature",
)
PUBLIC = "none"  # a public client, once it is admitted: PKCE, and a key by DPoP
# RFC 8705 §2.1.2: what of the certificate's subject is compared, without ``tls_client_auth_``.
TLS_NAMES = ("subject_dn", "san_dns", "san_uri", "san_ip", "san_email")
DEPTH_MAX = 4  # hops that a grant may be passed on
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Application(AbstractApplication):
    """The toolkit's view of a client. For an agent it is a shadow: ``client_id`` is the agent's identifier.

    Field names follow the toolkit's next release where it will have the same.
    """

    client_id = models.CharField(max_length=CLIENT_ID_MAX, unique=True)
    agent = models.OneToOneField("identifier.Agent", models.PROTECT, null=True, blank=True, related_name="application")
    grant_types = models.JSONField(default=list)
    token_endpoint_auth_method = models.CharField(max_length=40, default="private_key_jwt")
    token_endpoint_auth_signing_alg = models.CharField(max_length=16, blank=True)
    backchannel_token_delivery_mode = models.CharField(max_length=8, default="poll")
    backchannel_client_notification_endpoint = models.URLField(max_length=2048, blank=True)
    backchannel_authentication_request_signing_alg = models.CharField(max_length=16, blank=True)
    dpop_bound_access_tokens = models.BooleanField(default=False, db_default=False)
    tls_client_auth_name = models.CharField(
        max_length=12, blank=True, default="", db_default="", help_text="which name of the certificate; RFC 8705 §2.1.2"
    )
    tls_client_auth_value = models.CharField(max_length=2048, blank=True, default="", db_default="")
    tls_client_certificate_bound_access_tokens = models.BooleanField(default=False, db_default=False)

    class Meta(AbstractApplication.Meta):
        constraints = [
            # Agents never have static secrets (draft-ietf-wimse-aims §7).
            models.CheckConstraint(
                condition=Q(agent=None) | Q(client_secret=""), name="authorization_agent_has_no_secret"
            ),
            models.CheckConstraint(
                condition=Q(agent=None) | Q(token_endpoint_auth_method__in=[*KEY_METHODS, PUBLIC]),
                name="authorization_agent_method_has_a_key",
            ),
            # RFC 8705 §2.1.2: exactly one name, and only where it is compared.
            models.CheckConstraint(
                condition=Q(tls_client_auth_name="", tls_client_auth_value="")
                & ~Q(token_endpoint_auth_method="tls_client_auth")
                | Q(token_endpoint_auth_method="tls_client_auth", tls_client_auth_name__in=TLS_NAMES)
                & ~Q(tls_client_auth_value=""),
                name="authorization_tls_client_has_one_name",
            ),
        ]

    def allows_grant_type(self, *grant_types: str) -> bool:
        """Return whether any of these grant types is registered; the toolkit's single column is not consulted."""
        return bool(set(grant_types) & set(self.grant_types))

    def is_usable(self, request: Any) -> bool:
        """Return whether the toolkit may serve this client: never an agent, whose empty secret an empty one matches."""
        return self.agent is None


class DelegationGrant(models.Model):
    """What a person or system lets an agent do at one resource. Visible, bounded, revocable.

    starts_at: None from the moment it is given. budget: of ``budget.checked``, empty without one. depth: how many hops
    its agent may pass it on. parent: what it was passed on from. expired_at, warned_at: what the sweep recorded.
    """

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "grt"), editable=False)
    from_person = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, null=True, blank=True, related_name="given_grants"
    )
    agent = models.ForeignKey("identifier.Agent", models.PROTECT, related_name="grants")
    resource = models.ForeignKey("identifier.Resource", models.PROTECT, related_name="grants")
    actions = models.JSONField(default=list)
    detail_types = models.JSONField(default=list)
    mission = models.CharField(max_length=400, blank=True)
    given_by = models.CharField(max_length=120)
    given_at = models.DateTimeField()
    until_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=120, blank=True)
    starts_at = models.DateTimeField(null=True, blank=True)
    budget = models.JSONField(default=dict, blank=True)
    depth = models.PositiveSmallIntegerField(default=0)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    approval = models.ForeignKey("ApprovalRequest", models.PROTECT, null=True, blank=True, related_name="grants_made")
    narrowed_at = models.DateTimeField(null=True, blank=True)
    warned_at = models.DateTimeField(null=True, blank=True)
    expired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            # Delegation goes four hops deep at most.
            models.CheckConstraint(condition=Q(depth__lte=DEPTH_MAX), name="authorization_grant_depth"),
        ]
        indexes = [
            models.Index(
                fields=["until_at"], condition=Q(revoked_at=None, expired_at=None), name="authorization_grant_due"
            ),
        ]

    @property
    def version(self) -> int:
        """The moment of its last change, in microseconds: what a form or a caller that read it may insist on."""
        moments = (self.given_at, self.narrowed_at, self.revoked_at, self.expired_at)
        last = max(moment for moment in moments if moment is not None)
        return (last - EPOCH) // timedelta(microseconds=1)


class GrantMeter(models.Model):
    """How much of one limit of a grant is used. Only ``services.metering`` moves it, by conditional update.

    unit: of ``budget.Limit``. window_at: when the hour or day began that ``used`` counts; the epoch for a limit for good.
    """

    grant = models.ForeignKey(DelegationGrant, models.CASCADE, related_name="meters")
    unit = models.CharField(max_length=8)
    most = models.BigIntegerField()
    used = models.BigIntegerField(default=0)
    window_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["grant", "unit"], name="authorization_one_meter_a_unit"),
            models.CheckConstraint(condition=Q(used__gte=0), name="authorization_meter_not_negative"),
        ]


class GrantUse(models.Model):
    """A token that was issued on a grant. amounts: its money in smallest units, by currency."""

    grant = models.ForeignKey(DelegationGrant, models.CASCADE, related_name="uses")
    jti = models.CharField(max_length=40, db_index=True)
    at = models.DateTimeField()
    amounts = models.JSONField(default=dict)


class ApprovalRequest(models.Model):
    """What waits for a decision, whatever door it came in by. Its state moves only in ``services.move``.

    statement: the exact bytes R of what is asked (docs/formats.md); never re-serialised.
    eligible: refs of the people who may decide, as of ``opened_at``.
    """

    ref = models.CharField(max_length=40, unique=True, editable=False)
    txn = models.CharField(max_length=40, db_index=True)
    door = models.CharField(max_length=24)
    state = models.CharField(max_length=16, default=RequestState.PENDING)
    agent = models.ForeignKey("identifier.Agent", models.PROTECT, related_name="approval_requests")
    subject = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="+")
    eligible = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="may_decide")
    resource = models.CharField(max_length=2048)
    scope = models.CharField(max_length=1000)
    headline = models.CharField(max_length=300)
    reversibility = models.CharField(max_length=24)
    statement = models.BinaryField()
    request_hash = models.CharField(max_length=60, db_index=True)
    facts = models.JSONField(help_text="the policy facts as evaluated; evaluated again at decision and redemption")
    policy_version = models.PositiveIntegerField()
    required = models.PositiveSmallIntegerField(default=1)
    use_within_s = models.PositiveIntegerField()
    opened_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    decided_at = models.DateTimeField(null=True)
    approved_until_at = models.DateTimeField(null=True)
    receipt_ref = models.CharField(max_length=40, blank=True)
    receipt_hash = models.CharField(max_length=60, blank=True)
    decided_by = models.JSONField(default=list, help_text="refs of the people who decided")
    subject_signed = models.JSONField(null=True, help_text="acr, amr, auth_time if the subject signed; else null")
    redeemed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=[state.value for state in RequestState]), name="authorization_request_state_known"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["approved", "redeemed"]) | ~Q(receipt_hash=""),
                name="authorization_no_yes_without_receipt",
            ),
        ]
        indexes = [
            models.Index(fields=["state", "expires_at"], name="authorization_due"),
            models.Index(fields=["agent", "-opened_at"], name="authorization_by_agent"),
        ]

    @property
    def polls(self) -> int:
        """How often the agent asked in vain, by the count of its door: it goes into the closing entry."""
        return BackchannelRequest.objects.filter(request=self).values_list("polls", flat=True).first() or 0


class BackchannelRequest(models.Model):
    """The CIBA door of an approval request (CIBA Core 1.0 §7).

    The id and the notification token are kept sealed until delivery, then deleted; lookups use the hash.
    """

    request = models.OneToOneField(ApprovalRequest, models.CASCADE, related_name="backchannel")
    auth_req_id_hash = models.CharField(max_length=64, unique=True)
    mode = models.CharField(max_length=8)
    interval_s = models.PositiveIntegerField(default=5)
    last_poll_at = models.DateTimeField(null=True)
    polls = models.PositiveIntegerField(default=0, help_text="answered in vain: pending or too early")
    signed_request = models.BinaryField(null=True, help_text="the request JWT exactly as received: evidence")
    sealed_delivery = models.BinaryField(null=True, help_text="auth_req_id and client_notification_token, sealed")
    ping_due_at = models.DateTimeField(null=True, db_index=True)
    ping_attempts = models.PositiveSmallIntegerField(default=0)
    ping_outcome = models.CharField(max_length=40, blank=True)
    jkt = models.CharField(
        max_length=43,
        blank=True,
        default="",
        db_default="",
        help_text="thumbprint of the key that asked; only it redeems",
    )


class TokenKind(models.TextChoices):
    """What an issued token is on the wire: it is good for that and for nothing else."""

    ACCESS = "access"
    TXN = "txn"  # draft-ietf-oauth-transaction-tokens
    JWT_GRANT = "jwt-grant"  # draft-ietf-oauth-identity-chaining
    ID_JAG = "id-jag"  # draft-ietf-oauth-identity-assertion-authz-grant


class _AccessTokens(models.Manager["AccessToken"]):
    """Access tokens alone: who looks one up never finds a token of another kind that hangs in the same tree."""

    def get_queryset(self) -> models.QuerySet[AccessToken]:
        return super().get_queryset().filter(kind=TokenKind.ACCESS)


class AccessToken(AbstractAccessToken):
    """An issued token: its hash and what it carries, never the token.

    Tokens of other kinds have their rows here too, so that a tree is one table and ends as one; only
    ``of_every_kind`` finds them.
    """

    objects = _AccessTokens()
    of_every_kind = models.Manager["AccessToken"]()

    kind = models.CharField(
        max_length=12, choices=TokenKind, default=TokenKind.ACCESS, db_default=TokenKind.ACCESS.value
    )
    jti = models.CharField(max_length=40, unique=True, null=True)
    agent = models.ForeignKey("identifier.Agent", models.PROTECT, null=True, related_name="access_tokens")
    subject_ref = models.CharField(max_length=2048, blank=True)
    txn = models.CharField(max_length=40, blank=True, db_index=True)
    jkt = models.CharField(
        max_length=43, blank=True, default="", db_default="", help_text="thumbprint of its key; RFC 9449 §6.1"
    )
    x5t_s256 = models.CharField(
        max_length=43, blank=True, default="", db_default="", help_text="thumbprint of its certificate; RFC 8705 §3.1"
    )
    audience = models.CharField(max_length=2048, blank=True)
    authorization_details = models.JSONField(null=True)
    request = models.ForeignKey(ApprovalRequest, models.PROTECT, null=True, related_name="tokens", db_index=False)
    code = models.ForeignKey(
        settings.OAUTH2_PROVIDER_GRANT_MODEL,
        models.PROTECT,
        null=True,
        related_name="tokens",
        db_index=False,
        help_text="its family",
    )
    issued_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, related_name="children", db_index=False, help_text="RFC 8693: subject"
    )
    root_ref = models.CharField(max_length=40, blank=True, default="", db_default="", db_index=True)
    depth = models.PositiveSmallIntegerField(default=0, db_default=0)
    act = models.JSONField(null=True, help_text="who acts, and who did before; RFC 8693 §4.1")
    may_act = models.JSONField(null=True, help_text="who alone may exchange it; RFC 8693 §4.4")
    foreign = models.ForeignKey(
        "ForeignServer",
        models.PROTECT,
        null=True,
        related_name="tokens",
        db_index=False,
        help_text="whose word it was issued on",
    )

    class Meta(AbstractAccessToken.Meta):
        # Most tokens come from none of these, and each token is one insert into each index that it stands in.
        indexes = [
            models.Index(name=f"authorization_token_{name}", fields=[name], condition=Q(**{f"{name}__isnull": False}))
            for name in ("request", "code", "parent", "foreign")
        ]

    def is_expired(self) -> bool:
        """Return whether it counts no more; the toolkit, which asks here, knows neither the mark nor the agent."""
        return not all(token.is_sound for token in self.chain())

    @property
    def is_sound(self) -> bool:
        """Whether this one counts, its ancestors aside."""
        is_held = self.agent is None or self.agent.state == AgentState.ACTIVE
        is_let_in = self.code is None or self.code.user.is_active
        return self.revoked_at is None and is_held and is_let_in and self.expires > clock.now()

    def chain(self) -> list[AccessToken]:
        """Return this token and all that it was exchanged for, back to the first. Each must count for this one to."""
        chain, token = [self], self
        while token.parent is not None:
            token = token.parent
            chain.append(token)
        return chain

    def revoke(self) -> None:
        """Mark it; the toolkit would delete the row, and nobody could look up what it stood for."""
        AccessToken.of_every_kind.filter(pk=self.pk, revoked_at=None).update(revoked_at=clock.now())


class IDToken(AbstractIDToken):
    """Swapped so that a later release can add columns."""

    class Meta(AbstractIDToken.Meta):
        pass


class DeviceCode(AbstractDeviceGrant):
    """The toolkit's device code. Its door is closed: no URL serves it."""

    class Meta(AbstractDeviceGrant.Meta):
        constraints = [
            models.UniqueConstraint(fields=["device_code"], name="authorization_devicecode_unique_device_code")
        ]
