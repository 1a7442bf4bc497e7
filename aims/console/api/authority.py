"""Policies and approval requests in the management API. Nothing here decides a request."""

from __future__ import annotations

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from aims.authorization.models import ApprovalRequest
from aims.authorization.queries import requests_visible_to
from aims.authorization.states import RequestState
from aims.console.api.base import ApiViewSet, checked
from aims.console.api.serializers import (
    NewPolicySerializer,
    PolicySerializer,
    RequestSerializer,
)
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

    def get_queryset(self) -> QuerySet[ApprovalRequest]:
        """Return the requests that whoever the caller acts for may see."""
        requests = super().get_queryset()
        return requests_visible_to(self.reader, requests) if self.reader else requests
