"""The JSON of the management API. Names of client members follow RFC 7591 §2 and CIBA Core 1.0 §4."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aims.authorization.models import KEY_METHODS, Application, ApprovalRequest
from aims.authorization.redirects import REDIRECT_URI_MAX
from aims.authorization.services.clients import DELIVERY_MODES, REDIRECT_URIS_MAX, TLS_VALUE_MAX
from aims.credentials.models import TrustBundle
from aims.identifier.models import Agent, Resource, ResourceAction, Reversibility, TrustDomain
from aims.kit.strict import StrictSerializer
from aims.people.models import Group, User
from aims.policy.engine import POLICY_MAX_BYTES
from aims.policy.models import PolicyVersion

_CLIENT = {
    "backchannel_token_delivery_mode": "delivery_mode",
    "backchannel_client_notification_endpoint": "notification_endpoint",
    "backchannel_authentication_request_signing_alg": "request_signing_alg",
    "dpop_bound_access_tokens": "dpop_bound",
    "redirect_uris": "redirect_uris",
    "token_endpoint_auth_method": "auth_method",
    "tls_client_certificate_bound_access_tokens": "tls_bound",
}


class Ref(serializers.SlugRelatedField[Any]):
    """Another row, by its public name. Who is not there is refused at the member that names them."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the row. Raises ValidationError."""
        if not isinstance(data, str) or "\0" in data:
            self.fail("invalid")
        return super().to_internal_value(data)


def ref_of(queryset: Any, *, field: str = "ref", **more: Any) -> Ref:
    """Return a field that names a row by its reference."""
    return Ref(slug_field=field, queryset=queryset, **more)


@extend_schema_field({"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array", "items": {}}}})
class JwksField(serializers.JSONField):
    """A JWK Set (RFC 7517 §5); the credentials room says what is wrong with it."""


class AgentSerializer(serializers.ModelSerializer[Agent]):
    """An agent as the API shows it."""

    owner = serializers.SlugRelatedField[User](slug_field="ref", read_only=True)
    trust_domain = serializers.SlugRelatedField[TrustDomain](slug_field="name", read_only=True)
    groups = serializers.SlugRelatedField[Group](slug_field="slug", source="related_groups", many=True, read_only=True)
    backchannel_token_delivery_mode = serializers.SerializerMethodField()
    backchannel_client_notification_endpoint = serializers.SerializerMethodField()
    backchannel_authentication_request_signing_alg = serializers.SerializerMethodField()
    dpop_bound_access_tokens = serializers.SerializerMethodField()
    redirect_uris = serializers.SerializerMethodField()
    token_endpoint_auth_method = serializers.SerializerMethodField()
    tls_client_auth_name = serializers.SerializerMethodField()
    tls_client_auth_value = serializers.SerializerMethodField()
    tls_client_certificate_bound_access_tokens = serializers.SerializerMethodField()

    class Meta:
        model = Agent
        fields = (
            "ref", "identifier", "trust_domain", "name", "purpose", "contact", "owner", "groups", "state",
            "state_reason", "state_since_at", "registered_at", "version", *_CLIENT,
            "tls_client_auth_name", "tls_client_auth_value",
        )  # fmt: skip

    def get_backchannel_token_delivery_mode(self, agent: Agent) -> str:
        """Return poll or ping."""
        return self._client(agent).backchannel_token_delivery_mode

    def get_backchannel_client_notification_endpoint(self, agent: Agent) -> str:
        """Return the address that is pinged; empty for poll."""
        return self._client(agent).backchannel_client_notification_endpoint

    def get_backchannel_authentication_request_signing_alg(self, agent: Agent) -> str:
        """Return the algorithm of signed requests; empty where none is demanded."""
        return self._client(agent).backchannel_authentication_request_signing_alg

    def get_dpop_bound_access_tokens(self, agent: Agent) -> bool:
        """Return whether it must prove a key with every request for a token."""
        return self._client(agent).dpop_bound_access_tokens

    def get_redirect_uris(self, agent: Agent) -> list[str]:
        """Return where a person's browser may bring it authorization codes; empty where it uses none."""
        return self._client(agent).redirect_uris.split()

    def get_token_endpoint_auth_method(self, agent: Agent) -> str:
        """Return the one way in which it proves who it is."""
        return self._client(agent).token_endpoint_auth_method

    def get_tls_client_auth_name(self, agent: Agent) -> str:
        """Return which name its certificate bears, such as san_dns; empty but for tls_client_auth."""
        return self._client(agent).tls_client_auth_name

    def get_tls_client_auth_value(self, agent: Agent) -> str:
        """Return that name."""
        return self._client(agent).tls_client_auth_value

    def get_tls_client_certificate_bound_access_tokens(self, agent: Agent) -> bool:
        """Return whether it must show a certificate with every request for a token."""
        return self._client(agent).tls_client_certificate_bound_access_tokens

    def _client(self, agent: Agent) -> Application:
        client: Application | None = getattr(agent, "application", None)
        return client or Application()


