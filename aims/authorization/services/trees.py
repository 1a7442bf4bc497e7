"""Trees of tokens: what was exchanged hangs below what it was exchanged for, and ends with it.

A tree is locked at its root, before any other row of it, several in the order of their keys: who exchanges and who ends
then come one after the other, and nobody hangs a token under one that ends meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q, QuerySet

from aims.authorization.models import AccessToken


def lock(tokens: QuerySet[AccessToken]) -> None:
    """Lock the roots of these tokens' trees, in the caller's transaction."""
    pairs = list(tokens.values_list("jti", "root_ref"))
    roots = {root_ref or jti for jti, root_ref in pairs}
    list(
        AccessToken.of_every_kind.select_for_update(no_key=True).filter(jti__in=roots).order_by("pk").values_list("pk")
    )


def below(tokens: Iterable[AccessToken], *, now: datetime) -> list[AccessToken]:
    """Return every live token under these. The caller has locked their trees."""
    tops = list(tokens)
    trees = {token.root_ref or token.jti for token in tops}
    rows = AccessToken.of_every_kind.filter(Q(revoked_at=None), root_ref__in=trees, expires__gt=now).order_by("pk")
    found: list[AccessToken] = []
    ended, tops_pk = {token.pk for token in tops}, {token.pk for token in tops}
    for row in rows:  # by key, so a parent comes before its children
        if row.parent_id in ended:
            ended.add(row.pk)
            if row.pk not in tops_pk:
                found.append(row)
    return found
