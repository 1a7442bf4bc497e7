"""Whom of other domains we trust, with what. Every change is one entry.

A change that takes something away ends what was issued on that server's word: it is had again at once, if it may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from aims.authorization.chain_events import ServerRetired, ServerTrusted
from aims.authorization.errors import TrustRefused
from aims.authorization.models import ForeignClient, ForeignServer, ForeignSubject
from aims.authorization.services.ending import end_tokens_by
from aims.authorization.trust_models import ISSUER_MAX, SUBJECT_MAX, Profile
from aims.identifier.models import Agent
from aims.people.models import User
from audit.write import NOBODY, Facts, record

NAME_MAX = 80
MAPPED_MAX = 2000  # subjects, and clients, of one server
SCOPES_MAX = 50
TRUST_NARROWED = "trust_narrowed"
_FIELDS = ("name", "accepts", "receives", "scopes", "matches_email", "tells_email")


@dataclass(frozen=True, kw_only=True)
class TrustServer:
    """What another server may say here, and what we say to it. subjects, clients: by the name that it uses."""

    issuer: str
    name: str
    accepts: tuple[str, ...] = ()
    receives: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    matches_email: bool = False
    tells_email: bool = False
    subjects: Mapping[str, User] | None = None
    clients: Mapping[str, Agent] | None = None


def trust_server(command: TrustServer, *, by: str, now: datetime) -> tuple[ForeignServer, list[str]]:
    """Make this so; return the server and the names of what changed. subjects, clients: None leaves them as they are.

    The same again writes no entry. Raises TrustRefused.
    """
    wanted = _checked(command)
    with transaction.atomic():
        server = ForeignServer.objects.select_for_update().filter(issuer=command.issuer).first()
        if server is not None and server.retired_at is not None:
            raise TrustRefused("This server was retired, for good.")
        is_new, before = server is None, _state(server)
        if server is None:
            server = ForeignServer.objects.create(issuer=command.issuer, trusted_at=now, **wanted)
        else:
            ForeignServer.objects.filter(pk=server.pk).update(**wanted)
            server.refresh_from_db()
        _map(server, command)
        after = _state(server)
        changed = [name for name, value in after.items() if is_new or before[name] != value]
        if changed:
            record(_event(server, changed), by=by, facts=_facts(server))
        if not is_new and any(_is_less(before[name], after[name]) for name in changed):
            end_tokens_by(server, reason=TRUST_NARROWED, by=by, now=now)
    return server, changed


def retire_server(server: ForeignServer, *, by: str, now: datetime) -> None:
    """Trust a server no more, for good; what was issued on its word ends now. Raises TrustRefused."""
    with transaction.atomic():
        if ForeignServer.objects.filter(pk=server.pk, retired_at=None).update(retired_at=now) != 1:
            raise TrustRefused("This server was retired already.")
        record(ServerRetired(server=server.ref), by=by, facts=_facts(server))
        end_tokens_by(server, reason=TRUST_NARROWED, by=by, now=now)
    server.refresh_from_db()


def _checked(command: TrustServer) -> dict[str, object]:
    """Return the columns, if they may be so."""
    parts = urlsplit(command.issuer)
    is_local = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1")
    # RFC 8414 §2: an https URL without query or fragment; on one machine, for trying out, http will do.
    if not (parts.scheme == "https" or is_local) or not parts.hostname or parts.query or parts.fragment:
        raise TrustRefused("The issuer is an https URL without query and fragment.")
    if len(command.issuer) > ISSUER_MAX or not command.issuer.isprintable():
        raise TrustRefused("The issuer is too long, or holds a character that can't be kept.")
    if command.issuer == settings.ISSUER:
        raise TrustRefused("This is our own issuer: nobody here takes our word from outside.")
    if not command.name.strip() or len(command.name) > NAME_MAX or not command.name.isprintable():
        raise TrustRefused(f"The name has 1 to {NAME_MAX} characters.", field="name")
    if not {*command.accepts, *command.receives} <= set(Profile.values):
        raise TrustRefused(f"The profiles are {', '.join(Profile.values)}.", field="accepts")
    if len(command.scopes) > SCOPES_MAX or not all(_is_word(word) for word in command.scopes):
        raise TrustRefused(f"At most {SCOPES_MAX} scopes, each one word.", field="scopes")
    for mapped in (command.subjects or {}, command.clients or {}):
        if len(mapped) > MAPPED_MAX or not all(1 <= len(name) <= SUBJECT_MAX and name.isprintable() for name in mapped):
            raise TrustRefused(
                f"At most {MAPPED_MAX} names, each of 1 to {SUBJECT_MAX} printable characters.", field="subjects"
            )
        if len({each.pk for each in mapped.values()}) != len(mapped):
            raise TrustRefused("A person or an agent has one name at a server.", field="subjects")
    return {
        "name": command.name.strip(),
        "accepts": sorted(set(command.accepts)),
        "receives": sorted(set(command.receives)),
        "scopes": sorted(set(command.scopes)),
        "matches_email": command.matches_email,
        "tells_email": command.tells_email,
    }


def _is_word(word: str) -> bool:
    return (
        bool(word)
        and len(word) <= SUBJECT_MAX
        and word.isascii()
        and word.isprintable()
        and not set(word) & set(' "\\')
    )


def _map(server: ForeignServer, command: TrustServer) -> None:
    if command.subjects is not None:
        rows = server.subjects.filter(is_ours=False)
        held = {row.subject: row.person_id for row in rows}
        wanted = {name: person.pk for name, person in command.subjects.items()}
        if held != wanted:
            # A name that we made gives way to the one that the two sides agreed on.
            server.subjects.filter(is_ours=True, person__in=wanted.values()).delete()
            rows.delete()
            ForeignSubject.objects.bulk_create(
                ForeignSubject(server=server, subject=name, person_id=pk) for name, pk in wanted.items()
            )
    if command.clients is not None:
        held_clients = {row.client_id: row.agent_id for row in server.clients.all()}
        agents = {name: agent.pk for name, agent in command.clients.items()}
        if held_clients != agents:
            server.clients.all().delete()
            ForeignClient.objects.bulk_create(
                ForeignClient(server=server, client_id=name, agent_id=pk) for name, pk in agents.items()
            )


def _state(server: ForeignServer | None) -> dict[str, object]:
    if server is None:
        return {}
    return {name: getattr(server, name) for name in _FIELDS} | {
        "subjects": {row.subject: row.person_id for row in server.subjects.filter(is_ours=False)},
        "clients": {row.client_id: row.agent_id for row in server.clients.all()},
    }


def _is_less(before: object, after: object) -> bool:
    """Return whether something was taken away: an item of a list or a map, or a switch that was on."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return not before.items() <= after.items()
    if isinstance(before, Sequence) and isinstance(after, Sequence) and not isinstance(before, str):
        return not set(before) <= set(after)
    return before is True and after is False


def _event(server: ForeignServer, changed: list[str]) -> ServerTrusted:
    return ServerTrusted(
        server=server.ref,
        changed=changed,
        accepts=list(server.accepts),
        receives=list(server.receives),
        subjects=server.subjects.filter(is_ours=False).count(),
        clients=server.clients.count(),
    )


def _facts(server: ForeignServer) -> Facts:
    return replace(NOBODY, resource=server.issuer)
