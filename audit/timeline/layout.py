"""A sequence diagram, laid out: lanes, arrows and words at whole pixels, for an SVG that needs no script and no style. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audit.timeline.happened import CONSOLE
from audit.timeline.story import Story

HEAD, ROW, FOOT = 56, 38, 16
LANE_MIN, LANE_MAX, ROOM, TIME = 138, 220, 1010, 62
LETTER = 6.1  # width of a letter of 12 px, about
NAME_MAX = 20
ARROW = 7


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One party. x: its middle. kind: console, agent, person, operator or place."""

    party: str
    name: str
    kind: str
    x: int
    left: int
    width: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """One step. y: of its line. head: the points of its arrow's head. text_x, anchor: where its words stand.

    is_self: at one lane alone, a dot. marks: x of each witness, by its name. reached: x of each lane that lost something.
    """

    number: int
    y: int
    text_y: int
    x1: int
    x2: int
    head: str
    text: str
    whole: str
    text_x: int
    anchor: str
    part: str
    tone: str
    clock: str
    is_self: bool
    is_gap: bool
    marks: tuple[tuple[str, int], ...]
    reached: tuple[int, ...]
    band_y: int
    gap_y: int


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """The whole, in pixels. bottom: where the lanes end."""

    width: int
    height: int
    bottom: int
    row: int
    lanes: tuple[Lane, ...]
    arrows: tuple[Arrow, ...]


def lay_out(
    story: Story,
    *,
    names: Mapping[str, str],
    words: Mapping[int, str],
    clocks: Mapping[int, str],
    room: int = ROOM,
) -> Drawing:
    """Return the drawing of a story. names: of parties. words, clocks: what each step is called and when, by its number.

    room: pixels that the lanes share before they are as narrow as names can bear.
    """
    # As wide as a window has room for, as narrow as names can bear; beyond that the diagram scrolls.
    step_x = min(LANE_MAX, max(LANE_MIN, room // max(len(story.parties), 1)))
    middles = {party: TIME + step_x // 2 + place * step_x for place, party in enumerate(story.parties)}
    lanes = tuple(_lane(party, names.get(party, party), middles[party], step_x) for party in story.parties)
    width = TIME + len(lanes) * step_x + 8
    arrows = []
    for place, step in enumerate(story.steps):
        x1, x2 = middles[step.source], middles[step.target]
        reached = sorted({middles[party] for party in step.reaches if party in middles}, key=lambda x: abs(x - x1))
        x2 = reached[-1] if reached else x2
        y = HEAD + place * ROW + ROW - 12
        text = words.get(step.number, step.title)
        at, anchor, room = _place_of_words(x1, x2, width, step_x)
        middle = (x1 + x2) // 2
        marks = tuple(
            (name, middle + (2 * number - len(step.witnesses) + 1) * 6)
            for number, name in enumerate(sorted(step.witnesses))
        )
        arrows.append(
            Arrow(
                number=step.number,
                y=y,
                text_y=y - 7 if x1 != x2 else y + 4,
                x1=x1,
                x2=x2,
                head=_head(x1, x2, y),
                text=shortened(text, room),
                whole=text,
                text_x=at,
                anchor=anchor,
                part=step.part,
                tone=step.tone,
                clock=clocks.get(step.number, ""),
                is_self=x1 == x2,
                is_gap=bool(step.gaps),
                marks=marks,
                reached=tuple(reached),
                band_y=HEAD + place * ROW,
                gap_y=y - 16,
            )
        )
    bottom = HEAD + len(story.steps) * ROW + 6
    return Drawing(width=width, height=bottom + FOOT, bottom=bottom, row=ROW, lanes=lanes, arrows=tuple(arrows))


def shortened(text: str, letters: int) -> str:
    """Return a text that has at most so many letters; the whole stands in the list below."""
    return text if len(text) <= letters else text[: max(letters - 1, 1)].rstrip() + "…"


def kind_of(party: str) -> str:
    """Return what sort of party it is, for its picture: never told by colour alone."""
    if party == CONSOLE:
        return "console"
    if party.startswith(("spiffe://", "wimse://")):
        return "agent"
    if party.startswith("cli:"):
        return "operator"
    return "place" if ":" in party else "person"


def _lane(party: str, name: str, x: int, width: int) -> Lane:
    return Lane(
        party=party, name=name, kind=kind_of(party), x=x, left=x - (width - 12) // 2, width=width - 12,
        text=shortened(name, min(NAME_MAX, int((width - 24) / LETTER))),
    )  # fmt: skip


def _place_of_words(x1: int, x2: int, width: int, step_x: int) -> tuple[int, str, int]:
    """Return where words stand, how they are anchored, and for how many letters there is room."""
    if x1 != x2:
        return (
            (x1 + x2) // 2,
            "middle",
            int((abs(x1 - x2) - 8) / LETTER) if abs(x1 - x2) > step_x else int(step_x / LETTER),
        )
    is_at_the_end = x1 + 12 + 18 * LETTER > width
    return (x1 - 12, "end", 20) if is_at_the_end else (x1 + 12, "start", int((width - x1 - 16) / LETTER))


def _head(x1: int, x2: int, y: int) -> str:
    if x1 == x2:
        return ""
    back = x2 - ARROW if x2 > x1 else x2 + ARROW
    return f"{x2},{y} {back},{y - 4} {back},{y + 4}"
