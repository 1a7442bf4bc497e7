"""Challenges for sign-in, enrolment and adding keys: made here, bound, and consumed by delete.

A challenge hashes the tag of its purpose, so that no flow can be handed another's (docs/formats.md).
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from aims.people import webauthn
from aims.people.errors import CeremonyGone
from aims.people.models import Ceremony

LIFETIME = timedelta(minutes=10)
RANDOM_BYTES = 32
_TAGS = {
    Ceremony.Purpose.SIGN_IN: webauthn.SIGN_IN,
    Ceremony.Purpose.ENROL: webauthn.ENROL,
    Ceremony.Purpose.ADD_KEY: webauthn.ADD_KEY,
}


def make(purpose: Ceremony.Purpose, *, bound_to: str, now: datetime) -> bytes:
    """Store and return a fresh challenge. bound_to: session key, or the hash of the invitation."""
    challenge = webauthn.tagged_challenge(_TAGS[purpose], secrets.token_bytes(RANDOM_BYTES))
    Ceremony.objects.create(purpose=purpose, challenge=challenge, bound_to=bound_to, expires_at=now + LIFETIME)
    return challenge


def consume(purpose: Ceremony.Purpose, challenge: bytes, *, bound_to: str, now: datetime) -> None:
    """Use a challenge up, inside the caller's transaction. Raises CeremonyGone unless exactly one row went.

    The binding is part of the condition, so that a stranger who saw a challenge cannot burn it.
    """
    rows = Ceremony.objects.filter(purpose=purpose, challenge=challenge, bound_to=bound_to, expires_at__gt=now)
    gone, _ = rows.delete()
    if gone != 1:
        raise CeremonyGone
