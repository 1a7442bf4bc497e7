"""Ping: telling an agent that its request was decided. Work is found by ``ping_due_at``, not sent.

Spec: CIBA Core 1.0 §10.2: the body is the id and nothing else; no redirects; never again after 401.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from aims.authorization.models import BackchannelRequest
from aims.authorization.queries import client_of
from aims.authorization.request_events import PingDelivered, PingGivenUp
from aims.authorization.services.backchannel import SEAL_PURPOSE
from aims.authorization.services.requests import facts_of
from aims.kit.fetch import FetchRefused, post
from aims.kit.seal import unseal
from audit.write import record

BATCH_MAX = 50
ATTEMPTS_MAX = 6
BACK_OFF_S = (2, 10, 60, 300, 900)
DELIVERED = "delivered"


@dataclass(frozen=True)
class _Answer:
    """outcome: ``delivered``, a status, or the code of the fetcher. is_final: whether another try could help."""

    outcome: str
    is_final: bool


def deliver_due(*, now: datetime) -> int:
    """Deliver every notification that is due; return how many were delivered."""
    due = BackchannelRequest.objects.filter(ping_due_at__lte=now).order_by("ping_due_at")
    found = due.select_related("request", "request__agent", "request__agent__owner", "request__subject")[:BATCH_MAX]
    return sum(_deliver(door, now=now) for door in found)


def _deliver(door: BackchannelRequest, *, now: datetime) -> bool:
    if not _claim(door, now=now):
        return False
    answer = _call(door)
    if answer.outcome != DELIVERED and not answer.is_final and door.ping_attempts < ATTEMPTS_MAX:
        return False  # the claim has already set the next try
    _close(door, answer)
    return answer.outcome == DELIVERED


def _claim(door: BackchannelRequest, *, now: datetime) -> bool:
    """Take this attempt for this worker by moving the next try. A crash after it costs one attempt, never two calls."""
    wait_s = BACK_OFF_S[min(door.ping_attempts, len(BACK_OFF_S) - 1)]
    mine = BackchannelRequest.objects.filter(pk=door.pk, ping_attempts=door.ping_attempts, ping_due_at=door.ping_due_at)
    door.ping_attempts += 1
    return mine.update(ping_attempts=door.ping_attempts, ping_due_at=now + timedelta(seconds=wait_s)) == 1


def _call(door: BackchannelRequest) -> _Answer:
    endpoint = client_of(door.request.agent).backchannel_client_notification_endpoint
    if not endpoint or door.sealed_delivery is None:
        return _Answer("no_endpoint", is_final=True)
    delivery = json.loads(unseal(bytes(door.sealed_delivery), purpose=SEAL_PURPOSE))
    body = json.dumps({"auth_req_id": delivery["auth_req_id"]}).encode()
    headers = {"Authorization": f"Bearer {delivery['token']}", "Content-Type": "application/json"}
    try:
        status = post(endpoint, body=body, headers=headers)
    except FetchRefused as error:
        return _Answer(error.code, is_final=False)
    if 200 <= status < 300:
        return _Answer(DELIVERED, is_final=True)
    # 401 is never called again; other 3xx and 4xx will not change by asking again; the agent can still poll.
    return _Answer(str(status), is_final=status < 500 and status != 429)


def _close(door: BackchannelRequest, answer: _Answer) -> None:
    request, is_delivered = door.request, answer.outcome == DELIVERED
    with transaction.atomic():
        open_ones = BackchannelRequest.objects.filter(pk=door.pk, ping_outcome="")
        if open_ones.update(ping_outcome=answer.outcome[:40], ping_due_at=None, sealed_delivery=None) != 1:
            return
        event = (
            PingDelivered(request=request.ref, attempts=door.ping_attempts)
            if is_delivered
            else PingGivenUp(request=request.ref, attempts=door.ping_attempts, outcome=answer.outcome)
        )
        record(event, by="system", facts=facts_of(request, decision="not_applicable"))
