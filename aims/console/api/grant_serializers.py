"""The JSON of grants: what they say, what narrowing them ends, and who acts through whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from aims.authorization import budget
from aims.authorization.models import DEPTH_MAX, AccessToken, ApprovalRequest, DelegationGrant, TokenKind
from aims.authorization.queries import state_of
from aims.authorization.services.grants import ACTIONS_MAX, MISSION_MAX
from aims.console.api.serializers import ref_of
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.kit.strict import StrictSerializer
from aims.people.models import User

STATES = ("in_force", "scheduled", "expired", "revoked")


def _names(*, length: int, **more: Any) -> serializers.ListField:
    return serializers.ListField(child=serializers.CharField(max_length=length), max_length=ACTIONS_MAX, **more)


class AmountField(serializers.CharField):
    """An amount as text: a JSON number is none, since its digits may not be those that were written."""

    def to_internal_value(self, data: Any) -> str:
        """Return the text. Raises ValidationError."""
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class BudgetSerializer(StrictSerializer):
    """How much. What is left out is not limited. amounts: money in all by currency, as decimal text."""

    count = serializers.IntegerField(min_value=1, max_value=budget.COUNT_MAX, required=False)
    per_hour = serializers.IntegerField(min_value=1, max_value=budget.COUNT_MAX, required=False)
    per_day = serializers.IntegerField(min_value=1, max_value=budget.COUNT_MAX, required=False)
    amounts = serializers.DictField(child=AmountField(max_length=20), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Return the budget as the rooms keep it. Raises ValidationError."""
        try:
            return budget.checked(attrs)
        except budget.BudgetRefused as error:
            raise serializers.ValidationError(str(error)) from error


class GrantSerializer(serializers.ModelSerializer[DelegationGrant]):
    """A grant. from_person: null where the organisation gave it. parent: what it was passed on from."""

    from_person = serializers.SlugRelatedField[User](slug_field="ref", read_only=True, allow_null=True)
    agent = serializers.SlugRelatedField[Agent](slug_field="ref", read_only=True)
    resource = serializers.SlugRelatedField[Resource](slug_field="ref", read_only=True)
    parent = serializers.SlugRelatedField[DelegationGrant](  # type: ignore[assignment]  # the framework's own is of instances
        slug_field="ref", read_only=True, allow_null=True
    )
    approval = serializers.SlugRelatedField[ApprovalRequest](slug_field="ref", read_only=True, allow_null=True)
    actions = serializers.ListField(child=serializers.CharField(), read_only=True)
    detail_types = serializers.ListField(child=serializers.CharField(), read_only=True)
    budget = BudgetSerializer(read_only=True)
    state = serializers.SerializerMethodField()

    class Meta:
        model = DelegationGrant
        fields = (
            "ref", "state", "from_person", "agent", "resource", "actions", "detail_types", "mission", "budget", "depth",
            "parent", "approval", "given_by", "given_at", "starts_at", "until_at", "narrowed_at", "warned_at", "expired_at",
            "revoked_at", "revoked_by",
        )  # fmt: skip

    @extend_schema_field(serializers.ChoiceField(choices=STATES))
    def get_state(self, grant: DelegationGrant) -> str:
        """Return how it stands now."""
        return state_of(grant, now=clock.now())


class NewGrantSerializer(StrictSerializer):
    """A grant of the organisation, or with ``parent`` a part of another one, from its giver. People give theirs themselves."""

    agent = ref_of(Agent.objects.select_related("owner"))
    resource = ref_of(Resource.objects.all())
    actions = _names(length=80, allow_empty=False)
    detail_types = _names(length=120, default=list)
    mission = serializers.CharField(max_length=MISSION_MAX, required=False, allow_blank=True, default="")
    starts_at = serializers.DateTimeField(required=False)
    until_at = serializers.DateTimeField()
    budget = BudgetSerializer(required=False)
    depth = serializers.IntegerField(min_value=0, max_value=DEPTH_MAX, required=False, default=0)
    parent = ref_of(  # type: ignore[assignment]
        DelegationGrant.objects.select_related("agent", "resource", "from_person"), required=False
    )


