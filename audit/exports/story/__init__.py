"""A story as a PDF: a cover that says how far to trust it, the diagram, the steps, the cards, the entries' leaf hashes.

Set by ``audit.typesetting``. English and UTC, whoever asks, since it goes to third parties.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone, translation

from audit import read
from audit.access import Scope
from audit.exports.product import product
from audit.exports.report.wording import STRENGTH
from audit.exports.story import drawing, wording
from audit.exports.story.proven import Leaf, Proven, prove, signed_at
from audit.exports.story.wording import WORDS
from audit.timeline import words
from audit.timeline.calls import WE_SAW
from audit.timeline.extras import Extras, Labels
from audit.timeline.gather import RECENT, names_in
from audit.timeline.happened import CONSOLE
from audit.timeline.layout import Drawing, kind_of
from audit.timeline.shown import CARDS_MAX, Compared, Line, Shown, drawing_of, shown_of
from audit.timeline.telling import Timeline
from audit.typesetting import pdf
from audit.write import stamp

TEMPLATE = Path(__file__).with_name("story.typ")
LISTED_MAX = 20  # indexes named in a sentence
_NO_USE = ("ask", "answer", "change", "echo")  # steps that are about an authority, and do not use it
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Who wants a story on paper. by: as entries name them. reader: whoever ``Extras.card`` judges by.

    vouched: the sentence that says what the log holds of this file. occasion: what it is part of. snapshot: the signed size to go by; None: the newest.
    """

    by: str
    at: datetime
    scope: Scope
    reader: Any
    labels: Labels
    extras: Extras
    vouched: str = wording.BY_ENTRY
    occasion: str = ""
    snapshot: int | None = None


def write(found: Timeline, asked: Asked) -> bytes:
    """Return the PDF of a story."""
    with translation.override("en"), timezone.override(UTC):
        told = shown_of(found, labels=asked.labels, extras=asked.extras, reader=asked.reader)
        proven = prove(found.gathered.entries, snapshot=asked.snapshot)
        return pdf(TEMPLATE, _data(found, told, proven, asked), at=asked.at)


def _data(found: Timeline, told: Shown, proven: Proven, asked: Asked) -> dict[str, Any]:
    return {
        "title": told.title,
        "above": wording.ABOVE,
        "summary": told.summary,
        "product": product(),
        "ref": found.ref,
        "words": WORDS,
        "asked": _asked(found, told, asked),
        "complete": _complete(found, told, proven, asked.scope),
        "verdict": _verdict(found, proven),
        "missing": [{"title": f"{name}: {count}.", "text": text} for name, count, text in told.gaps],
        "judged": wording.JUDGED if found.story.is_whole else wording.NOT_JUDGED,
        "integrity": _integrity(proven),
        "notes": list(dict.fromkeys(span.note for span in proven.spans)),
        "diagram": _diagram(found, told),
        "who": _who(found, told),
        "steps": [_step(line) for line in told.lines],
        "cards": [_card(each) for each in told.compared],
        "entries": _entries(found, proven),
        "how": [text.format(issuer=settings.ISSUER) if "{issuer}" in text else text for text in wording.HOW],
        "command": wording.COMMAND,
        "truth": wording.TRUTH.format(asked.vouched),
    }


def _asked(found: Timeline, told: Shown, asked: Asked) -> list[Row]:
    name, by = told.names.get(found.ref, ""), asked.labels({asked.by}).get(asked.by, "")
    return [
        {"label": "Console", "value": settings.ISSUER, "mono": True, "sub": product()},
        {"label": "Story of", "value": found.ref, "mono": True, "sub": name},
        {"label": "Asked by", "value": asked.by, "mono": True, "sub": by},
        *([{"label": "Part of", "value": asked.occasion, "mono": True}] if asked.occasion else []),
        {"label": "Made", "value": stamp(asked.at)},
        {"label": "Reader's scope", "value": _scope(asked.scope)},
        {"label": "Zone", "value": "UTC"},
    ]


