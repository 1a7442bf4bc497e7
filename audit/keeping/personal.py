"""Personal values beside the log: kept with the entry that commits to them, shown one by one, found by exact search.

This module is below ``audit.write``, which keeps what an event brings.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from audit.keeping import commitment, keystore, sealing
from audit.keeping.commitment import SALT_BYTES, VALUE_MAX_BYTES, Personal
from audit.keeping.errors import KeyBroken, NoSuchValue, ValueTooLarge
from audit.keeping.models import PersonalValue

_BLIND_TAG = b"audit-personal-blind/v1\0"


@dataclass(frozen=True)
class Committed:
    """An event's members, commitments in the place of personal values; and the rows that hold those."""

    data: Mapping[str, Any]
    rows: tuple[PersonalValue, ...]

    def store(self) -> None:
        """Store the values, in the transaction of the entry."""
        PersonalValue.objects.bulk_create(self.rows)


@dataclass(frozen=True)
class Opened:
    """A personal value, and the salt with which anybody checks it against the commitment in the entry."""

    field: str
    person: str
    value: str
    salt: bytes
    commitment: str


def committed(event: Any, event_id: str) -> Committed:
    """Return what an event with personal fields leaves in the log, and what beside it.

    Raises: ValueTooLarge, PersonErased, KeysUnavailable, KeyBroken. Nothing is written but the keys of people.
    """
    data = dict(vars(event))
    rows = []
    keys: dict[str, bytes] = {}
    for field in event.personal:
        value = data[field]
        if value is None:
            continue
        assert isinstance(value, Personal), field
        if value.person not in keys:
            keys[value.person] = keystore.key_for(value.person)
        rows.append(_sealed(event_id, field, value, keys[value.person]))
        data[field] = rows[-1].commitment
    return Committed(data, tuple(rows))


def opened(row: PersonalValue) -> Opened:
    """Return a stored value. Raises: NoSuchValue where its person was erased, KeysUnavailable, KeyBroken."""
    key = keystore.key_of(row.person)
    if key is None:
        raise NoSuchValue("its person was erased")
    plain = sealing.unseal(bytes(row.ciphertext), keys=[key], purpose=_purpose(row.event_id, row.field, row.person))
    salt, value = plain[:SALT_BYTES], plain[SALT_BYTES:].decode()
    if not commitment.opens(row.commitment, salt=salt, field=row.field, value=value):
        raise KeyBroken("the stored value is not what was committed to")
    return Opened(row.field, row.person, value, salt, row.commitment)


def blind_of(field: str, value: str) -> bytes:
    """Return what a value is found by: keyed, so that it tells nothing without ``AIMS_SECRET_KEY``. Case is ignored."""
    key = hmac.digest(settings.SECRET_KEY.encode(), _BLIND_TAG + field.encode(), "sha256")
    return hmac.digest(key, value.strip().casefold().encode(), "sha256")


def _sealed(event_id: str, field: str, given: Personal, key: bytes) -> PersonalValue:
    raw = given.value.encode()
    if not 0 < len(raw) <= VALUE_MAX_BYTES:
        raise ValueTooLarge(f"{field}: {len(raw)} bytes")
    salt = secrets.token_bytes(SALT_BYTES)
    return PersonalValue(
        event_id=event_id,
        field=field,
        person=given.person,
        commitment=commitment.commit(salt, field, given.value),
        ciphertext=sealing.seal(salt + raw, key=key, purpose=_purpose(event_id, field, given.person)),
        blind=blind_of(field, given.value),
    )


def _purpose(event_id: str, field: str, person: str) -> str:
    return f"audit.personal:{event_id}:{field}:{person}"
