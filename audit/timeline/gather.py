"""Which entries a story is made of: of one transaction, approval, trace, grant, agent or person. Bounded, by index."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet

from audit.access import Scope
from audit.entries import EntryView, views_of
from audit.models import Entry
from audit.search.finding import PAGE_MAX, newest
from audit.search.language import parse
from audit.timeline.happened import Happened
from audit.write import vocabulary

PAGE = 500  # entries of one page
RECENT = 200  # of an agent's or a person's, the newest
CHANGES_MAX = 100  # of what changed authority meanwhile
CHANGES_AFTER = timedelta(hours=1)  # a token lives no longer
TRANSACTIONS_MAX = 20  # of one trace or grant
KINDS = ("txn", "approval", "trace", "grant", "agent", "person")
_BY_REFERENCE = {"approval": "approval", "trace": "ref", "grant": "grant"}

Transactions = Callable[[str, str], Sequence[str]]
_CHANGES_OF_ALL = ("policy.version.activated",)


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """Entries in the order of the log. later, earlier: the index to go on from, None at the end.

    is_cut: a reference leads to more transactions, or more changed meanwhile, than are looked at; no page shows the rest.
    """

    entries: tuple[EntryView, ...]
    later: int | None = None
    earlier: int | None = None
    is_cut: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left out."""
        return self.later is None and self.earlier is None and not self.is_cut


def gather(
    kind: str,
    ref: str,
    *,
    scope: Scope,
    now: datetime,
    after: int | None = None,
    before: int | None = None,
    below: int | None = None,
    transactions: Transactions | None = None,
) -> Gathered:
    """Return the entries of a story. below: no entry from this index on, as if the log had ended there.

    transactions: of a reference that entries don't name, by kind and reference.
    """
    kept = scope.restrict(Entry.objects.all() if below is None else Entry.objects.filter(index__lt=below))
    if kind in ("agent", "person"):
        return _newest(_about(kind, ref, kept), before)
    rows, is_cut = _rows(kind, ref, kept, scope=scope, now=now, below=below, transactions=transactions)
    start = rows.filter(index__gt=after) if after is not None else rows
    found = list(start.order_by("index")[: PAGE + 1])
    page, more = found[:PAGE], len(found) > PAGE
    views = views_of(page)
    if views:
        changes = _changes(views, kept, is_last=not more)
        is_cut = is_cut or len(changes) >= CHANGES_MAX
        seen = {view.index for view in views}
        views = sorted([*views, *(each for each in changes if each.index not in seen)], key=lambda view: view.index)
    return Gathered(
        entries=tuple(views),
        later=page[-1].index if more else None,
        earlier=-1 if after is not None and views else None,
        is_cut=is_cut,
    )


def happened(entries: Iterable[EntryView]) -> list[Happened]:
    """Return entries as what happened: reports at the moment that their reporters name."""
    known = vocabulary()
    return [_happened(entry, known[entry.type].part if entry.type in known else "note") for entry in entries]


def _happened(entry: EntryView, part: str) -> Happened:
    at_ms = entry.data.get("at_ms") if part == "report" else None
    return Happened(
        index=entry.index,
        at=datetime.fromtimestamp(at_ms / 1000, UTC) if isinstance(at_ms, int) else entry.occurred_at,
        type=entry.type,
        title=entry.title,
        tone=entry.tone,
        part=part,
        by=entry.by,
        agent=entry.agent,
        subject=entry.subject,
        resource=entry.resource,
        action=entry.action,
        decision=entry.decision,
        txn=entry.txn,
        posture=entry.posture,
        remediation=entry.remediation,
        data=entry.data,
    )


def _about(kind: str, ref: str, kept: QuerySet[Entry]) -> QuerySet[Entry]:
    column = "agent" if kind == "agent" else "subject"
    return kept.filter(Q(**{column: ref}) | Q(by=ref))


def _newest(rows: QuerySet[Entry], before: int | None) -> Gathered:
    start = rows.filter(index__lt=before) if before is not None else rows
    found = list(start.order_by("-index")[: RECENT + 1])
    page = found[:RECENT][::-1]
    return Gathered(
        entries=tuple(views_of(page)),
        earlier=page[0].index if len(found) > RECENT else None,
        later=-1 if before is not None and page else None,
    )


def _rows(
    kind: str,
    ref: str,
    kept: QuerySet[Entry],
    *,
    scope: Scope,
    now: datetime,
    below: int | None,
    transactions: Transactions | None,
) -> tuple[QuerySet[Entry], bool]:
    """Return the entries of a transaction, or of all that a reference leads to; and whether it leads to still more."""
    if kind == "txn":
        return kept.filter(txn=ref), False
    # Who read or took this very story names it too, and must not become a part of it.
    named = newest(parse(f'{_BY_REFERENCE[kind]}:"{ref}" -type:audit.*', now), below, PAGE_MAX, scope=scope)
    given = list(transactions(kind, ref)) if transactions else []
    txns = list(dict.fromkeys([*given, *(each.txn for each in named if each.txn)]))
    rows = kept.filter(Q(index__in=[each.index for each in named]) | Q(txn__in=txns[:TRANSACTIONS_MAX]))
    return rows, len(named) >= PAGE_MAX or len(txns) > TRANSACTIONS_MAX


def _changes(views: Sequence[EntryView], kept: QuerySet[Entry], *, is_last: bool) -> list[EntryView]:
    """Return what changed the authority of a story's agents between its first and its last entry, or soon after it."""
    types = [type for type, event in vocabulary().items() if event.part == "change"]
    agents = {view.agent for view in views if view.agent}
    about = Q(type__in=types, agent__in=agents) | Q(type__in=_CHANGES_OF_ALL)
    rows = kept.filter(about, index__gt=views[0].index, txn=None)
    meanwhile = views_of(rows.filter(index__lt=views[-1].index).order_by("index")[:CHANGES_MAX])
    if not is_last:
        return meanwhile
    until = views[-1].recorded_at + CHANGES_AFTER
    after = rows.filter(index__gt=views[-1].index, recorded_at__lte=until).exclude(type__in=_CHANGES_OF_ALL)
    return [*meanwhile, *_of_these(views_of(after.order_by("index")[:CHANGES_MAX]), _tokens(views))]


def _tokens(views: Iterable[EntryView]) -> set[str]:
    return {str(view.data["jti"]) for view in views if view.data.get("jti")}


def _of_these(changes: Sequence[EntryView], tokens: set[str]) -> list[EntryView]:
    """Return the changes up to the one that ended a token of the story; what came later is another story."""
    for place, change in enumerate(changes):
        jtis = change.data.get("jtis")
        if isinstance(jtis, list) and tokens & set(map(str, jtis)):
            return list(changes[: place + 1])
    return []


def names_in(entries: Iterable[EntryView]) -> Mapping[str, None]:
    """Return every reference in entries that may have a name, once."""
    found: dict[str, None] = {}
    for entry in entries:
        found |= dict.fromkeys(
            filter(None, (entry.by, entry.agent, entry.subject, entry.resource, entry.data.get("peer")))
        )
    return found
