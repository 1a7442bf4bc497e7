"""Checking the whole log from its bytes. Design section 10: ten million entries in a minute on one core.

What is generated is smaller; the figure is carried over to ten million, since the check reads each entry once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice

from django.db import connection

from aims.authorization.events import TokenIssued
from audit import checkpoints
from audit.models import Entry
from audit.sequencer import Sequencer
from audit.verify import verify_log
from audit.write import Facts, inbox_payload
from tests.bench.cases import Figure, Reading, figure

ENTRIES = 100_000
TEN_MILLION = 10_000_000
BAR_S = 60
_AT_ONCE = 5_000


def _read() -> Sequence[Reading]:
    checkpoints.create_log_key(checkpoints.key_path())
    all_payloads = payloads_of_entries()
    while payloads := list(islice(all_payloads, _AT_ONCE)):
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO audit_inboxrow (payload) SELECT unnest(%s::bytea[])", [payloads])
        Sequencer().run_once()
    entries, began = Entry.objects.count(), time.perf_counter()
    verdict = verify_log()
    elapsed = time.perf_counter() - began
    assert verdict.is_good and verdict.entries == entries, verdict
    carried = Reading(what="10 million entries", value=elapsed * TEN_MILLION / entries, unit="s", bar=BAR_S)
    return [
        carried,
        Reading(what=f"of {entries} entries, thousands a second", value=entries / elapsed / 1000, unit="k/s"),
    ]


def payloads_of_entries() -> Iterator[bytes]:
    """Yield what a hundred thousand tokens leave in the inbox."""
    for number in range(ENTRIES):
        event = TokenIssued(
            jti=f"tok_{number:026d}", expires_at=1_800_000_000 + number, policy_version=3, policies=["inside-a-grant"],
            detail_types=["payment_initiation"], request=None,
        )  # fmt: skip
        agent = f"spiffe://acme.example/agent/a{number % 200}"
        yield inbox_payload(event, by=agent, facts=_facts(agent, number))


def _facts(agent: str, number: int) -> Facts:
    return Facts(
        agent=agent, subject=agent, resource="https://pay.example/", action="accounts.read", decision="allow",
        txn=f"txn_{number // 3:026d}", posture="unknown", remediation=None,
    )  # fmt: skip


figure(Figure(name="full verification", measure=_read))
