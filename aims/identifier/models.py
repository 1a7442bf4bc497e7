"""Agents, the trust domains they live in, who answers for them, and the resources they act on."""

from __future__ import annotations

from functools import partial

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from aims.kit.ids import new_ref

IDENTIFIER_MAX_BYTES = 2048  # draft-ietf-wimse-identifier; SPIFFE-ID §2


class TrustDomain(models.Model):
    """The authority part of identifiers. Only registered ones are accepted."""

    name = models.CharField(max_length=255, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class AgentState(models.TextChoices):
    ACTIVE = "active", _("Active")
    SUSPENDED = "suspended", _("Suspended")
    RETIRED = "retired", _("Retired")


class Agent(models.Model):
    """A workload with exactly one identifier (draft-ietf-wimse-aims §6). The identifier is also its ``client_id``.

    Rows are never deleted: a retired agent keeps its identifier, so nobody can have it again.
    """

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "agt"), editable=False)
    identifier = models.CharField(max_length=IDENTIFIER_MAX_BYTES, unique=True, editable=False)
    trust_domain = models.ForeignKey(TrustDomain, models.PROTECT, related_name="agents")
    name = models.CharField(max_length=80)
    purpose = models.CharField(max_length=400)
    contact = models.CharField(max_length=254)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="owned_agents")
    related_groups = models.ManyToManyField("people.Group", blank=True, related_name="related_agents")
    state = models.CharField(max_length=16, choices=AgentState, default=AgentState.ACTIVE)
    state_reason = models.CharField(max_length=400, blank=True)
    state_since_at = models.DateTimeField()
    registered_at = models.DateTimeField()
    version = models.PositiveBigIntegerField(default=1, help_text="rises on every change of agent, keys or grants")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(state__in=AgentState.values),
                name="identifier_agent_state_known",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_retired(self) -> bool:
        """Whether it has ended, which is for ever."""
        return self.state == AgentState.RETIRED


class Reversibility(models.TextChoices):
    """How hard an action is to undo. From the registry, never from the request. In rising order of hardness."""

    READ_ONLY = "read-only", _("Read only")
    REVERSIBLE = "reversible", _("Reversible")
    EXTERNALLY_REVERSIBLE = "externally-reversible", _("Reversible outside")
    IRREVERSIBLE = "irreversible", _("Irreversible")

    @property
    def hardness(self) -> int:
        """0 (read only) to 3 (irreversible)."""
        return list(Reversibility).index(self)


class Resource(models.Model):
    """An API, tool, MCP server or LLM endpoint. ``identifier`` is its resource indicator (RFC 8707 §2)."""

    class Kind(models.TextChoices):
        API = "api", _("API")
        TOOL = "tool", _("Tool")
        MCP = "mcp", _("MCP server")
        LLM = "llm", _("LLM endpoint")

    ref = models.CharField(max_length=40, unique=True, default=partial(new_ref, "res"), editable=False)
    identifier = models.CharField(max_length=IDENTIFIER_MAX_BYTES, unique=True)
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.API)
    description = models.CharField(max_length=400, blank=True)
    operator = models.ForeignKey(
        Agent,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="operated",
        help_text="the agent that runs this resource, and may exchange the tokens that are for it",
    )
    registered_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveBigIntegerField(default=1, help_text="rises on every change of resource or actions")

    def __str__(self) -> str:
        return self.name


class ResourceAction(models.Model):
    """Something that can be done at a resource.

    detail_type: the ``authorization_details`` type that asks for it (RFC 9396 §2), or empty for scope-only actions.
    """

    resource = models.ForeignKey(Resource, models.CASCADE, related_name="actions")
    name = models.CharField(max_length=80)
    title = models.CharField(max_length=120)
    detail_type = models.CharField(max_length=120, blank=True)
    reversibility = models.CharField(max_length=24, choices=Reversibility)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["resource", "name"], name="identifier_action_once"),
            models.CheckConstraint(
                condition=Q(reversibility__in=Reversibility.values),
                name="identifier_reversibility_known",
            ),
        ]
