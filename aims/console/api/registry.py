"""Resources and trust domains in the management API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import django_filters
from django.db import transaction
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from aims.console import registering
from aims.console.api.base import ApiViewSet, checked
from aims.console.api.filters import FlagFilter
from aims.console.api.serializers import (
    BundleSerializer,
    ChangedResourceSerializer,
    HeldBundleSerializer,
    HeldKeysSerializer,
    KeysSerializer,
    NewResourceSerializer,
    NewTrustDomainSerializer,
    ResourceMetadataSerializer,
    ResourceSerializer,
    TrustDomainSerializer,
)
from aims.console.errors import ManagedByPeople
from aims.console.management import audience
from aims.console.registering import Keys
from aims.console.resource_metadata import told_by
from aims.credentials import queries as keys
from aims.credentials.models import TrustBundle
from aims.credentials.services import drop_bundle, set_bundle, set_bundle_endpoint
from aims.identifier import services
from aims.identifier.models import Resource, TrustDomain
from aims.identifier.services import ActionSpec, RegisterResource


class ResourceFilter(django_filters.FilterSet):
    """What to look for among the resources."""

    identifier = django_filters.CharFilter()
    kind = django_filters.ChoiceFilter(choices=Resource.Kind.choices)
    is_retired = FlagFilter(field_name="retired_at", lookup_expr="isnull", exclude=True)

    class Meta:
        model = Resource
        fields = ("identifier", "kind", "is_retired")


class ResourceViewSet(ApiViewSet):
    """Resources with their actions and how hard each is to undo."""

    manage_scope = "manage.resources"
    queryset = Resource.objects.select_related("operator").prefetch_related("actions")
    serializer_class = ResourceSerializer
    filterset_class = ResourceFilter
    is_versioned = True

    @extend_schema(request=NewResourceSerializer, responses={201: ResourceSerializer})
    def create(self, request: Request) -> Response:
        """Register a resource with its actions and, if it introspects, its keys."""
        given = checked(NewResourceSerializer(data=request.data))
        command = RegisterResource(
            identifier=given["identifier"],
            name=given["name"],
            kind=given.get("kind", Resource.Kind.API.value),
            description=given.get("description", ""),
            operator=given.get("operator"),
            actions=tuple(ActionSpec(**spec) for spec in given.get("actions", ())),
        )
        held = Keys(jwks=given.get("jwks"), jwks_uri=given.get("jwks_uri"))
        resource = registering.register_resource_with_keys(command, keys=held, by=self.by, now=self.now)
        return self.shown(resource, status=201)

    @extend_schema(request=ChangedResourceSerializer, responses=ResourceSerializer)
    def partial_update(self, request: Request, ref: str) -> Response:
        """Change what is named; the identifier never changes."""
        given = checked(ChangedResourceSerializer(data=request.data))
        with transaction.atomic():
            resource = others(self.held())
            services.update_resource(resource, _command(given, resource), by=self.by, now=self.now)
        return self.shown(self.get_object())

    @extend_schema(request=None, responses=HeldKeysSerializer, methods=["GET"])
    @extend_schema(request=KeysSerializer, responses=HeldKeysSerializer, methods=["PUT"])
    @action(detail=True, methods=["get", "put"], url_path="keys", filterset_class=None, pagination_class=None)
    def keys(self, request: Request, ref: str) -> Response:
        """Read or replace the keys of the resource server: those that are not in the new set end now."""
        resource: Resource = self.get_object()
        if request.method == "PUT":
            given = checked(KeysSerializer(data=request.data))
            wanted = Keys(jwks=given.get("jwks"), jwks_uri=given.get("jwks_uri"))
            with transaction.atomic():
                resource = others(self.held())
                registering.set_keys(resource.ref, wanted, by=self.by, now=self.now)
        jwks = {"keys": [dict(key.jwk) | {"kid": key.kid} for key in keys.keys_of(resource.ref)]}
        return Response({"jwks": jwks, "jwks_uri": keys.jwks_uri_of(resource.ref)})

    @extend_schema(request=None, responses=ResourceMetadataSerializer)
    @action(detail=True, methods=["get"], url_path="metadata", filterset_class=None, pagination_class=None)
    def metadata(self, request: Request, ref: str) -> Response:
        """Read what its server should serve and send, so that clients find this authorization server (RFC 9728)."""
        told = told_by(self.get_object())
        if told is None:
            raise Http404
        challenges = [{"status": status, "challenge": line} for _reason, status, line in told.challenges]
        return Response({"address": told.address, "document": told.document, "challenges": challenges})

    @extend_schema(request=None, responses=ResourceSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, ref: str) -> Response:
        """Issue no more tokens for a resource."""
        services.retire_resource(others(self.get_object()), by=self.by, now=self.now)
        return self.shown(self.get_object())

    @extend_schema(request=None, responses=ResourceSerializer)
    @action(detail=True, methods=["post"], url_path="return")
    def take_back(self, request: Request, ref: str) -> Response:
        """Take a retired resource back into use."""
        services.return_resource(others(self.get_object()), by=self.by, now=self.now)
        return self.shown(self.get_object())


def others(resource: Resource) -> Resource:
    """Return the resource, unless it is this API: its actions are the rights to call it. Raises ManagedByPeople."""
    if resource.identifier == audience():
        raise ManagedByPeople(detail=resource.ref)
    return resource


class TrustDomainViewSet(ApiViewSet):
    """Trust domains: the authorities whose identifiers are accepted."""

    manage_scope = "manage.resources"
    queryset = TrustDomain.objects.all()
    serializer_class = TrustDomainSerializer
    lookup_field = "name"
    lookup_value_regex = "[a-z0-9._-]{1,255}"

    @extend_schema(request=NewTrustDomainSerializer, responses={200: TrustDomainSerializer})
    def create(self, request: Request) -> Response:
        """Accept identifiers of a trust domain; one that is registered already is returned as it is."""
        name = checked(NewTrustDomainSerializer(data=request.data))["name"]
        return self.shown(services.register_trust_domain(name, by=self.by, now=self.now))

    @extend_schema(request=None, responses=HeldBundleSerializer, methods=["GET"])
    @extend_schema(request=BundleSerializer, responses=HeldBundleSerializer, methods=["PUT"])
    @action(detail=True, methods=["get", "put"], pagination_class=None)
    def bundle(self, request: Request, name: str) -> Response:
        """Read the keys that vouch for this trust domain, or change them or where they are fetched."""
        domain: TrustDomain = self.get_object()
        if request.method == "PUT":
            given = checked(BundleSerializer(data=request.data))
            with transaction.atomic():
                if "bundle" in given:
                    set_bundle(domain, given["bundle"], by=self.by, now=self.now)
                if "bundle_endpoint_url" in given:
                    set_bundle_endpoint(domain, given["bundle_endpoint_url"], by=self.by, now=self.now)
        held = TrustBundle.objects.filter(trust_domain=domain).first() or TrustBundle()
        return Response(HeldBundleSerializer(held).data)

    @extend_schema(request=None, responses=TrustDomainSerializer)
    @action(detail=True, methods=["post"], url_path="drop-bundle")
    def drop_bundle(self, request: Request, name: str) -> Response:
        """Forget the keys of this trust domain and where they are fetched: nobody of it is vouched for."""
        drop_bundle(self.get_object(), by=self.by)
        return self.shown(self.get_object())

    @extend_schema(request=None, responses=TrustDomainSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, name: str) -> Response:
        """Register no more agents in this trust domain; those that are there stay."""
        services.retire_trust_domain(self.get_object(), by=self.by, now=self.now)
        return self.shown(self.get_object())


def _command(given: Mapping[str, Any], held: Resource) -> RegisterResource:
    actions = given.get("actions")
    return RegisterResource(
        identifier=held.identifier,
        name=given.get("name", held.name),
        kind=given.get("kind", held.kind),
        description=given.get("description", held.description),
        operator=given.get("operator", held.operator),
        actions=tuple(services.actions_of(held) if actions is None else (ActionSpec(**spec) for spec in actions)),
    )
