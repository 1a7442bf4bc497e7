"""Who was erased stays so: whoever writes something of a person's holds their row, and looks."""

from __future__ import annotations

from django.db import connection

from aims.people.errors import PersonWasErased
from aims.people.models import User


def hold_living(person: User) -> None:
    """Hold a person's row until the caller's transaction ends. Raises PersonWasErased.

    The person in hand was read before: without this, a name or a label would be written back over its erasure, for good.
    """
    assert connection.in_atomic_block
    held = User.objects.select_for_update().get(pk=person.pk)
    if held.erased_at is not None:
        raise PersonWasErased(detail=held.ref)
