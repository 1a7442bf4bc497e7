"""Agents in the management API: the same verbs as the pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import django_filters
from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from aims.authorization.services import agents as stopping
from aims.authorization.services.clients import ClientSettings, proving, settings_of
from aims.console import registering
from aims.console.api.base import ApiViewSet, checked
from aims.console.api.serializers import (
    AgentSerializer,
    ChangedAgentSerializer,
    HeldKeysSerializer,
    KeysSerializer,
    NewAgentSerializer,
    ReasonSerializer,
)
from aims.console.errors import ManagedByPeople
from aims.console.management import may_manage
from aims.console.registering import Keys
from aims.credentials import queries as keys
from aims.identifier.models import Agent, AgentState
from aims.identifier.queries import agents_visible_to
from aims.identifier.services import RegisterAgent, UpdateAgent

Verb = Callable[..., None]


class AgentFilter(django_filters.FilterSet):
    """What to look for among the agents."""

    identifier = django_filters.CharFilter()
    owner = django_filters.CharFilter(field_name="owner__ref")
    state = django_filters.ChoiceFilter(choices=AgentState.choices)
    trust_domain = django_filters.CharFilter(field_name="trust_domain__name")

    class Meta:
        model = Agent
        fields = ("identifier", "owner", "state", "trust_domain")


class AgentViewSet(ApiViewSet):
    """Agents: register, change, suspend, resume, stop, retire. Nothing is ever deleted."""

    manage_scope = "manage.agents"
    queryset = Agent.objects.select_related("owner", "trust_domain", "application").prefetch_related("related_groups")
    serializer_class = AgentSerializer
    filterset_class = AgentFilter
    is_versioned = True

    def get_queryset(self) -> QuerySet[Agent]:
        """Return the agents that whoever the caller acts for may see."""
        agents = super().get_queryset()
        return agents.filter(pk__in=agents_visible_to(self.reader).values("pk")) if self.reader else agents

    @extend_schema(request=NewAgentSerializer, responses={201: AgentSerializer})
    def create(self, request: Request) -> Response:
        """Register an agent with its keys, active at once."""
        given = checked(NewAgentSerializer(data=request.data))
        command = RegisterAgent(
            identifier=given["identifier"],
            name=given["name"],
            purpose=given["purpose"],
            contact=given["contact"],
            owner=given["owner"],
            related_groups=tuple(given.get("groups", ())),
        )
        client = _client(given, ClientSettings())
        agent = registering.register(command, keys=_keys(given), client=client, by=self.by, now=self.now)
        return self.shown(agent, status=201)

    @extend_schema(request=ChangedAgentSerializer, responses=AgentSerializer)
    def partial_update(self, request: Request, ref: str) -> Response:
        """Change what is named; the identifier never changes."""
        given = checked(ChangedAgentSerializer(data=request.data))
        with transaction.atomic():
            self._change(unmanaging(self.held(), now=self.now), given)
        return self.shown(self.get_object())

    @extend_schema(request=None, responses=HeldKeysSerializer, methods=["GET"])
    @extend_schema(request=KeysSerializer, responses=HeldKeysSerializer, methods=["PUT"])
    @action(detail=True, methods=["get", "put"], url_path="keys", filterset_class=None, pagination_class=None)
    def keys(self, request: Request, ref: str) -> Response:
        """Read or replace the keys: those that are not in the new set end now."""
        agent: Agent = self.get_object()
        if request.method == "PUT":
            given = checked(KeysSerializer(data=request.data))
            with transaction.atomic():
                agent = unmanaging(self.held(), now=self.now)
                registering.set_keys(agent.ref, _keys(given), by=self.by, now=self.now)
        held = {"keys": [dict(key.jwk) | {"kid": key.kid} for key in keys.keys_of(agent.ref)]}
        return Response({"jwks": held, "jwks_uri": keys.jwks_uri_of(agent.ref)})

    @extend_schema(request=ReasonSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, ref: str) -> Response:
        """Stop an agent for now: its tokens end, what it waits for is withdrawn."""
        return self._move(self.get_object(), stopping.suspend_agent)

    @extend_schema(request=ReasonSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, ref: str) -> Response:
        """Let a suspended agent act again."""
        return self._move(unmanaging(self.get_object(), now=self.now), stopping.resume_agent)

    @extend_schema(request=ReasonSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, ref: str) -> Response:
        """Suspend an agent and take back everything that it was given."""
        return self._move(self.get_object(), stopping.stop_everything)

    @extend_schema(request=ReasonSerializer, responses=AgentSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, ref: str) -> Response:
        """End an agent for ever; its identifier stays taken."""
        return self._move(self.get_object(), stopping.retire_agent)

    def _move(self, agent: Agent, verb: Verb) -> Response:
        reason = checked(ReasonSerializer(data=self.request.data))["reason"]
        verb(agent, reason=reason, by=self.by, now=self.now)
        return self.shown(self.get_object())

    def _change(self, agent: Agent, given: Mapping[str, Any]) -> None:
        command = UpdateAgent(
            name=given.get("name", agent.name),
            purpose=given.get("purpose", agent.purpose),
            contact=given.get("contact", agent.contact),
            related_groups=tuple(given["groups"] if "groups" in given else agent.related_groups.all()),
        )
        registering.change(
            agent,
            command,
            owner=given.get("owner", agent.owner),
            keys=Keys(),
            client=_client(given, settings_of(agent)),
            by=self.by,
            now=self.now,
        )


def unmanaging(agent: Agent, *, now: datetime) -> Agent:
    """Return the agent, unless it manages: who may take over a manager has the rights of both. Raises ManagedByPeople."""
    if may_manage(agent, now=now):
        raise ManagedByPeople(detail=agent.ref)
    return agent


def _keys(given: Mapping[str, Any]) -> Keys:
    return Keys(jwks=given.get("jwks"), jwks_uri=given.get("jwks_uri"))


def _client(given: Mapping[str, Any], held: ClientSettings) -> ClientSettings:
    return ClientSettings(
        delivery_mode=given.get("backchannel_token_delivery_mode", held.delivery_mode),
        notification_endpoint=given.get("backchannel_client_notification_endpoint", held.notification_endpoint),
        request_signing_alg=given.get("backchannel_authentication_request_signing_alg", held.request_signing_alg),
        dpop_bound=given.get("dpop_bound_access_tokens", held.dpop_bound),
        redirect_uris=tuple(given.get("redirect_uris", held.redirect_uris)),
        **proving(given, held),
    )