def _scope(scope: Scope) -> str:
    if scope.is_whole:
        return wording.EVERYTHING
    parts = [] if scope.agents is None else [f"entries about {', '.join(sorted(scope.agents)) or 'no agent'}"]
    parts += [f"recorded from {stamp(scope.since_at)}"] if scope.since_at else []
    parts += [f"recorded before {stamp(scope.until_at)}"] if scope.until_at else []
    return "; ".join(parts)


def _complete(found: Timeline, told: Shown, proven: Proven, scope: Scope) -> list[Row]:
    entries, gathered = found.gathered.entries, found.gathered
    reach = f"{len(entries):,} entries, between entry {entries[0].index:,} and entry {entries[-1].index:,} of the log"
    rows: list[Row] = [{"label": "Told", "value": f"{len(told.lines):,} steps from {reach}"}]
    left = [wording.EARLIER] if gathered.earlier is not None else []
    left += [wording.LATER] if gathered.later is not None else []
    left += [wording.CUT] if gathered.is_cut else []
    recent = wording.RECENT.format(RECENT) if found.kind in ("agent", "person") else ""
    part = {"value": wording.PART.format(", and ".join(left)), "tone": "waiting"} if left else {"value": wording.WHOLE}
    rows.append({"label": "Extent", **part, "sub": recent})
    if not scope.is_whole:
        rows.append({"label": "Left out", "value": wording.SCOPED})
    if told.requests > len(told.compared):
        cards = wording.CARDS.format(len(told.compared), told.requests, CARDS_MAX)
        rows.append({"label": "Cards", "value": cards})
    if proven.unsigned:
        rows.append({"label": "Not yet signed", "value": wording.UNSIGNED.format(_listed(sorted(proven.unsigned)))})
    return rows


def _verdict(found: Timeline, proven: Proven) -> Row:
    count, signed = len(found.gathered.entries), len(found.gathered.entries) - len(proven.unsigned)
    if not proven.is_good:
        return {"title": "Not proven.", "text": wording.BAD, "tone": "no"}
    if not signed:
        return {"title": "Not proven yet.", "text": wording.NONE, "tone": "waiting"}
    if proven.unsigned:
        return {"title": "Partly proven.", "text": wording.SOME.format(signed, count), "tone": "waiting"}
    return {"title": "Proven.", "text": wording.GOOD.format(count), "tone": "yes"}


def _integrity(proven: Proven) -> list[Row]:
    strength, trouble = read.strength(), read.trouble()
    rows: list[Row] = [
        {"label": "Log at that time", "value": f"{proven.size:,} entries under a checkpoint"},
        {"label": "Strength of the log", "value": f"{strength}: {STRENGTH.get(strength, '')}"},
    ]
    if trouble:
        rows.append({"label": "Trouble", "value": wording.TROUBLE.format(trouble), "tone": "no"})
    for span in proven.spans:
        at = signed_at(span)
        rows += [
            {"label": "Checkpoint of", "value": span.origin, "mono": True},
            {"label": "Over", "value": f"{span.size:,} entries", "sub": f"signed {stamp(at)}" if at else ""},
            {"label": "Root", "value": span.root, "mono": True},
            {"label": "Verifier key", "value": span.vkey, "mono": True},
        ]
    return rows


def _diagram(found: Timeline, told: Shown) -> dict[str, Any]:
    paper = drawing.paper_for(len(found.story.parties))
    drawn: Drawing = drawing_of(found.story, told.names, room=paper.room)
    return {
        "paper": {"width": paper.width_mm, "height": paper.height_mm},
        "width": drawn.width,
        "row": drawn.row,
        "lanes": [vars(lane) for lane in drawn.lanes],
        "sheets": [[vars(arrow) for arrow in rows] for rows in drawing.sheets(drawn, paper)],
    }


