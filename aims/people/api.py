"""People, roles and groups in the management API. Nothing here makes a link, enrols a passkey or signs anybody in:
a machine that could invite could become an approver. Inviting is for the console and the command line.
"""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from aims.kit import clock
from aims.people import queries, services
from aims.people.models import Group, Role, User
from aims.people.serializers import (
    GroupSerializer,
    MembershipSerializer,
    NewGroupSerializer,
    NewPersonSerializer,
    PersonSerializer,
    RoleSerializer,
)


class PersonViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[User]):
    """People and what they may do."""

    manage_scope = "manage.people"
    queryset = User.objects.order_by("ref")
    serializer_class = PersonSerializer
    lookup_field = "ref"
    lookup_value_regex = "[a-z0-9_]{1,40}"

    def get_queryset(self) -> QuerySet[User]:
        """Return everybody; to who acts for somebody who is no admin, that person alone: the pages show no more."""
        reader: User | None = getattr(self.request.auth, "person", None)
        people = super().get_queryset()
        return people.filter(pk=reader.pk) if reader and not reader.has_role(Role.ADMIN) else people

    @extend_schema(request=NewPersonSerializer, responses={201: PersonSerializer})
    def create(self, request: Request) -> Response:
        """Add a person, without any right and without a key."""
        given = _checked(NewPersonSerializer(data=request.data))
        person = services.create_person(**given, by=_caller(request), now=clock.now())
        return Response(PersonSerializer(person).data, status=201)

    @extend_schema(request=RoleSerializer, responses=PersonSerializer)
    @action(detail=True, methods=["post"], url_path="give-role")
    def give_role(self, request: Request, ref: str) -> Response:
        """Give a role from now on."""
        given = _checked(RoleSerializer(data=request.data))
        services.hold_role(self.get_object(), given["role"], by=_caller(request), now=clock.now())
        return Response(PersonSerializer(self.get_object()).data)

    @extend_schema(request=RoleSerializer, responses=PersonSerializer)
    @action(detail=True, methods=["post"], url_path="end-role")
    def end_role(self, request: Request, ref: str) -> Response:
        """End a role from now on."""
        given = _checked(RoleSerializer(data=request.data))
        services.end_role(self.get_object(), given["role"], by=_caller(request), now=clock.now())
        return Response(PersonSerializer(self.get_object()).data)

    @extend_schema(request=None, responses=PersonSerializer)
    @action(detail=True, methods=["post"])
    def deactivate(self, request: Request, ref: str) -> Response:
        """Shut a person out."""
        services.deactivate(self.get_object(), by=_caller(request), now=clock.now())
        return Response(PersonSerializer(self.get_object()).data)

    @extend_schema(request=None, responses=PersonSerializer)
    @action(detail=True, methods=["post"])
    def reactivate(self, request: Request, ref: str) -> Response:
        """Let a person in again."""
        services.reactivate(self.get_object(), by=_caller(request), now=clock.now())
        return Response(PersonSerializer(self.get_object()).data)


class GroupViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Group]):
    """Groups that policies can name."""

    manage_scope = "manage.people"
    queryset = Group.objects.order_by("slug")
    serializer_class = GroupSerializer
    lookup_field = "slug"
    lookup_value_regex = "[a-z0-9_-]{1,64}"

    @extend_schema(request=NewGroupSerializer, responses={201: GroupSerializer})
    def create(self, request: Request) -> Response:
        """Make a group."""
        given = _checked(NewGroupSerializer(data=request.data))
        group = services.create_group(given["slug"], given["name"], by=_caller(request), now=clock.now())
        return Response(GroupSerializer(group).data, status=201)

    @extend_schema(request=MembershipSerializer, responses=PersonSerializer)
    @action(detail=True, methods=["post"])
    def join(self, request: Request, slug: str) -> Response:
        """Put a person into the group."""
        person = _member(request)
        services.join_group(self.get_object(), person, by=_caller(request), now=clock.now())
        return Response(PersonSerializer(person).data)

    @extend_schema(request=MembershipSerializer, responses=PersonSerializer)
    @action(detail=True, methods=["post"])
    def leave(self, request: Request, slug: str) -> Response:
        """Take a person out of the group."""
        person = _member(request)
        services.leave_group(self.get_object(), person, by=_caller(request), now=clock.now())
        return Response(PersonSerializer(person).data)


routes: list[tuple[str, type[viewsets.GenericViewSet[Any]], str]] = [
    ("people", PersonViewSet, "person"),
    ("groups", GroupViewSet, "group"),
]


def _member(request: Request) -> User:
    """Return the person that the body names. Raises ValidationError where there is none."""
    person = queries.person_by_ref(_checked(MembershipSerializer(data=request.data))["person"])
    if person is None:
        raise ValidationError({"person": ["There is no such person."]})
    return person


def _checked(serializer: Any) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _caller(request: Request) -> str:
    """Return who calls: the identifier of the agent that the access token was issued to."""
    auth: Any = request.auth
    return str(auth.client_id)
