"""Who a ``client_id`` is, to an endpoint that sends a person's browser somewhere. Nothing here writes or fetches."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from aims.authorization import redirects
from aims.authorization.client_metadata import ClientMetadata
from aims.authorization.client_models import ClientRegistration
from aims.authorization.models import Application
from aims.authorization.queries import client_of
from aims.authorization.registration_states import RegistrationState
from aims.identifier.models import Agent, AgentState
from aims.identifier.queries import agent_named
from aims.kit.kept import Kept


class Standing(StrEnum):
    """How a client stands. Only a known one is ever redirected to: of all others a page of ours tells (RFC 6749 §4.1.2.1).

    waiting: it registered, and no admin has admitted it yet, or again. stopped: its agent is suspended or retired.
    """

    KNOWN = "known"
    WAITING = "waiting"
    REFUSED = "refused"
    STOPPED = "stopped"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class KnownClient:
    """A client as an authorization endpoint sees it. application: None unless it is known.

    calls_itself: its own word, which nobody checked. host: of its metadata document, empty where it has none;
    consent must show it (draft-ietf-oauth-client-id-metadata-document §6.2).
    """

    client_id: str
    standing: Standing
    application: Application | None = None
    calls_itself: str = ""
    host: str = ""
    metadata: ClientMetadata | None = None

    @property
    def redirect_uris(self) -> tuple[str, ...]:
        """Those that it was admitted with."""
        return tuple(self.application.redirect_uris.split()) if self.application else ()

    @property
    def is_public(self) -> bool:
        """Whether it has no key: PKCE alone binds its code, and it authenticates by naming itself (RFC 6749 §2.1)."""
        return self.application is not None and self.application.token_endpoint_auth_method == "none"

    @property
    def is_loopback_only(self) -> bool:
        """Whether all its answers go to the person's own machine, where any program could be waiting: consent warns."""
        return bool(self.redirect_uris) and all(map(redirects.is_loopback, self.redirect_uris))

    @property
    def must_push(self) -> bool:
        """Whether it registered ``require_pushed_authorization_requests`` (RFC 9126 §6)."""
        return self.metadata is not None and self.metadata.is_set("require_pushed_authorization_requests")

    def may_redirect_to(self, uri: str) -> bool:
        """Return whether an answer may go there. Spec: RFC 9700 §4.1.3, RFC 8252 §7.3."""
        return redirects.is_registered(uri, self.redirect_uris)

    def may_use(self, grant_type: str) -> bool:
        """Return whether it registered a grant type."""
        return self.application is not None and self.application.allows_grant_type(grant_type)


def client_for(client_id: str) -> KnownClient:
    """Return who this is. A client whose metadata document nobody has fetched yet is unknown; see ``look_up``."""
    if not client_id.isprintable() or len(client_id) > 2048:
        return KnownClient(client_id="", standing=Standing.UNKNOWN)
    agent = agent_named(client_id)
    row = ClientRegistration.objects.filter(client_id=client_id).first()
    standing = Standing.KNOWN if agent else Standing.UNKNOWN
    if row is not None:
        standing = _standing(row)
    if standing is Standing.KNOWN and agent is not None and agent.state != AgentState.ACTIVE:
        standing = Standing.STOPPED
    is_known = standing is Standing.KNOWN and agent is not None
    return KnownClient(
        client_id=client_id,
        standing=standing,
        application=client_of(agent) if is_known and agent else None,
        calls_itself=row.name if row else "",
        host=str(urlsplit(client_id).hostname) if row and row.kind == ClientRegistration.Kind.DOCUMENT else "",
        metadata=ClientMetadata(members=row.admitted_metadata or {}) if row and is_known else None,
    )


def is_registered_for(agent: Agent, grant_type: str, *, may_recall: bool) -> bool:
    """Return whether an agent may use a grant type: one that registered itself, only what it was admitted with.

    Agents that an admin registered may use every grant for agents. may_recall: from memory, by the agent's version.
    """
    slot = (agent.ref, agent.version)
    held = _held.get(slot) if may_recall else None
    if held is None:
        row = ClientRegistration.objects.filter(agent=agent).values_list("admitted_metadata", flat=True).first()
        held = _held.keep(slot, (frozenset(row["grant_types"]),) if row else ())
    return not held or grant_type in held[0]


_held: Kept[tuple[str, int], tuple[frozenset[str], ...]] = Kept()


def awaits_admission(agent: Agent) -> bool:
    """Return whether what this agent registered changed since an admin admitted it: until then nobody resumes it."""
    return ClientRegistration.objects.filter(agent=agent).exclude(state=RegistrationState.ADMITTED).exists()


def _standing(row: ClientRegistration) -> Standing:
    match RegistrationState(row.state):
        case RegistrationState.ADMITTED:
            return Standing.KNOWN
        case RegistrationState.QUARANTINED:
            return Standing.WAITING
        case RegistrationState.REFUSED:
            return Standing.REFUSED
    return Standing.UNKNOWN
