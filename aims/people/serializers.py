"""The JSON of people in the management API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from aims.kit import clock
from aims.people import queries
from aims.people.models import Group, Role, User


class PersonSerializer(serializers.ModelSerializer[User]):
    """A person as the API shows them."""

    roles = serializers.SerializerMethodField()
    groups = serializers.SerializerMethodField()

    class Meta:
        model = User
        fields = ("ref", "email", "name", "locale", "time_zone", "is_active", "created_at", "roles", "groups")

    def get_roles(self, person: User) -> list[str]:
        """Return the roles held now."""
        return sorted(queries.roles_held(person, at=clock.now()))

    def get_groups(self, person: User) -> list[str]:
        """Return the groups joined now."""
        return [group.slug for group in queries.groups_of(person, at=clock.now())]


class NewPersonSerializer(serializers.Serializer[Any]):
    """What it takes to add a person."""

    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=120)


class RoleSerializer(serializers.Serializer[Any]):
    """A role to give or to end."""

    role = serializers.ChoiceField(choices=Role.choices)


class MembershipSerializer(serializers.Serializer[Any]):
    """A person to put into a group or to take out."""

    person = serializers.CharField(max_length=40)


class LinkSerializer(serializers.Serializer[Any]):
    """A one-time enrolment link. Whoever calls vouches for the key that it will register."""

    link = serializers.URLField()


class GroupSerializer(serializers.ModelSerializer[Group]):
    """A group that policies can name."""

    class Meta:
        model = Group
        fields = ("slug", "name", "created_at")
        read_only_fields = ("created_at",)
