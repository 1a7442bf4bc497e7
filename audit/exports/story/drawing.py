"""A story's diagram cut into sheets of paper: which way they lie, how wide they are, which rows stand on each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from audit.timeline.layout import LANE_MIN, ROW, TIME, Arrow, Drawing

PT = 0.75  # points of a pixel, as in CSS
EDGE_MM = 40  # both margins, left and right
EDGES_MM = 42  # above and below
AROUND_PT = 115  # heading, heads of the lanes, key
_MM = 72 / 25.4
_MARGIN = TIME + 8  # pixels that are no lanes


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A kind of sheet."""

    width_mm: float
    height_mm: float

    @property
    def room(self) -> int:
        """Pixels that the lanes may take."""
        return int((self.width_mm - EDGE_MM) * _MM / PT) - _MARGIN

    @property
    def rows(self) -> int:
        """How many steps stand below each other."""
        return int(((self.height_mm - EDGES_MM) * _MM - AROUND_PT) / (ROW * PT))

    @property
    def lanes(self) -> int:
        """How many lanes it has room for, as narrow as names can bear."""
        return self.room // LANE_MIN


UPRIGHT = Paper(width_mm=210, height_mm=297)
LYING = Paper(width_mm=297, height_mm=210)


def paper_for(parties: int) -> Paper:
    """Return the sheet for so many parties; for very many it is as wide as they need, so that words stay readable."""
    for paper in (UPRIGHT, LYING):
        if parties <= paper.lanes:
            return paper
    width = (parties * LANE_MIN + _MARGIN) * PT / _MM + EDGE_MM
    return Paper(width_mm=width, height_mm=width * LYING.height_mm / LYING.width_mm)


def sheets(drawing: Drawing, paper: Paper) -> Sequence[Sequence[Arrow]]:
    """Return the rows of each sheet, about as many on each."""
    count = -(-len(drawing.arrows) // paper.rows)
    size, more = divmod(len(drawing.arrows), count)
    found, at = [], 0
    for number in range(count):
        end = at + size + (number < more)
        found.append(drawing.arrows[at:end])
        at = end
    return found
