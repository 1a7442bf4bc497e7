"""A story as a reader is shown it, named and worded: what its page and its PDF have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from audit.timeline import words
from audit.timeline.extras import Card, Extras, Labels
from audit.timeline.gather import names_in
from audit.timeline.happened import Happened
from audit.timeline.layout import ROOM, Drawing, lay_out
from audit.timeline.story import Step, Story
from audit.timeline.telling import Timeline

CARDS_MAX = 5


@dataclass(frozen=True, kw_only=True)
class Line:
    """One step as the list shows it. links: label and address of what it rests on. gaps: title and text of each.

    posture: what attestation had found, where it had found anything. because: the step that took its authority away.
    reached: whose tokens it ended. concerns: the agent, person and place that it is about, where the arrow does not say it.
    """

    step: Step
    title: str
    source: str
    target: str
    concerns: tuple[str, ...]
    detail: str
    outcome: str
    witnesses: tuple[str, ...]
    gaps: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    policies: str
    posture: str
    because: Step | None
    reached: tuple[str, ...]
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


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The whole of it. gaps: name, count and meaning of each kind.

    requests: how many approvals are in it; cards that this reader may not see, and those beyond CARDS_MAX, are not compared.
    """

    title: str
    summary: str
    names: Mapping[str, str]
    lines: tuple[Line, ...]
    gaps: tuple[tuple[str, int, str], ...]
    compared: tuple[Compared, ...]
    requests: int


def shown_of(found: Timeline, *, labels: Labels, extras: Extras, reader: Any) -> Shown:
    """Return a story as this reader may see it. reader: whoever ``extras.card`` judges by."""
    names, story = labels(list(names_in(found.gathered.entries))), found.story
    return Shown(
        title=words.title_for(found.kind, names.get(found.ref, "")),
        summary=words.summary(story),
        names=names,
        lines=tuple(_lines(story, names, extras)),
        gaps=tuple((_(words.GAPS[gap][0]), count, _(words.GAPS[gap][1])) for gap, count in story.gaps.items()),
        compared=tuple(_compared(card, story, names) for card in _cards(story, extras, reader)),
        requests=len(story.requests),
    )


def drawing_of(story: Story, names: Mapping[str, str], *, room: int = ROOM) -> Drawing:
    """Return a story's diagram, in the reader's language and zone. room: pixels that lanes may take before they crowd."""
    parties = {party: words.name_of(party, names) for party in story.parties}
    texts = {step.number: words.short_of(step) for step in story.steps}
    clocks = {step.number: timezone.localtime(step.at).strftime("%H:%M:%S") for step in story.steps}
    return lay_out(story, names=parties, words=texts, clocks=clocks, room=room)


def _lines(story: Story, names: Mapping[str, str], extras: Extras) -> list[Line]:
    refs = {ref for step in story.steps for ref in _refs(step)}
    hrefs, steps = extras.links(refs), {step.number: step for step in story.steps}
    return [_line(step, names, hrefs, steps) for step in story.steps]


def _refs(step: Step) -> Iterable[str]:
    yield from step.authority.grants
    if step.authority.request:
        yield step.authority.request
    if step.authority.policy_version is not None:
        yield f"policy:{step.authority.policy_version}"


def _line(step: Step, names: Mapping[str, str], hrefs: Mapping[str, str], steps: Mapping[int, Step]) -> Line:
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
        concerns=tuple(_concerns(step, names)),
        detail=step.action or "",
        outcome=_(words.OUTCOMES[step.outcome]) if step.outcome in words.OUTCOMES else "",
        witnesses=tuple(_(words.WITNESSES[name]) for name in sorted(step.witnesses)),
        gaps=tuple((_(words.GAPS[gap][0]), _(words.GAPS[gap][1])) for gap in step.gaps),
        links=tuple((label, hrefs.get(ref, "")) for label, ref in labelled),
        policies=", ".join(authority.policies),
        posture=next((each.posture for each in step.entries if each.posture not in (None, "unknown")), "") or "",
        because=steps.get(step.because) if step.because else None,
        reached=tuple(words.name_of(party, names) for party in step.reaches),
        entries=tuple(each.index for each in step.entries),
        after=step.at - steps[1].at,
    )


def _concerns(step: Step, names: Mapping[str, str]) -> Iterable[str]:
    drawn = {step.source, step.target}
    for text, member in (
        (_("about %(name)s"), "agent"),
        (_("for %(name)s"), "subject"),
        (_("at %(name)s"), "resource"),
    ):
        ref = next((said for each in step.entries if (said := getattr(each, member))), None)
        if ref and ref not in drawn:
            yield text % {"name": words.name_of(ref, names)}


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
