"""Letting a client that registered itself in, as an agent: by an admin, or by a trust rule that an admin made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db import transaction

from aims.authorization import redirects
from aims.authorization.client_errors import NotWaiting
from aims.authorization.client_events import ClientAdmitted, ClientRefused
from aims.authorization.client_metadata import WITH_KEY, ClientMetadata
from aims.authorization.client_models import ClientRegistration, TrustRule
from aims.authorization.models import Application
from aims.authorization.registration_states import RegistrationState
from aims.authorization.services.agents import resume_agent
from aims.authorization.services.registration_rows import facts_of, hash_of, locked, move
from aims.credentials import services as credentials
from aims.identifier import services as identifier
from aims.identifier.models import Agent, AgentState
from aims.identifier.uri import parse_agent, parse_published
from aims.kit.errors import AimsError
from aims.kit.ids import tagged_hash
from aims.people.models import Group, User
from audit.write import record

BY_RULE_MAX_PER_DAY = 100  # clients that one rule lets in
# Why an agent stands still, as its page says; only what was suspended for the first is resumed by admitting it again.
CHANGED = "Its registration changed and waits for an admin."
WITHDRAWN = "It withdrew its registration."
ADMITTED_AGAIN = "Its changed registration was admitted."
_SHORT = 8  # characters of its client_id that tell one auto-admitted client from another
Kind = TrustRule.Kind


@dataclass(frozen=True, kw_only=True)
class AdmitClient:
    """What an admin decides about a client: who answers for it, and what it is called here."""

    owner: User
    name: str
    purpose: str
    contact: str
    related_groups: tuple[Group, ...] = ()


def admit(
    registration: ClientRegistration, command: AdmitClient, *, by: str, now: datetime, rule: TrustRule | None = None
) -> Agent:
    """Make an agent of a client that waits, or let a changed one go on, with exactly what it registered.

    Its identifier is its client_id. One that was an agent keeps what it is called: the command is for new ones.
    Raises NotWaiting, and what registering an agent and its keys raises: then nothing has changed.
    """
    with transaction.atomic():
        row = locked(registration)
        if row.state not in (RegistrationState.QUARANTINED, RegistrationState.REFUSED):
            raise NotWaiting(detail=row.ref)
        metadata, is_again = ClientMetadata(members=row.metadata), row.agent is not None
        agent = row.agent or _new_agent(row, command, by=by, now=now)
        if agent.state == AgentState.RETIRED:
            raise NotWaiting("The agent of this client has been retired, for good.", detail=row.ref)
        _set_keys(agent, metadata, by=by, now=now)
        _store_client(agent, row, metadata)
        identifier.raise_version(agent.ref)
        columns = {"agent": agent, "rule": rule, "admitted_metadata": row.metadata, "state_reason": ""}
        move(row, RegistrationState.ADMITTED, now=now, **columns)
        agent.refresh_from_db()
        if agent.state == AgentState.SUSPENDED and agent.state_reason == CHANGED:
            resume_agent(agent, reason=ADMITTED_AGAIN, by=by, now=now)
        event = ClientAdmitted(
            registration=row.ref,
            agent=agent.ref,
            rule=rule.ref if rule else None,
            is_again=is_again,
            metadata_hash=hash_of(row.metadata),
        )
        record(event, by=by, facts=facts_of(row))
    registration.refresh_from_db()
    return agent


def refuse(registration: ClientRegistration, *, reason: str, by: str, now: datetime) -> None:
    """Don't let a client in. Its client_id stays taken, and an admin may still change their mind. Raises NotWaiting.

    reason: for the page; it never enters the log.
    """
    with transaction.atomic():
        row = locked(registration)
        move(row, RegistrationState.REFUSED, now=now, state_reason=reason.replace("\x00", "")[:400])
        record(ClientRefused(registration=row.ref, client_id=row.client_id), by=by, facts=facts_of(row))
    registration.refresh_from_db()


def admit_by_rule(row: ClientRegistration, *, now: datetime) -> bool:
    """Admit a client that waits where a trust rule fits; return whether one did. What goes wrong leaves it waiting."""
    rule = rule_for(row, now=now)
    if rule is None:
        return False
    command = AdmitClient(
        owner=rule.owner,
        # What strangers call themselves is not what people here read on a card: the rule's own word is.
        name=f"{rule.value[:60]} {tagged_hash(row.client_id.encode())[-_SHORT:]}",
        purpose=f"Registered itself, and was admitted by the rule for {rule.value}."[:400],
        contact=rule.owner.email,
    )
    try:
        with transaction.atomic():
            admit(row, command, by=f"rule:{rule.ref}", now=now, rule=rule)
    except AimsError:
        return False
    return True


def rule_for(row: ClientRegistration, *, now: datetime) -> TrustRule | None:
    """Return the trust rule by which a client may come in at once, None where there is none that has room left."""
    candidates = [(kind, value) for kind, value in _marks(row) if value]
    for kind, value in candidates:
        rule = TrustRule.objects.select_related("owner").filter(kind=kind, value=value, ended_at=None).first()
        if rule is not None and rule.owner.is_active and _has_room(rule, row, now=now):
            return rule
    return None


def follow(row: ClientRegistration, *, with_keys_too: bool, by: str, now: datetime) -> None:
    """Take a change that needs nobody's yes, in the caller's transaction: words, and keys that a document published.

    Raises KeysRefused: a key is somebody else's, and nothing changes.
    """
    ClientRegistration.objects.filter(pk=row.pk).update(admitted_metadata=row.metadata)
    if with_keys_too:
        agent = row.agent
        assert agent is not None, "an admitted client is an agent"
        _set_keys(agent, ClientMetadata(members=row.metadata), by=by, now=now)


def _marks(row: ClientRegistration) -> list[tuple[str, str]]:
    """Return what rules compare, the strongest first. The last is only what a client says of itself."""
    metadata = ClientMetadata(members=row.metadata)
    hosts = {redirects.host_of(uri) for uri in metadata.redirect_uris}
    is_document = row.kind == ClientRegistration.Kind.DOCUMENT
    return [
        (Kind.DOCUMENT_HOST, str(urlsplit(row.client_id).hostname) if is_document else ""),
        (Kind.REDIRECT_HOST, hosts.pop() if len(hosts) == 1 else ""),
        (Kind.SOFTWARE_ID, metadata.text("software_id")),
    ]


def _has_room(rule: TrustRule, row: ClientRegistration, *, now: datetime) -> bool:
    if row.agent is not None:
        return True  # it is in already; it only changed
    let_in = ClientRegistration.objects.filter(rule=rule, registered_at__gt=now - timedelta(days=1))
    return let_in.count() < BY_RULE_MAX_PER_DAY


def _new_agent(row: ClientRegistration, command: AdmitClient, *, by: str, now: datetime) -> Agent:
    # draft-ietf-wimse-identifier §7: only expected trust domains; admitting a client is what makes its host one.
    is_document = row.kind == ClientRegistration.Kind.DOCUMENT
    name = (parse_published if is_document else parse_agent)(row.client_id).trust_domain
    identifier.register_trust_domain(name, by=by, now=now)
    wanted = identifier.RegisterAgent(
        identifier=row.client_id,
        name=command.name,
        purpose=command.purpose,
        contact=command.contact,
        owner=command.owner,
        related_groups=command.related_groups,
        is_published=is_document,
    )
    return identifier.register_agent(wanted, by=by, now=now)


def _set_keys(agent: Agent, metadata: ClientMetadata, *, by: str, now: datetime) -> None:
    """Give the agent the keys of its registration, and no others."""
    credentials.register_keys(agent.ref, metadata.members.get("jwks", {"keys": []}), by=by, now=now)
    if uri := metadata.text("jwks_uri"):
        credentials.set_jwks_uri(agent.ref, uri, by=by, now=now)
    else:
        credentials.drop_jwks_uri(agent.ref, by=by, now=now)


def _store_client(agent: Agent, row: ClientRegistration, metadata: ClientMetadata) -> None:
    """Write the client row of the agent. There is no secret to write."""
    is_confidential = metadata.method == WITH_KEY
    is_document = row.kind == ClientRegistration.Kind.DOCUMENT
    Application.objects.update_or_create(
        agent=agent,
        defaults={
            "client_id": agent.identifier,
            "name": agent.name,
            "client_type": Application.CLIENT_CONFIDENTIAL if is_confidential else Application.CLIENT_PUBLIC,
            "client_secret": "",
            "hash_client_secret": False,
            "registration_source": "cimd" if is_document else "dcr",
            "redirect_uris": " ".join(metadata.redirect_uris),
            "grant_types": list(metadata.grant_types),
            "token_endpoint_auth_method": metadata.method,
            "token_endpoint_auth_signing_alg": metadata.text("token_endpoint_auth_signing_alg"),
            "dpop_bound_access_tokens": metadata.is_set("dpop_bound_access_tokens"),
            "backchannel_token_delivery_mode": metadata.text("backchannel_token_delivery_mode") or "poll",
            "backchannel_client_notification_endpoint": metadata.text("backchannel_client_notification_endpoint"),
            "backchannel_authentication_request_signing_alg": metadata.text(
                "backchannel_authentication_request_signing_alg"
            ),
        },
    )
