"""The page of a story: a sequence diagram, the same as a list, and cards beside what was carried out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.access import scope_of
from audit.events import LogViewed
from audit.timeline import words
from audit.timeline.extras import Card, Extras
from audit.timeline.gather import KINDS, names_in
from audit.timeline.happened import Happened
from audit.timeline.layout import Drawing, lay_out
from audit.timeline.story import Step, Story
from audit.timeline.telling import Timeline, timeline
from audit.views import Labels, standing
from audit.write import NOBODY, record_alone

CARDS_MAX = 5
_REF = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,400}")  # no quote, no backslash: searches quote it


@dataclass(frozen=True, kw_only=True)
class Line:
    """One step as the list shows it. links: label and address of what it rests on. gaps: title and text of each."""

    step: Step
    title: str
    source: str
    target: str
    detail: str
    outcome: str
    witnesses: tuple[str, ...]
    gaps: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    policies: str
    entries: tuple[int, ...]
    after: Any


@dataclass(frozen=True, kw_only=True)
class Done:
    """What somebody reports to have carried out. match: equal, different, or unknown where no hash was given."""

    who: str
    action: str
    at: datetime
    outcome: str
    match: str
    index: int
    hash: str


@dataclass(frozen=True, kw_only=True)
class Compared:
    """A card beside what was carried out. match: of what the resource says, the worst of them; ``nothing`` where nobody says."""

    card: Card
    done: tuple[Done, ...]
    match: str


def story_view(request: HttpRequest, kind: str, ref: str, *, labels: Labels, extras: Extras) -> HttpResponse:
    """Show one story, at most ``gather.PAGE`` entries of it."""
    if kind not in KINDS or not _REF.fullmatch(ref):
        raise Http404
    named = extras.known_as(kind, ref)
    found = timeline(
        kind, named, scope=scope_of(request.user), extras=extras,
        after=_index(request.GET.get("after")), before=_index(request.GET.get("before")),
    )  # fmt: skip
    if not found.story.steps:
        raise Http404
    event = LogViewed(page="timeline", at=named, query=[])
    record_alone(event, by=getattr(request.user, "ref", "unknown"), facts=NOBODY)
    names = labels(list(names_in(found.gathered.entries)))
    parties = {party: words.name_of(party, names) for party in found.story.parties}
    shown = {
        "kind": kind,
        "ref": named,
        "title": words.title_for(kind, names.get(named, "")),
        "summary": words.summary(found.story),
        "drawing": drawing_of(found.story, parties),
        "lines": _lines(found.story, names, extras),
        "gaps": [(_(words.GAPS[gap][0]), count, _(words.GAPS[gap][1])) for gap, count in found.story.gaps.items()],
        "compared": [_compared(card, found.story, names) for card in _cards(found.story, extras, request.user)],
        "chain": extras.links({named}).get(named, ""),
        **_pages(request, found),
        **standing(),
    }
    return render(request, "audit/story.html", shown)


def redirect_view(request: HttpRequest, txn: str) -> HttpResponse:
    """Lead from where a transaction's page was."""
    return HttpResponseRedirect(reverse("audit:story", kwargs={"kind": "txn", "ref": txn}))


def drawing_of(story: Story, parties: Mapping[str, str]) -> Drawing:
    """Return a story's diagram, in the reader's language and zone."""
    texts = {step.number: words.short_of(step) for step in story.steps}
    clocks = {step.number: timezone.localtime(step.at).strftime("%H:%M:%S") for step in story.steps}
    return lay_out(story, names=parties, words=texts, clocks=clocks)


def _lines(story: Story, names: Mapping[str, str], extras: Extras) -> list[Line]:
    refs = {ref for step in story.steps for ref in _refs(step)}
    hrefs, begun = extras.links(refs), story.steps[0].at
    return [_line(step, names, hrefs, begun) for step in story.steps]


def _refs(step: Step) -> Iterable[str]:
    yield from step.authority.grants
    if step.authority.request:
        yield step.authority.request
    if step.authority.policy_version is not None:
        yield f"policy:{step.authority.policy_version}"


def _line(step: Step, names: Mapping[str, str], hrefs: Mapping[str, str], begun: datetime) -> Line:
    authority = step.authority
    version = authority.policy_version
    labelled = [(_("policy %(n)s") % {"n": version}, f"policy:{version}")] if version is not None else []
    labelled += [(_("approval"), authority.request)] if authority.request else []
    labelled += [(_("permission"), grant) for grant in authority.grants]
    return Line(
        step=step,
        title=words.title_of(step),
        source=words.name_of(step.source, names),
        target=words.name_of(step.target, names) if step.target != step.source else "",
        detail=step.action or "",
        outcome=_(words.OUTCOMES[step.outcome]) if step.outcome in words.OUTCOMES else "",
        witnesses=tuple(_(words.WITNESSES[name]) for name in sorted(step.witnesses)),
        gaps=tuple((_(words.GAPS[gap][0]), _(words.GAPS[gap][1])) for gap in step.gaps),
        links=tuple((label, hrefs.get(ref, "")) for label, ref in labelled),
        policies=", ".join(authority.policies),
        entries=tuple(each.index for each in step.entries),
        after=step.at - begun,
    )


def _cards(story: Story, extras: Extras, reader: Any) -> Iterable[Card]:
    found = (extras.card(request, reader) for request in story.requests[:CARDS_MAX])
    return [card for card in found if card is not None]


def _compared(card: Card, story: Story, names: Mapping[str, str]) -> Compared:
    tokens = {step.authority.token for step in story.steps if step.authority.request == card.request}
    done = [
        _done(each, card.details, names)
        for step in story.steps
        if step.part == "call"
        for each in step.entries
        if each.kind.startswith("action.") and (each.request == card.request or (each.jti and each.jti in tokens))
    ]
    executed = [each.match for each in done if each.outcome != "refused"]
    match = next((word for word in ("different", "unknown", "equal") if word in executed), "nothing")
    return Compared(card=card, done=tuple(done), match=match)


def _done(each: Happened, details: Sequence[str], names: Mapping[str, str]) -> Done:
    told = each.text("details_hash")
    match = "unknown" if told is None or not details else "equal" if told in details else "different"
    is_refused = each.kind == "action.refused"
    return Done(
        who=words.name_of(each.by, names),
        action=each.action or "",
        at=each.at,
        outcome="refused" if is_refused else each.text("outcome") or "unknown",
        match=match,
        index=each.index,
        hash=told or "",
    )


def _pages(request: HttpRequest, found: Timeline) -> dict[str, str]:
    """Return where the rest of the story is; -1 stands for its very beginning or its newest end."""

    def link(name: str, index: int | None) -> str:
        return "" if index is None else request.path if index < 0 else "?" + urlencode({name: index})

    return {"later": link("after", found.gathered.later), "earlier": link("before", found.gathered.earlier)}


def _index(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else None
