"""Clients that registered themselves, and trust rules, in the management API: the same verbs as the pages."""

from __future__ import annotations

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from aims.authorization.client_models import ClientRegistration, TrustRule
from aims.authorization.registration_states import RegistrationState
from aims.authorization.services import admission, trust_rules
from aims.console.api.base import ApiViewSet, checked
from aims.console.api.filters import FlagFilter
from aims.console.api.serializers import ReasonSerializer, ref_of
from aims.identifier.models import Agent
from aims.kit.strict import StrictSerializer
from aims.people.models import Group, User

STATES = [(state.value, state.value) for state in RegistrationState]


class RegistrationSerializer(serializers.ModelSerializer[ClientRegistration]):
    """A registration as the API shows it. Its metadata is what the client says of itself."""

    agent = serializers.SlugRelatedField[Agent](slug_field="ref", read_only=True, allow_null=True)
    rule = serializers.SlugRelatedField[TrustRule](slug_field="ref", read_only=True, allow_null=True)
    metadata = serializers.DictField()

    class Meta:
        model = ClientRegistration
        fields = (
            "ref", "kind", "client_id", "state", "state_reason", "state_since_at", "registered_at", "metadata", "agent",
            "rule",
        )  # fmt: skip


class AdmitSerializer(StrictSerializer):
    """Who answers for a client, and what it is called here. A client that was an agent keeps what it has."""

    name = serializers.CharField(max_length=80)
    purpose = serializers.CharField(max_length=400)
    contact = serializers.CharField(max_length=254)
    owner = ref_of(User.objects.filter(is_active=True))
    groups = ref_of(Group.objects.all(), field="slug", many=True, required=False)


class TrustRuleSerializer(serializers.ModelSerializer[TrustRule]):
    """A trust rule as the API shows it."""

    owner = serializers.SlugRelatedField[User](slug_field="ref", read_only=True)

    class Meta:
        model = TrustRule
        fields = ("ref", "kind", "value", "owner", "added_at", "ended_at")


class NewTrustRuleSerializer(StrictSerializer):
    """A new trust rule."""

    kind = serializers.ChoiceField(choices=TrustRule.Kind.choices)
    value = serializers.CharField(max_length=255)
    owner = ref_of(User.objects.filter(is_active=True))


class RegistrationFilter(django_filters.FilterSet):
    """What to look for among the registrations."""

    client_id = django_filters.CharFilter()
    state = django_filters.ChoiceFilter(choices=STATES)
    kind = django_filters.ChoiceFilter(choices=ClientRegistration.Kind.choices)

    class Meta:
        model = ClientRegistration
        fields = ("client_id", "state", "kind")


class TrustRuleFilter(django_filters.FilterSet):
    """What to look for among the trust rules."""

    kind = django_filters.ChoiceFilter(choices=TrustRule.Kind.choices)
    is_ended = FlagFilter(field_name="ended_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = TrustRule
        fields = ("kind", "is_ended")


class RegistrationViewSet(ApiViewSet):
    """Clients that registered themselves. None may do anything until it is admitted."""

    manage_scope = "manage.agents"
    queryset = ClientRegistration.objects.select_related("agent", "rule")
    serializer_class = RegistrationSerializer
    filterset_class = RegistrationFilter

    @extend_schema(request=AdmitSerializer, responses=RegistrationSerializer)
    @action(detail=True, methods=["post"])
    def admit(self, request: Request, ref: str) -> Response:
        """Make an agent of a client that waits, with its client_id as identifier; or let a changed one go on."""
        given: dict[str, Any] = checked(AdmitSerializer(data=request.data))
        command = admission.AdmitClient(
            owner=given["owner"],
            name=given["name"],
            purpose=given["purpose"],
            contact=given["contact"],
            related_groups=tuple(given.get("groups", ())),
        )
        admission.admit(self.get_object(), command, by=self.by, now=self.now)
        return self.shown(self.get_object())

    @extend_schema(request=ReasonSerializer, responses=RegistrationSerializer)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, ref: str) -> Response:
        """Don't let a client in; it may still be admitted later."""
        reason = checked(ReasonSerializer(data=request.data))["reason"]
        admission.refuse(self.get_object(), reason=reason, by=self.by, now=self.now)
        return self.shown(self.get_object())


class TrustRuleViewSet(ApiViewSet):
    """Trust rules: who is admitted without a person looking."""

    manage_scope = "manage.agents"
    queryset = TrustRule.objects.select_related("owner")
    serializer_class = TrustRuleSerializer
    filterset_class = TrustRuleFilter

    @extend_schema(request=NewTrustRuleSerializer, responses={201: TrustRuleSerializer})
    def create(self, request: Request) -> Response:
        """Admit who fits from now on."""
        given = checked(NewTrustRuleSerializer(data=request.data))
        made = trust_rules.add_rule(given["kind"], given["value"], owner=given["owner"], by=self.by, now=self.now)
        return self.shown(made, status=201)

    @extend_schema(request=None, responses=TrustRuleSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, ref: str) -> Response:
        """Admit nobody by a rule any more; who came in by it stays."""
        trust_rules.end_rule(self.get_object(), by=self.by, now=self.now)
        return self.shown(self.get_object())