class ChangedAgentSerializer(StrictSerializer):
    """What may change about an agent; what is left out stays."""

    name = serializers.CharField(max_length=80, required=False)
    purpose = serializers.CharField(max_length=400, required=False)
    contact = serializers.CharField(max_length=254, required=False)
    owner = ref_of(User.objects.filter(is_active=True), required=False)
    groups = ref_of(Group.objects.all(), field="slug", many=True, required=False)
    backchannel_token_delivery_mode = serializers.ChoiceField(choices=DELIVERY_MODES, required=False)
    backchannel_client_notification_endpoint = serializers.CharField(max_length=2048, required=False, allow_blank=True)
    backchannel_authentication_request_signing_alg = serializers.CharField(
        max_length=16, required=False, allow_blank=True
    )
    dpop_bound_access_tokens = serializers.BooleanField(required=False)
    redirect_uris = serializers.ListField(
        child=serializers.CharField(max_length=REDIRECT_URI_MAX), max_length=REDIRECT_URIS_MAX, required=False
    )
    token_endpoint_auth_method = serializers.ChoiceField(choices=KEY_METHODS, required=False)
    tls_client_auth_subject_dn = serializers.CharField(max_length=TLS_VALUE_MAX, required=False, allow_blank=True)
    tls_client_auth_san_dns = serializers.CharField(max_length=TLS_VALUE_MAX, required=False, allow_blank=True)
    tls_client_auth_san_uri = serializers.CharField(max_length=TLS_VALUE_MAX, required=False, allow_blank=True)
    tls_client_auth_san_ip = serializers.CharField(max_length=TLS_VALUE_MAX, required=False, allow_blank=True)
    tls_client_auth_san_email = serializers.CharField(max_length=TLS_VALUE_MAX, required=False, allow_blank=True)
    tls_client_certificate_bound_access_tokens = serializers.BooleanField(required=False)


