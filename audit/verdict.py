"""What a check of the log found, and where. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Lost:
    """Entries [first, end) of a generation that were published and that its restored database did not have.

    said_by: index of the entry that acknowledges it, the first of the next generation; None where that went by retention, and
    the tiles tell.
    """

    generation: int
    first: int
    end: int
    said_by: int | None

    def __str__(self) -> str:
        """Say it in a sentence, for people at a terminal."""
        told = "as its tiles tell, since the entry that said so went by retention"
        if self.said_by is not None:
            told = f"which entry {self.said_by} acknowledges"
        return (
            f"Entries {self.first} to {self.end - 1} of generation {self.generation} are lost: they were published, and the"
            f" database that was restored did not have them, {told}."
        )


@dataclass(frozen=True)
class Verdict:
    """What a check found. bad: what is wrong first, or empty. index: the entry it is about, where it is about one.

    where: the place, for machines: ``entry/17``, ``entry/17/agent`` (a column), ``tile/g1/0/000/3`` (generation, level,
    number, hash), ``checkpoint/g1/600``, ``cosignature/g1/600/<key id>``, ``timestamp/g1/600``, ``copies/g1``, ``head``,
    ``minimum``: how much went by retention. unsigned: entries that no checkpoint covers yet; nothing is claimed about them
    but their place. minimum: entries below it went by retention, as the log itself says: their hashes were checked, their
    words can't be. left: how many of those are there all the same. lost: what a restore lost and a new generation
    acknowledges; nobody can check it here, and whoever holds a proof of such an entry still can.
    """

    entries: int
    checkpoints: int
    unsigned: int
    bad: str = ""
    index: int | None = None
    where: str = ""
    minimum: int = 0
    left: int = 0
    lost: tuple[Lost, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether everything that was checked holds."""
        return not self.bad


class Bad(Exception):
    """Something is wrong. Raised by checks, caught where a verdict is given."""

    def __init__(self, what: str, *, where: str, index: int | None = None) -> None:
        self.what, self.where, self.index = what, where, index
        super().__init__(what)


def bad_entry(index: int, what: str, *, column: str = "") -> Bad:
    """Return the trouble with one entry."""
    where = f"entry/{index}" + (f"/{column}" if column else "")
    return Bad(f"entry {index} {what}", where=where, index=index)
