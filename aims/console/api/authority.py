"""Policies, grants and approval requests in the management API. Nothing here decides a request."""

from __future__ import annotations

from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from aims.authorization.models import ApprovalRequest, DelegationGrant
from aims.authorization.services.grants import GiveGrant, give_grant, revoke_grant
from aims.authorization.states import RequestState
from aims.console.api.base import ApiViewSet, checked
from aims.console.api.filters import FlagFilter
from aims.console.api.serializers import (
    GrantSerializer,
    NewGrantSerializer,
    NewPolicySerializer,
    PolicySerializer,
    RequestSerializer,
)
from aims.console.errors import ManagedByPeople
from aims.console.management import audience
from aims.policy.models import PolicyVersion
from aims.policy.services import load_policy


class PolicyViewSet(ApiViewSet):
    """Versions of the policy, newest first."""

    manage_scope = "manage.policies"
    queryset = PolicyVersion.objects.all()
    serializer_class = PolicySerializer
    lookup_field = "number"
    lookup_value_regex = "[0-9]{1,9}"
    is_newest_first = True

    @extend_schema(request=NewPolicySerializer, responses={200: PolicySerializer})
    def create(self, request: Request) -> Response:
        """Put a policy text in force; a text that was loaded before comes back under its old number."""
        given = checked(NewPolicySerializer(data=request.data))
        return self.shown(load_policy(given["text"], name=given["name"], by=self.by, now=self.now))


class GrantFilter(django_filters.FilterSet):
    """What to look for among the grants."""

    agent = django_filters.CharFilter(field_name="agent__ref")
    resource = django_filters.CharFilter(field_name="resource__ref")
    from_person = django_filters.CharFilter(field_name="from_person__ref")
    is_revoked = FlagFilter(field_name="revoked_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = DelegationGrant
        fields = ("agent", "resource", "from_person", "is_revoked")


class GrantViewSet(ApiViewSet):
    """Grants: what agents may do, from whom, until when."""

    manage_scope = "manage.grants"
    queryset = DelegationGrant.objects.select_related("agent", "agent__owner", "resource", "from_person")
    serializer_class = GrantSerializer
    filterset_class = GrantFilter

    @extend_schema(request=NewGrantSerializer, responses={201: GrantSerializer})
    def create(self, request: Request) -> Response:
        """Give a grant of the organisation. Rights at this API itself are given by people only."""
        given = checked(NewGrantSerializer(data=request.data))
        if given["resource"].identifier == audience():
            raise ManagedByPeople(detail=given["agent"].ref)
        terms: dict[str, Any] = {name: tuple(given.pop(name)) for name in ("actions", "detail_types")}
        grant = give_grant(GiveGrant(from_person=None, **given, **terms), by=self.by, now=self.now)
        return self.shown(grant, status=201)

    @extend_schema(request=None, responses=GrantSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, ref: str) -> Response:
        """Take a grant back, from now on."""
        revoke_grant(self.get_object(), by=self.by, now=self.now)
        return self.shown(self.get_object())


class RequestFilter(django_filters.FilterSet):
    """What to look for among the approval requests."""

    agent = django_filters.CharFilter(field_name="agent__ref")
    subject = django_filters.CharFilter(field_name="subject__ref")
    state = django_filters.ChoiceFilter(choices=[(state.value, state.value) for state in RequestState])
    txn = django_filters.CharFilter()

    class Meta:
        model = ApprovalRequest
        fields = ("agent", "subject", "state", "txn")


class RequestViewSet(ApiViewSet):
    """Approval requests, to be read only: a decision takes a person and a passkey."""

    read_scope = "read.requests"
    queryset = ApprovalRequest.objects.select_related("agent", "subject")
    serializer_class = RequestSerializer
    filterset_class = RequestFilter
    is_newest_first = True