def _who(found: Timeline, told: Shown) -> list[dict[str, str]]:
    """Return every party and whatever else is named, with the reference that entries know it by."""
    places = {entry.resource for entry in found.gathered.entries}
    named = dict.fromkeys([*found.story.parties, *names_in(found.gathered.entries)])
    return [
        {
            "name": words.name_of(ref, told.names),
            "kind": WORDS["kinds"]["place" if ref in places else kind_of(ref)],
            "ref": settings.ISSUER if ref == CONSOLE else ref,
        }
        for ref in named
        if ref not in ("system", "unknown")
    ]


def _step(line: Line) -> dict[str, Any]:
    step, authority = line.step, line.step.authority
    rests = ", ".join(f"{label} {ref}" if ref else label for label, ref in _rests(line))
    witnesses = [_often(word, step.uses) for word in line.witnesses]
    reached = f"Ended tokens of {', '.join(line.reached)}." if line.reached else ""
    because = f"Because of step {line.because.number}: {line.because.title}." if line.because else ""
    return {
        "number": step.number,
        "at": stamp(step.at),
        "title": line.title,
        "detail": line.detail,
        "outcome": line.outcome,
        "tone": step.tone,
        "who": " · ".join([" → ".join(filter(None, (line.source, line.target))), *line.concerns]),
        "witnesses": "; ".join(witnesses),
        "authority": f"{wording.ABOUT if step.part in _NO_USE else wording.BY} {rests}" if rests else "",
        "token": authority.token or "",
        "posture": line.posture,
        "because": " ".join(filter(None, (reached, because))),
        "gaps": [{"title": f"{title}.", "text": text} for title, text in line.gaps],
        "entries": [each.index for each in step.entries],
    }


def _often(word: str, uses: int) -> str:
    is_ours = uses > 1 and word == str(words.WITNESSES[WE_SAW])
    return f"{word} {uses} times" if is_ours else word


def _rests(line: Line) -> Iterable[tuple[str, str]]:
    """Yield what a step was allowed by, each with the reference that entries know it by."""
    authority = line.step.authority
    if authority.policy_version is not None:
        yield f"policy version {authority.policy_version}", f"({line.policies})" if line.policies else ""
    elif line.policies:
        yield "policies", line.policies
    if authority.request:
        yield "approval", authority.request
    yield from (("permission", grant) for grant in authority.grants)


def _card(each: Compared) -> dict[str, Any]:
    card = each.card
    tone, title, text = wording.MATCHES[each.match]
    decided = stamp(card.decided_at) if card.decided_at else "not decided"
    return {
        "request": card.request,
        "headline": card.headline,
        "state": f"{card.state}, {decided}",
        "is-signed": card.is_signed,
        "rows": [{"label": label, "value": value, "sub": sub} for label, value, sub in card.pairs if value],
        "hashes": list(card.details),
        "match": {"tone": tone, "title": title, "text": text},
        "done": [
            {
                "who": done.who, "action": done.action, "at": stamp(done.at), "outcome": done.outcome,
                "match": wording.DONE[done.match], "hash": done.hash, "index": done.index,
            }
            for done in each.done
        ],
    }  # fmt: skip


def _entries(found: Timeline, proven: Proven) -> list[dict[str, Any]]:
    steps = {each.index: step.number for step in found.story.steps for each in step.entries}
    return [_entry(leaf, steps.get(leaf.entry.index), leaf.entry.index in proven.unsigned) for leaf in proven.leaves]


def _entry(leaf: Leaf, step: int | None, is_unsigned: bool) -> dict[str, Any]:
    entry = leaf.entry
    return {
        "index": entry.index,
        "step": step or "",
        "type": entry.type,
        "recorded": stamp(entry.recorded_at)[:-1].replace("T", " "),
        "hash": leaf.hash,
        "unsigned": is_unsigned,
    }


def _listed(indexes: Sequence[int]) -> str:
    named = ", ".join(map(str, indexes[:LISTED_MAX]))
    return f"entries {named}" + (f" and {len(indexes) - LISTED_MAX} more" if len(indexes) > LISTED_MAX else "")
