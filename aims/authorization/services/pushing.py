"""Authorization requests that wait for their person: pushed by a client, or brought by the browser. Spec: RFC 9126."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from aims.authentication.client import Client
from aims.authentication.replay import spend
from aims.authorization.authorize import Requested
from aims.authorization.authorize_errors import ReferenceUnknown, ServerBusy
from aims.authorization.authorize_events import RequestPushed
from aims.authorization.models import PushedRequest
from aims.authorization.services.order import begin
from aims.authorization.services.policy import POSTURE_UNKNOWN
from aims.identifier.models import Agent
from aims.kit.ids import digest, new_secret
from audit.write import Facts, record

URN = "urn:ietf:params:oauth:request_uri:"
LIFETIME_S = 300  # RFC 9126 §2.2 leaves it open; FAPI 2.0 §5.3.2.2: less than 600
READING_S = 600  # from when a person first has it before them
OPEN_MAX = 100  # of one client


@dataclass(frozen=True, kw_only=True)
class Pushed:
    """The answer of the endpoint. Spec: RFC 9126 §2.2."""

    request_uri: str
    expires_in: int


def push(client: Client, requested: Requested, parameters: Mapping[str, Any], *, jkt: str, now: datetime) -> Pushed:
    """Keep an authenticated request for its person; the proofs are spent in the same transaction.

    jkt: of the key that alone redeems the code. Raises ServerBusy, ProofReplayed, DpopReplayed.
    """
    agent = client.agent
    assert agent is not None
    with transaction.atomic():
        begin(agent)
        spend(*client.proofs)
        reference, row = _keep(agent, parameters, jkt=jkt, is_pushed=True, now=now)
        event = RequestPushed(
            pushed=row.ref,
            detail_types=sorted({detail["type"] for detail in requested.details}),
            expires_at=int(row.expires_at.timestamp()),
            is_bound=bool(jkt),
        )
        record(event, by=client.identifier, facts=facts_of(row, requested, decision="not_applicable"))
    return Pushed(request_uri=URN + reference, expires_in=LIFETIME_S)


def bring(agent: Agent, requested: Requested, parameters: Mapping[str, Any], *, now: datetime) -> str:
    """Keep a request that somebody signed in brought in the address; return its ``request_uri``. Raises ServerBusy.

    So it goes the same way as a pushed one from here on, and a reload shows the same question.
    """
    with transaction.atomic():
        begin(agent)
        reference, _row = _keep(agent, parameters, jkt=requested.jkt, is_pushed=False, now=now)
    return URN + reference


def find(client_id: str, request_uri: str, *, now: datetime) -> PushedRequest:
    """Return the request under this reference if it is this client's and still waits. Raises ReferenceUnknown."""
    if not request_uri.startswith(URN):
        raise ReferenceUnknown
    rows = PushedRequest.objects.select_related("agent", "agent__owner", "approval", "person")
    row = rows.filter(reference_hash=digest(request_uri.removeprefix(URN)), agent__identifier=client_id).first()
    if row is None or row.expires_at <= now:
        raise ReferenceUnknown
    return row


def seen(row: PushedRequest, *, now: datetime) -> None:
    """Give the person time to read, counted once from when they first saw it."""
    if row.seen_at is None:
        until = now + timedelta(seconds=READING_S)
        PushedRequest.objects.filter(pk=row.pk, seen_at=None).update(seen_at=now, expires_at=until)


def drop_due(*, now: datetime) -> int:
    """Forget requests that nobody answered in time; return how many."""
    return int(PushedRequest.objects.filter(expires_at__lte=now).delete()[0])


def facts_of(row: PushedRequest, requested: Requested, *, decision: str, subject: str | None = None) -> Facts:
    """Return the seven fields of the log for an entry about this request."""
    return Facts(
        agent=row.agent.identifier,
        subject=subject,
        resource=requested.resource or None,
        action=None,
        decision=decision,
        txn=row.approval.txn if row.approval else None,
        posture=POSTURE_UNKNOWN,
        remediation=None,
    )


def _keep(
    agent: Agent, parameters: Mapping[str, Any], *, jkt: str, is_pushed: bool, now: datetime
) -> tuple[str, PushedRequest]:
    if PushedRequest.objects.filter(agent=agent, expires_at__gt=now).count() >= OPEN_MAX:
        raise ServerBusy
    reference = new_secret()  # RFC 9126 §7.1: not to be guessed
    row = PushedRequest.objects.create(
        reference_hash=digest(reference),
        agent=agent,
        parameters=dict(parameters),
        jkt=jkt,
        is_pushed=is_pushed,
        created_at=now,
        expires_at=now + timedelta(seconds=LIFETIME_S),
    )
    return reference, row
