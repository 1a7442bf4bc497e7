"""Authorization servers of other domains in the management API."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from aims.authorization.models import ForeignClient, ForeignServer, ForeignSubject
from aims.authorization.services.trust import SCOPES_MAX, TrustServer, retire_server
from aims.authorization.trust_models import ISSUER_MAX, SUBJECT_MAX, Profile
from aims.console.api.base import ApiViewSet, checked
from aims.console.api.serializers import KeysSerializer, ref_of
from aims.console.registering import Keys
from aims.console.trusting import trust_with_keys
from aims.identifier.models import Agent
from aims.kit.strict import StrictSerializer
from aims.people.models import User


class HeldSubjectSerializer(serializers.ModelSerializer[ForeignSubject]):
    """A person, and the name that the other server has for them."""

    person = serializers.SlugRelatedField[User](slug_field="ref", read_only=True)

    class Meta:
        model = ForeignSubject
        fields = ("subject", "person", "is_ours")


class HeldClientSerializer(serializers.ModelSerializer[ForeignClient]):
    """An agent, and the ``client_id`` that the other server has for it."""

    agent = serializers.SlugRelatedField[Agent](slug_field="ref", read_only=True)

    class Meta:
        model = ForeignClient
        fields = ("client_id", "agent")


class ForeignServerSerializer(serializers.ModelSerializer[ForeignServer]):
    """Another domain's authorization server: what it may say here, and what we say to it."""

    accepts = serializers.ListField(child=serializers.CharField())
    receives = serializers.ListField(child=serializers.CharField())
    scopes = serializers.ListField(child=serializers.CharField())
    subjects = HeldSubjectSerializer(many=True, read_only=True)
    clients = HeldClientSerializer(many=True, read_only=True)

    class Meta:
        model = ForeignServer
        fields = (
            "ref", "issuer", "name", "accepts", "receives", "scopes", "matches_email", "tells_email", "subjects",
            "clients", "trusted_at", "retired_at",
        )  # fmt: skip


class SubjectSerializer(StrictSerializer):
    """A person, by the name that the other server has for them."""

    subject = serializers.CharField(max_length=SUBJECT_MAX)
    person = ref_of(User.objects.filter(is_active=True))


class ClientSerializer(StrictSerializer):
    """An agent, by the ``client_id`` that the other server has for it."""

    client_id = serializers.CharField(max_length=SUBJECT_MAX)
    agent = ref_of(Agent.objects.all())


class TrustSerializer(KeysSerializer):
    """What another server may say here. subjects, clients: all of them, if given; else they stay."""

    issuer = serializers.CharField(max_length=ISSUER_MAX)
    name = serializers.CharField(max_length=80)
    accepts = serializers.ListField(child=serializers.ChoiceField(choices=Profile.choices), max_length=2, default=list)
    receives = serializers.ListField(child=serializers.ChoiceField(choices=Profile.choices), max_length=2, default=list)
    scopes = serializers.ListField(
        child=serializers.CharField(max_length=SUBJECT_MAX), max_length=SCOPES_MAX, default=list
    )
    matches_email = serializers.BooleanField(default=False)
    tells_email = serializers.BooleanField(default=False)
    subjects = SubjectSerializer(many=True, required=False)
    clients = ClientSerializer(many=True, required=False)


class ForeignServerViewSet(ApiViewSet):
    """Authorization servers of other domains: trusted by name, with what, and by which keys."""

    manage_scope = "manage.resources"
    queryset = ForeignServer.objects.prefetch_related("subjects__person", "clients__agent")
    serializer_class = ForeignServerSerializer

    @extend_schema(request=TrustSerializer, responses={200: ForeignServerSerializer})
    def create(self, request: Request) -> Response:
        """Trust a server in this way from now on; one that is trusted already is changed. Less ends its tokens."""
        given = checked(TrustSerializer(data=request.data))
        held = Keys(jwks=given.get("jwks"), jwks_uri=given.get("jwks_uri"))
        server, _changed = trust_with_keys(_command(given), keys=held, by=self.by, now=self.now)
        return self.shown(self.get_queryset().get(pk=server.pk))

    @extend_schema(request=None, responses=ForeignServerSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, ref: str) -> Response:
        """Trust a server no more, for good; what was issued on its word ends now."""
        retire_server(self.get_object(), by=self.by, now=self.now)
        return self.shown(self.get_object())


def _command(given: dict[str, Any]) -> TrustServer:
    subjects, clients = given.get("subjects"), given.get("clients")
    return TrustServer(
        issuer=given["issuer"],
        name=given["name"],
        accepts=tuple(given["accepts"]),
        receives=tuple(given["receives"]),
        scopes=tuple(given["scopes"]),
        matches_email=given["matches_email"],
        tells_email=given["tells_email"],
        subjects=None if subjects is None else {each["subject"]: each["person"] for each in subjects},
        clients=None if clients is None else {each["client_id"]: each["agent"] for each in clients},
    )
