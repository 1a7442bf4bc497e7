"""Somebody must always be able to administer. The way back from outside is ``manage.py invite EMAIL --role admin``."""

from __future__ import annotations

from aims.people.errors import LastAdmin
from aims.people.models import Passkey, Role, RoleHolding, User


def hold_admins() -> None:
    """Lock who holds the admin role, in one order; first in the transaction of every verb that can end an admin.

    Two admins who end each other then come one after the other, and the second sees that it is the last.
    """
    held = RoleHolding.objects.select_for_update(no_key=True).filter(role=Role.ADMIN, until_at=None)
    list(held.order_by("pk").values_list("pk"))


def refuse_last_admin(leaving: User) -> None:
    """Raise LastAdmin if nobody could administer any more without this person; call ``hold_admins`` before.

    Where they have a passkey, somebody else must have one: an admin who was only invited cannot sign in yet.
    """
    holding = RoleHolding.objects.filter(role=Role.ADMIN, until_at=None)
    admins = User.objects.filter(is_active=True, pk__in=holding.values("person"))
    if not admins.filter(pk=leaving.pk).exists():
        return
    others, keys = admins.exclude(pk=leaving.pk), Passkey.objects.filter(ended_at=None)
    if keys.filter(person=leaving).exists():
        others = others.filter(pk__in=keys.values("person"))
    if not others.exists():
        raise LastAdmin(detail=leaving.ref)