class NarrowedGrantSerializer(StrictSerializer):
    """What a grant allows from now on, each at most what it was; what is left out stays."""

    actions = _names(length=80, allow_empty=False, required=False)
    detail_types = _names(length=120, required=False)
    until_at = serializers.DateTimeField(required=False)
    budget = BudgetSerializer(required=False)
    depth = serializers.IntegerField(min_value=0, max_value=DEPTH_MAX, required=False)


class TokenSerializer(serializers.ModelSerializer[AccessToken]):
    """A token's metadata; the token itself is nowhere. jkt: thumbprint of its key, empty for a bearer token."""

    agent = serializers.SlugRelatedField[Agent](slug_field="ref", read_only=True)
    kind = serializers.ChoiceField(choices=TokenKind.choices, read_only=True)
    parent = serializers.SlugRelatedField[AccessToken](slug_field="jti", read_only=True)  # type: ignore[assignment]
    subject = serializers.CharField(source="subject_ref", read_only=True)
    issued_at = serializers.DateTimeField(read_only=True)
    expires_at = serializers.DateTimeField(source="expires", read_only=True)

    class Meta:
        model = AccessToken
        fields = (
            "jti", "kind", "txn", "agent", "subject", "audience", "scope", "parent", "depth", "jkt", "issued_at", "expires_at",
            "revoked_at",
        )  # fmt: skip


class ImpactSerializer(serializers.Serializer[Any]):
    """What ends: tokens with all that was exchanged for them, and by reference requests that wait, families and grants below.

    families: the codes whose refresh tokens end, or that can be redeemed no more.
    """

    tokens = TokenSerializer(many=True)
    requests = serializers.ListField(child=serializers.CharField())
    families = serializers.ListField(child=serializers.CharField())
    grants_revoked = serializers.ListField(child=serializers.CharField())
    grants_narrowed = serializers.ListField(child=serializers.CharField())
    kept_by = serializers.ListField(
        child=serializers.CharField(), help_text="other grants that go on covering some of it"
    )


class HopSerializer(TokenSerializer):
    """A token of a chain. grants: those it rests on. why: what ended it, empty while it counts."""

    grants = serializers.ListField(child=serializers.CharField())
    why = serializers.CharField()

    class Meta(TokenSerializer.Meta):
        fields = (*TokenSerializer.Meta.fields, "grants", "why")  # type: ignore[assignment]

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return a hop, its token first."""
        token = TokenSerializer(instance.token).data
        return dict(token) | {"grants": [grant.ref for grant in instance.grants], "why": instance.why}


class ChainSerializer(serializers.Serializer[Any]):
    """The tokens of one transaction, parents before what was exchanged for them."""

    txn = serializers.CharField()
    hops = HopSerializer(many=True)


class LineageSerializer(serializers.Serializer[Any]):
    """A grant's family: what it was passed on from and as, parents first. transactions: the newest in which it was used."""

    grants = GrantSerializer(many=True)
    transactions = serializers.ListField(child=serializers.CharField())


class PathSerializer(serializers.Serializer[Any]):
    """A way in which an agent could do something. agents, grants: its own first, then those that it goes through."""

    agents = serializers.ListField(child=serializers.CharField())
    grants = serializers.ListField(child=serializers.CharField())
    is_open = serializers.BooleanField(help_text="whether every agent on it is active")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Return a path by references."""
        return {
            "agents": [grant.agent.ref for grant in instance.grants],
            "grants": [grant.ref for grant in instance.grants],
            "is_open": instance.is_open,
        }


class PathsSerializer(serializers.Serializer[Any]):
    """Every way in which this could be done, direct ones first; at most 200."""

    items = PathSerializer(many=True)


def narrowed(grant: DelegationGrant, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the terms of ``NarrowGrant``; what is not named stays."""
    terms: dict[str, Any] = {name: given.get(name, getattr(grant, name)) for name in ("until_at", "budget", "depth")}
    lists = {name: tuple(given.get(name, getattr(grant, name))) for name in ("actions", "detail_types")}
    return terms | lists
