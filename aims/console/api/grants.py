"""Grants and chains in the management API: the same verbs and questions as the pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from aims.authorization import chains, standing
from aims.authorization.impact import Change, impact_of, narrowing, revoking
from aims.authorization.models import AccessToken, DelegationGrant
from aims.authorization.services.grants import (
    GiveGrant,
    NarrowGrant,
    checked_terms,
    give_grant,
    narrow_grant,
    revoke_grant,
)
from aims.authorization.services.metering import lineage_of
from aims.console.api.auth import Caller
from aims.console.api.base import ApiViewSet, checked, etag_of
from aims.console.api.filters import FlagFilter
from aims.console.api.grant_serializers import (
    ChainSerializer,
    GrantSerializer,
    ImpactSerializer,
    LineageSerializer,
    NarrowedGrantSerializer,
    NewGrantSerializer,
    PathsSerializer,
    narrowed,
)
from aims.console.errors import ManagedByPeople, QueryRefused, StateChanged
from aims.console.management import audience
from aims.console.registry.rights import hops_seen, may_end, paths_seen, scope_on, visible_to
from aims.identifier.models import Resource
from aims.kit import clock
from audit.read import EVERYTHING, scope_of

_WHO = [
    OpenApiParameter("resource", OpenApiTypes.STR, required=True, description="Reference of the resource."),
    OpenApiParameter("action", OpenApiTypes.STR, required=True, description="Name of the action."),
]


class GrantFilter(django_filters.FilterSet):
    """What to look for among the grants."""

    agent = django_filters.CharFilter(field_name="agent__ref")
    resource = django_filters.CharFilter(field_name="resource__ref")
    from_person = django_filters.CharFilter(field_name="from_person__ref")
    parent = django_filters.CharFilter(field_name="parent__ref")
    is_revoked = FlagFilter(field_name="revoked_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = DelegationGrant
        fields = ("agent", "resource", "from_person", "parent", "is_revoked")


class GrantViewSet(ApiViewSet):
    """Grants: what agents may do, from whom, how much, until when, and what ends with them."""

    manage_scope = "manage.grants"
    queryset = DelegationGrant.objects.select_related(
        "agent", "agent__owner", "resource", "from_person", "parent", "approval"
    )
    serializer_class = GrantSerializer
    filterset_class = GrantFilter
    is_versioned = True

    def get_queryset(self) -> QuerySet[DelegationGrant]:
        """Return the grants that whoever the caller acts for may see."""
        grants = super().get_queryset()
        return grants.filter(pk__in=visible_to(self.reader).values("pk")) if self.reader else grants

    @extend_schema(request=NewGrantSerializer, responses={201: GrantSerializer})
    def create(self, request: Request) -> Response:
        """Give a grant of the organisation, or pass one on. Rights at this API itself are given by people only."""
        given = checked(NewGrantSerializer(data=request.data))
        if given["resource"].identifier == audience():
            raise ManagedByPeople(detail=given["agent"].ref)
        parent = given.get("parent")
        terms: dict[str, Any] = {name: tuple(given.pop(name)) for name in ("actions", "detail_types")}
        command = GiveGrant(from_person=parent.from_person if parent else None, **given, **terms)
        return self.shown(give_grant(command, by=self.by, now=self.now), status=201)

    @extend_schema(request=None, responses=GrantSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, ref: str) -> Response:
        """Take a grant back, from now on, with all that hangs on it."""
        grant = self.get_object()
        revoke_grant(grant, by=self.by, now=self.now, seen_version=self._seen(grant))
        return self.shown(self.get_object())

    @extend_schema(request=NarrowedGrantSerializer, responses=GrantSerializer)
    @action(detail=True, methods=["post"])
    def narrow(self, request: Request, ref: str) -> Response:
        """Let a grant allow less from now on; what no longer fits ends, below it too."""
        grant = self.get_object()
        command = self._narrower(grant)
        narrow_grant(grant, command, by=self.by, now=self.now, seen_version=self._seen(grant))
        return self.shown(self.get_object())

    @extend_schema(request=None, responses=ImpactSerializer, methods=["GET"])
    @extend_schema(request=NarrowedGrantSerializer, responses=ImpactSerializer, methods=["POST"])
    @action(detail=True, methods=["get", "post"], filterset_class=None, pagination_class=None)
    def impact(self, request: Request, ref: str) -> Response:
        """Read what taking a grant back would end; POST narrower terms to read what these would. Nothing changes."""
        grant: DelegationGrant = self.get_object()
        now = self.now
        if self.reader and not may_end(self.reader, grant):
            raise PermissionDenied  # what ends may be others': it is shown to whoever may end it, as on the pages
        if request.method == "POST":
            changes = narrowing(grant, **checked_terms(grant, self._narrower(grant), now=now))
        else:
            changes = revoking(grant)
        return Response(_impact(changes, now=now), headers={"ETag": etag_of(grant)})

    @extend_schema(request=None, responses=LineageSerializer)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def chain(self, request: Request, ref: str) -> Response:
        """Read what a grant was passed on from and as, and the newest transactions in which it was used."""
        grant: DelegationGrant = self.get_object()
        root = lineage_of(grant)[-1]
        descent = chains.descent_of(root)
        scope = scope_on(self.reader, grant) if self.reader else EVERYTHING
        above = {each.pk for each in lineage_of(grant)}
        family = [root, *(each for level in descent.values() for each in level)]
        kept = [each for each in family if each.pk in above or scope.covers_agent(each.agent.identifier)]
        found = {"grants": kept, "transactions": self._transactions(grant)}
        return Response(LineageSerializer(found).data)

    @extend_schema(operation_id="grants_who_list", request=None, responses=PathsSerializer, parameters=_WHO)
    @action(detail=False, methods=["get"], filterset_class=None, pagination_class=None)
    def who(self, request: Request) -> Response:
        """Read which agents could do an action at a resource, by their own grant or through which other agents."""
        asked = request.query_params
        if set(asked) != {"resource", "action"} or any(len(values) != 1 for _name, values in asked.lists()):
            raise QueryRefused("Name resource and action, once each.")
        resource = _resource(asked["resource"])
        if resource is None or not resource.actions.filter(name=asked["action"]).exists():
            raise QueryRefused("There is no such action at such a resource.")
        scope = scope_of(self.reader) if self.reader else EVERYTHING
        paths = paths_seen(scope, chains.who_could(resource, asked["action"], now=self.now))
        return Response(PathsSerializer({"items": paths}).data)

    def _transactions(self, grant: DelegationGrant) -> list[str]:
        found, reader = chains.recent_transactions(grant), self.reader
        return [txn for txn in found if hops_seen(reader, chains.tree_of(txn, now=self.now))] if reader else found

    def _narrower(self, grant: DelegationGrant) -> NarrowGrant:
        return NarrowGrant(**narrowed(grant, checked(NarrowedGrantSerializer(data=self.request.data))))

    def _seen(self, grant: DelegationGrant) -> int | None:
        """Return the version that the caller insists on, None where it does not. Raises StateChanged.

        The verb compares it again, behind its locks. Spec: RFC 9110 §13.1.1.
        """
        wanted = self.request.META.get("HTTP_IF_MATCH")
        if wanted is None:
            return None
        tags = set(parse_etags(wanted))
        if not {"*", etag_of(grant)} & tags:
            raise StateChanged(detail=grant.ref)
        return None if "*" in tags else grant.version


class ChainViewSet(GenericViewSet[Any]):
    """Chains: the tokens of one transaction, and who acts through whom."""

    manage_scope = "manage.grants"
    queryset = AccessToken.of_every_kind.filter(agent__isnull=False)
    serializer_class = ChainSerializer
    lookup_field = "txn"
    lookup_value_regex = "[a-z0-9_]{1,40}"
    filterset_class = None
    pagination_class = None

    @extend_schema(responses=ChainSerializer)
    def retrieve(self, request: Request, txn: str) -> Response:
        """Read the tokens of a transaction, with what each rests on and what ended it."""
        tops, caller = chains.tree_of(txn, now=clock.now()), request.auth
        assert isinstance(caller, Caller), "no permission class lets anybody else in"
        tops = hops_seen(caller.person, tops) if caller.person else tops
        if not tops:
            raise Http404
        return Response(ChainSerializer({"txn": txn, "hops": [hop for top in tops for hop in top.walk()]}).data)


def _impact(changes: Sequence[Change], *, now: datetime) -> dict[str, Any]:
    impact = impact_of(changes, now=now)
    found = {
        "tokens": impact.tokens,
        "requests": [asked.ref for asked in impact.requests],
        "families": [code.ref for code in impact.families],
        "grants_revoked": [grant.ref for grant in impact.revoked],
        "grants_narrowed": [grant.ref for grant in impact.narrowed],
        "kept_by": [grant.ref for grant in standing.kept_besides(changes, now=now)],
    }
    return dict(ImpactSerializer(found).data)


def _resource(ref: str) -> Resource | None:
    return None if "\0" in ref else Resource.objects.filter(ref=ref, retired_at=None).first()
