"""How strong the log's claim is at present, by facts: T0 nobody but us, T1 copies, T2 time stamps, T3 a witness, T4 a quorum.

Each tier says who would have to be in it together to show somebody another history.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings

from audit import copies, timestamps, trust
from audit.models import Checkpoint, Cosignature, Log, Timestamp, WitnessState
from audit.policy import Policy, Witness

LAG = timedelta(minutes=5)  # what was signed longer ago must be attested by now
WITNESS_FRESH = timedelta(hours=1)
STAMP_FRESH = 2 * timestamps.SPACING
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Cosigner:
    """A witness at present. is_fresh: it covers all but the newest. is_apart: not on this very machine."""

    name: str
    key_name: str
    url: str
    is_fresh: bool
    is_apart: bool
    size: int
    cosigned_at: datetime | None
    trouble: str
    trouble_at: datetime | None


@dataclass(frozen=True)
class Strength:
    """The tier, and what it rests on. stamp_trouble: why the authority's last answer was of no use."""

    tier: str
    has_copies: bool
    stamp: Timestamp | None
    is_stamp_fresh: bool
    stamp_trouble: str
    witnesses: tuple[Cosigner, ...]
    quorum: str
    has_quorum: bool

    @property
    def fresh(self) -> int:
        """How many independent witnesses are up to date."""
        return sum(each.is_fresh and each.is_apart for each in self.witnesses)


def assess(now: datetime) -> Strength:
    """Return how strong the claim of the growing log is now."""
    log = Log.objects.order_by("-generation").first()
    policy = _policy()
    stamp = timestamps.newest(log) if log and settings.TSA_URL else None
    is_stamp_fresh = stamp is not None and now - stamp.stamped_at <= STAMP_FRESH
    witnesses = tuple(_cosigner(log, each, now) for each in policy.witnesses) if log else ()
    counted = {each.name for each in witnesses if each.is_fresh and each.is_apart}
    has_quorum = policy.quorum != "none" and policy.is_met(counted)
    state = WitnessState.objects.filter(witness=timestamps.AUTHORITY, key_id="").first()
    tiers = {"T4": has_quorum, "T3": bool(counted), "T2": is_stamp_fresh, "T1": copies.is_elsewhere()}
    return Strength(
        tier=next((tier for tier, holds in tiers.items() if holds), "T0"),
        has_copies=copies.is_elsewhere(),
        stamp=stamp,
        is_stamp_fresh=is_stamp_fresh,
        stamp_trouble=state.trouble if state else "",
        witnesses=witnesses,
        quorum=policy.quorum,
        has_quorum=has_quorum,
    )


def _policy() -> Policy:
    try:
        return trust.configured()
    except (OSError, ValueError):
        return trust.NO_WITNESSES  # it was readable at the start; what can't be read now counts for nothing


def _cosigner(log: Log, witness: Witness, now: datetime) -> Cosigner:
    key = {"witness": witness.key.name, "key_id": witness.key.id.hex()}
    newest = Cosignature.objects.filter(generation=log.generation, **key).order_by("-size", "-cosigned_at").first()
    state = WitnessState.objects.filter(**key).first()
    at = datetime.fromtimestamp(newest.cosigned_at, UTC) if newest else None
    host = urlsplit(witness.url).hostname or ""
    return Cosigner(
        name=witness.name,
        key_name=witness.key.name,
        url=witness.url,
        is_fresh=newest is not None
        and at is not None
        and now - at <= WITNESS_FRESH
        and newest.size >= _settled(log, now),
        is_apart=host not in _HERE and host != settings.ISSUER_HOST,
        size=newest.size if newest else 0,
        cosigned_at=at,
        trouble=state.trouble if state else "",
        trouble_at=state.trouble_at if state else None,
    )


def _settled(log: Log, now: datetime) -> int:
    """Return the size of the newest checkpoint that has been there for a while."""
    row = Checkpoint.objects.filter(generation=log.generation, signed_at__lte=now - LAG).order_by("-size").first()
    return row.size if row else 0
