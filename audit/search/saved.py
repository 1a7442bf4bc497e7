"""Searches that readers keep, for themselves or for all readers, and the ones that come with the console.

A name and a query are free text: they stand in a table of their own, and the log holds a slug and a hash.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from audit.errors import NoSuchSearch, TooManySearches
from audit.events import SearchDeleted, SearchSaved
from audit.models import SavedSearch
from audit.search.syntax import Query
from audit.write import NOBODY, record

SEARCHES_MAX = 100  # of one person
_SLUG_BYTES = 9


@dataclass(frozen=True)
class Kept:
    """A search to choose. is_own: whether the reader may delete it."""

    slug: str
    name: str | Promise
    query: str
    is_shared: bool
    is_own: bool


PRESETS = (
    Kept("denied-today", _("Denied in the last 24 hours"), "decision:denied after:24h", True, False),
    Kept("approvals", _("What people approved, 7 days"), "type:approvals.decision.approved after:7d", True, False),
    Kept("said-no", _("What people refused, 30 days"), "type:approvals.decision.denied after:30d", True, False),
    Kept("used-again", _("Codes and refresh tokens used twice"), "type:reused after:90d", True, False),
    Kept("taken-back", _("Permissions taken back, 30 days"), "type:authorization.grant.revoked after:30d", True, False),
    Kept("failures", _("Unauthenticated calls, 24 hours"), "type:audit.failures.counted after:24h", True, False),
    Kept("operators", _("Done at the command line, 30 days"), "by:cli after:30d", True, False),
    Kept("exports", _("Taken out of the log"), "type:audit.export.*", True, False),
    Kept("readers", _("Who read this log, 7 days"), "type:audit.log.viewed after:7d", True, False),
)


def save(query: Query, *, name: str, is_shared: bool, owner: str, now: datetime) -> str:
    """Keep a search; return its slug. Raises: TooManySearches."""
    slug = secrets.token_urlsafe(_SLUG_BYTES)
    with transaction.atomic():
        if SavedSearch.objects.filter(owner=owner).count() >= SEARCHES_MAX:
            raise TooManySearches(f"{SEARCHES_MAX} searches are kept already; delete one first")
        SavedSearch.objects.create(
            slug=slug, owner=owner, name=name, query=str(query), is_shared=is_shared, saved_at=now
        )
        record(SearchSaved(search=slug, query_hash=hash_of(query), is_shared=is_shared), by=owner, facts=NOBODY)
    return slug


def delete(slug: str, *, by: str) -> None:
    """Delete a search of one's own. Raises: NoSuchSearch, also for one that others keep."""
    with transaction.atomic():
        row = SavedSearch.objects.filter(slug=slug, owner=by).first()
        if row is None or SavedSearch.objects.filter(slug=slug, owner=by).delete()[0] != 1:
            raise NoSuchSearch(f"no search {slug}")
        record(SearchDeleted(search=slug, query_hash=_hash(row.query)), by=by, facts=NOBODY)


def kept_for(reader: str) -> list[Kept]:
    """Return the searches that a reader may choose from: their own, and those shared by others."""
    rows = SavedSearch.objects.filter(Q(owner=reader) | Q(is_shared=True)).order_by("name", "slug")
    return [Kept(row.slug, row.name, row.query, row.is_shared, row.owner == reader) for row in rows]


def find(slug: str, reader: str) -> Kept:
    """Return a search by its permanent name. Raises: NoSuchSearch, also for one that somebody keeps for themselves."""
    found = next((kept for kept in (*PRESETS, *kept_for(reader)) if kept.slug == slug), None)
    if found is None:
        raise NoSuchSearch(f"no search {slug}")
    return found


def hash_of(query: Query) -> str:
    """Return what stands for a query in the log."""
    return _hash(str(query))


def _hash(text: str) -> str:
    return "sha-256:" + hashlib.sha256(b"audit-search/v1\0" + text.encode()).hexdigest()
