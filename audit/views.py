"""The pages of the log: list, entry. Reading is recorded: one entry a page view."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from audit import read, trust
from audit.access import Scope, readers_only, scope_of
from audit.errors import EntryGone, LogError
from audit.events import LogViewed
from audit.keeping import showing
from audit.keeping.forms import FIELDS, REASONS
from audit.read import EntryView
from audit.write import NOBODY, record_alone

Labels = Callable[[Collection[str]], Mapping[str, str]]


@dataclass(frozen=True)
class Row:
    """An entry as the list shows it."""

    at: datetime
    title: str
    tone: str
    sub: str
    who: str
    whom: str
    resource: str
    resource_sub: str
    href: str
    index: int


def entry_view(request: HttpRequest, index: int, *, labels: Labels) -> HttpResponse:
    """Show one entry, its bytes and its proof, which the browser checks."""
    scope = scope_of(request.user)
    try:
        entry = read.entry(index, scope=scope)
    except EntryGone as gone:
        return render(request, "audit/gone.html", {"gone": gone, "minimum": read.minimum()}, status=410)
    except LogError as error:
        raise Http404 from error
    note_reading(request, LogViewed(page="entry", at=str(index), query=[]))
    names = names_of([entry], labels)
    shown = {
        "entry": entry,
        "facts": _facts(entry, names),
        "personal": [(field, FIELDS.get(field.name, field.name)) for field in showing.fields_of(entry)],
        "may_reveal": showing.may_reveal(request.user),
        "reasons": REASONS,
        "canon": entry.canon.decode(),
        "proof": _proof(index, scope),
        "vkey": read.vkey(index),
        "policy": trust.shown(),
        **standing(),
    }
    return render(request, "audit/entry.html", shown)


def proof_view(request: HttpRequest, index: int) -> HttpResponse:
    """Answer the proof as a file for other verifiers."""
    if not (proof := _proof(index, scope_of(request.user))):
        raise Http404
    note_reading(request, LogViewed(page="proof", at=str(index), query=[]))
    name = f'attachment; filename="entry-{index}.tlog-proof"'
    return HttpResponse(proof, content_type="text/plain; charset=utf-8", headers={"Content-Disposition": name})


def newer_view(request: HttpRequest) -> HttpResponse:
    """Answer how many entries came after the newest one shown: what the bell makes the list ask for."""
    shown = index_of(request.GET.get("shown")) or 0
    return render(request, "audit/newer.html", {"count": read.count_after(shown - 1, scope=scope_of(request.user))})


def guarded(view: Callable[..., HttpResponse], **extra: Any) -> Callable[..., HttpResponse]:
    """Return a page that only readers of the log see, with the labels it needs."""

    def page(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return view(request, **kwargs, **extra)

    return require_safe(readers_only(page))


def changing(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return an address that readers of the log post to."""
    return require_POST(readers_only(view))


def rows_of(entries: Iterable[EntryView], labels: Labels) -> list[Row]:
    """Return entries as the list shows them, references replaced by names."""
    listed = list(entries)
    names = names_of(listed, labels)
    return [_row(entry, names) for entry in listed]


def _row(entry: EntryView, names: Mapping[str, str]) -> Row:
    def name(ref: str | None) -> str:
        return names.get(ref, ref) if ref else ""

    return Row(
        at=entry.occurred_at,
        title=entry.title,
        tone=entry.tone,
        sub=decision_word(entry.decision),
        who=name(entry.by),
        whom=_whom(entry, name),
        resource=name(entry.resource),
        resource_sub=entry.action or "",
        href=reverse("audit:entry", kwargs={"index": entry.index}),
        index=entry.index,
    )


def _whom(entry: EntryView, name: Callable[[str | None], str]) -> str:
    """Return which agent and person it was about, but for the one who did it; who decided was asked by the agent."""
    agent = name(entry.agent) if entry.agent != entry.by else ""
    subject = name(entry.subject) if entry.subject != entry.by else ""
    if entry.subject and not subject:
        return _("asked by %(agent)s") % {"agent": agent} if agent else ""
    if not subject:
        return agent
    return (
        _("%(agent)s for %(subject)s") % {"agent": agent, "subject": subject}
        if agent
        else _("for %(subject)s") % {"subject": subject}
    )


def _facts(entry: EntryView, names: Mapping[str, str]) -> list[dict[str, Any]]:
    said = [
        (_("Agent"), entry.agent),
        (_("On behalf of"), entry.subject),
        (_("Done by"), entry.by),
        (_("Resource"), entry.resource),
        (_("Action"), entry.action),
        (_("Decision"), entry.decision),
        (_("Transaction"), entry.txn),
        (_("Posture"), entry.posture),
        (_("Remediation"), entry.remediation),
        (_("Kind"), entry.type),
        (_("Event"), entry.event_id),
    ]
    return [_fact(label, value, names) for label, value in said]


def _fact(label: str, value: str | None, names: Mapping[str, str]) -> dict[str, Any]:
    if value is None:
        return {"label": label, "value": _("none")}
    if value in names:
        return {"label": label, "value": names[value], "sub": value}
    return {"label": label, "value": value, "kind": "mono"}


def names_of(entries: Collection[EntryView], labels: Labels) -> Mapping[str, str]:
    refs = {ref for entry in entries for ref in (entry.by, entry.agent, entry.subject, entry.resource) if ref}
    return {**labels(refs), "system": _("the console itself")}


def decision_word(decision: str | None) -> str:
    words = {"allow": _("allowed"), "ask": _("asked"), "approve": _("approved"), "deny": _("denied")}
    return words.get(decision or "", "")


def _proof(index: int, scope: Scope) -> str:
    try:
        return read.tlog_proof(index, scope=scope)
    except LogError:
        return ""


def standing() -> dict[str, Any]:
    """Return what every page of the log says about the log: its checkpoint, its strength, its trouble."""
    try:
        checkpoint = read.latest_checkpoint()
    except LogError:
        checkpoint = None
    return {"checkpoint": checkpoint, "strength": read.strength(), "trouble": read.trouble()}


def note_reading(request: HttpRequest, event: LogViewed) -> None:
    record_alone(event, by=getattr(request.user, "ref", "unknown"), facts=NOBODY)


def index_of(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