class KeysSerializer(StrictSerializer):
    """The keys of an agent or resource server: a JWK Set, or where it publishes one; not both."""

    jwks = JwksField(required=False)
    jwks_uri = serializers.CharField(max_length=2048, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Raises ValidationError where both are given."""
        if attrs.get("jwks") is not None and attrs.get("jwks_uri"):
            raise serializers.ValidationError("Give jwks or jwks_uri, not both.")
        return attrs


class NewAgentSerializer(ChangedAgentSerializer, KeysSerializer):
    """What it takes to register an agent."""

    identifier = serializers.CharField(max_length=2048)
    name = serializers.CharField(max_length=80)
    purpose = serializers.CharField(max_length=400)
    contact = serializers.CharField(max_length=254)
    owner = ref_of(User.objects.filter(is_active=True))


class HeldKeysSerializer(serializers.Serializer[Any]):
    """The keys that count now. jwks: the registered ones and our copy of the published ones."""

    jwks = JwksField()
    jwks_uri = serializers.CharField(allow_null=True)


class ReasonSerializer(StrictSerializer):
    """Why; it is shown to everybody who may see the agent."""

    reason = serializers.CharField(max_length=400)


class ActionSerializer(serializers.ModelSerializer[ResourceAction]):
    """Something that can be done at a resource."""

    class Meta:
        model = ResourceAction
        fields = ("name", "title", "detail_type", "reversibility")


class NewActionSerializer(StrictSerializer):
    """An action to register."""

    name = serializers.RegexField(r"^[A-Za-z0-9._:/-]{1,80}$")
    title = serializers.CharField(max_length=120)
    reversibility = serializers.ChoiceField(choices=Reversibility.choices)
    detail_type = serializers.CharField(max_length=120, required=False, allow_blank=True, default="")


class ResourceSerializer(serializers.ModelSerializer[Resource]):
    """A resource as the API shows it."""

    actions = ActionSerializer(many=True, read_only=True)
    operator = serializers.SlugRelatedField[Agent](slug_field="ref", read_only=True, allow_null=True)

    class Meta:
        model = Resource
        fields = (
            "ref", "identifier", "name", "kind", "description", "operator", "registered_at", "retired_at", "actions",
        )  # fmt: skip


class ChangedResourceSerializer(StrictSerializer):
    """What may change about a resource. actions: all of them, replaced together."""

    name = serializers.CharField(max_length=80, required=False)
    kind = serializers.ChoiceField(choices=Resource.Kind.choices, required=False)
    description = serializers.CharField(max_length=400, required=False, allow_blank=True)
    operator = ref_of(Agent.objects.all(), required=False, allow_null=True)
    actions = NewActionSerializer(many=True, required=False)


class NewResourceSerializer(ChangedResourceSerializer, KeysSerializer):
    """What it takes to register a resource."""

    identifier = serializers.CharField(max_length=2048)
    name = serializers.CharField(max_length=80)


class TrustDomainSerializer(serializers.ModelSerializer[TrustDomain]):
    """A trust domain as the API shows it."""

    class Meta:
        model = TrustDomain
        fields = ("name", "created_at", "retired_at")


class NewTrustDomainSerializer(StrictSerializer):
    """A trust domain to accept identifiers of."""

    name = serializers.CharField(max_length=255)


@extend_schema_field({"type": "object", "required": ["keys"], "properties": {"keys": {"type": "array", "items": {}}}})
class BundleField(serializers.JSONField):
    """A trust bundle (SPIFFE Trust Domain and Bundle §4); the credentials room says what is wrong with it."""


class BundleSerializer(StrictSerializer):
    """The keys of a trust domain, or where they are fetched; what is left out stays, an empty address is none."""

    bundle = BundleField(required=False)
    bundle_endpoint_url = serializers.CharField(max_length=2048, required=False, allow_blank=True)


class HeldBundleSerializer(serializers.ModelSerializer[TrustBundle]):
    """The keys that vouch for a trust domain. failure: why the last fetch was no good, else empty."""

    bundle = BundleField(source="document", read_only=True, allow_null=True)
    bundle_endpoint_url = serializers.CharField(source="endpoint_url", read_only=True)

    class Meta:
        model = TrustBundle
        fields = ("bundle", "bundle_endpoint_url", "sequence", "changed_at", "fetched_at", "failure")
        read_only_fields = ("sequence", "changed_at", "fetched_at", "failure")


class PolicySerializer(serializers.ModelSerializer[PolicyVersion]):
    """A version of the policy."""

    class Meta:
        model = PolicyVersion
        fields = ("number", "name", "hash", "loaded_by", "loaded_at", "is_active", "text")


class NewPolicySerializer(StrictSerializer):
    """A policy text to put in force."""

    name = serializers.CharField(max_length=80, required=False, default="default")
    text = serializers.CharField(max_length=POLICY_MAX_BYTES, trim_whitespace=False)


class RequestSerializer(serializers.ModelSerializer[ApprovalRequest]):
    """An approval request from outside: how it stands, and what the log and its receipt call it."""

    agent = serializers.SlugRelatedField[Agent](slug_field="ref", read_only=True)
    subject = serializers.SlugRelatedField[User](slug_field="ref", read_only=True)
    state = serializers.CharField(read_only=True)
    decided_by = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = ApprovalRequest
        fields = (
            "ref", "txn", "door", "state", "agent", "subject", "resource", "headline", "reversibility", "request_hash",
            "policy_version", "required", "opened_at", "expires_at", "decided_at", "decided_by", "approved_until_at",
            "redeemed_at", "receipt_ref", "receipt_hash",
        )  # fmt: skip


class ChallengeSerializer(serializers.Serializer[Any]):
    """One line that a resource server sends with a refusal."""

    status = serializers.IntegerField()
    challenge = serializers.CharField()


class ResourceMetadataSerializer(serializers.Serializer[Any]):
    """What a resource server serves at ``address``, and the challenges that lead there."""

    address = serializers.CharField()
    document = serializers.DictField()
    challenges = ChallengeSerializer(many=True)
