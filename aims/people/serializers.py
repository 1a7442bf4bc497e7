"""The JSON of people in the management API."""

from __future__ import annotations

from rest_framework import serializers

from aims.kit import clock
from aims.kit.strict import StrictSerializer
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


class NewPersonSerializer(StrictSerializer):
    """What it takes to add a person."""

    email = serializers.EmailField(max_length=254)
    name = serializers.CharField(max_length=120)


class RoleSerializer(StrictSerializer):
    """A role to give or to end. Who decides and who administers is said by people, on the pages or the command line."""

    role = serializers.ChoiceField(
        choices=[role for role in Role.choices if role[0] not in (Role.ADMIN, Role.APPROVER)]
    )


class MembershipSerializer(StrictSerializer):
    """A person to put into a group or to take out."""

    person = serializers.CharField(max_length=40)


class NewGroupSerializer(StrictSerializer):
    """What it takes to make a group."""

    slug = serializers.RegexField(r"^[a-z0-9][a-z0-9_-]{0,63}$")
    name = serializers.CharField(max_length=120)


class GroupSerializer(serializers.ModelSerializer[Group]):
    """A group that policies can name."""

    class Meta:
        model = Group
        fields = ("slug", "name", "created_at")
        read_only_fields = ("created_at",)
