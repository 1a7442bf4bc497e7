"""The trust policy of a log: which witnesses are known, and how many of them make a checkpoint good. Pure.

Spec: C2SP tlog-policy. Sections are named at the rules.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from audit import notes
from audit.notes import VerifierKey

POLICY_MAX_BYTES = 256 * 1024
NAMED_MAX = 64  # logs, witnesses, groups, each; "at least up to 32" (Implementation limits)
NONE = "none"
_BLANKS = re.compile(r"[ \t]+")
_COUNT = re.compile(r"[1-9]\d{0,3}")
_FORBIDDEN = re.compile(rb"[^\t\n\x20-\x7e\x80-\xff]")


class PolicyRefused(ValueError):
    """A policy that can't be followed. line: where, counted from 1."""

    def __init__(self, line: int, why: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {why}")


class QuorumMissed(notes.NoteRefused):
    """A checkpoint that is signed by its log, but not cosigned as the policy asks."""


@dataclass(frozen=True)
class Witness:
    """Who cosigns. name: within the policy only. url: submission prefix (tlog-witness), or empty."""

    name: str
    key: VerifierKey
    url: str


@dataclass(frozen=True)
class Group:
    """At least ``threshold`` of the members, which are witnesses or groups."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """Whom to believe. logs: their keys, named for their origins; several may be, none need be."""

    logs: tuple[VerifierKey, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    groups: dict[str, Group] = field(default_factory=dict)
    quorum: str = NONE

    def is_met(self, cosigned: Collection[str]) -> bool:
        """Return whether these witnesses, by their names in the policy, are enough."""
        return self.quorum == NONE or self._is_witnessed(self.quorum, cosigned)

    def _is_witnessed(self, name: str, cosigned: Collection[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in cosigned
        return sum(self._is_witnessed(each, cosigned) for each in group.members) >= group.threshold

    def cosigners(self, note: str) -> dict[str, int]:
        """Return the names of the witnesses that cosigned a checkpoint, with the time of each.

        Raises: NoteRefused when one of them is wrong. Spec: tlog-proof, Verifying a tlog proof, 3.
        """
        found = notes.cosignatures(note, [witness.key for witness in self.witnesses])
        return {witness.name: found[witness.key] for witness in self.witnesses if witness.key in found}

    def require(self, note: str) -> dict[str, int]:
        """Return the cosigners of a checkpoint that has a quorum of them. Raises: QuorumMissed, NoteRefused."""
        cosigned = self.cosigners(note)
        if not self.is_met(cosigned):
            raise QuorumMissed(
                f"cosigned by {', '.join(cosigned) or 'nobody'}, which the policy's quorum does not take"
            )
        return cosigned


def parse(raw: bytes) -> Policy:
    """Return the policy in a file. Raises: PolicyRefused, naming the line."""
    if len(raw) > POLICY_MAX_BYTES:
        raise PolicyRefused(1, f"the policy is longer than {POLICY_MAX_BYTES} bytes")
    reading = _Reading()
    lines = raw.split(b"\n")
    for number, line in enumerate(lines, 1):
        # Character set: bytes are opaque, so names are compared as bytes; the escapes keep what is not UTF-8.
        if _FORBIDDEN.search(line):
            raise PolicyRefused(number, "a control character other than tab")
        text = line.decode("utf-8", "surrogateescape").strip(" \t")
        if text and not text.startswith("#"):
            reading.line(number, _BLANKS.split(text))
    if lines[-1]:
        raise PolicyRefused(len(lines), "the last line has no end")  # Structure: it may have been cut
    return reading.policy(len(lines))


class _Reading:
    """What was defined so far."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Group] = {}
        self.members: set[str] = set()
        self.quorum = ""

    def line(self, number: int, words: Sequence[str]) -> None:
        kind, *rest = words
        read = {"log": self._log, "witness": self._witness, "group": self._group, "quorum": self._quorum}.get(kind)
        if read is None:
            raise PolicyRefused(number, f"begins with {kind!r}: not log, witness, group or quorum")
        try:
            read(rest)
        except ValueError as error:
            raise PolicyRefused(number, str(error)) from error

    def policy(self, last: int) -> Policy:
        if not self.quorum:
            raise PolicyRefused(last, "there is no quorum line")
        return Policy(tuple(self.logs), tuple(self.witnesses.values()), self.groups, self.quorum)

    def _log(self, words: Sequence[str]) -> None:
        if not 1 <= len(words) <= 2:
            raise ValueError("a log is: log <vkey> [<url>]")
        key = notes.parse_vkey(words[0])
        if key.kind == notes.COSIGNATURE:
            raise ValueError("the key of a witness, not of a log")
        # Defining a log: the same public key once, whatever its name.
        if any(key.public == other.public for other in self.logs):
            raise ValueError("this log's key is there already")
        self._within(len(self.logs))
        self.logs.append(key)

    def _witness(self, words: Sequence[str]) -> None:
        if not 2 <= len(words) <= 3:
            raise ValueError("a witness is: witness <name> <vkey> [<url>]")
        key = notes.parse_vkey(words[1])
        if key.kind not in notes.COSIGNATURES:
            raise ValueError("the key of a log, not of a witness")
        if any(key.public == other.key.public for other in self.witnesses.values()):
            raise ValueError("this witness's key is there already")
        self._fresh(words[0])
        self._within(len(self.witnesses))
        self.witnesses[words[0]] = Witness(words[0], key, words[2].rstrip("/") if len(words) == 3 else "")

    def _group(self, words: Sequence[str]) -> None:
        if len(words) < 3:
            raise ValueError("a group is: group <name> <k|any|all> <name>…")
        name, count, *members = words
        for each in members:
            self._member(each)
        self._fresh(name)
        self._within(len(self.groups))
        self.groups[name] = Group(_threshold(count, len(members)), tuple(members))

    def _member(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise ValueError(f"{name} is not defined above")
        # Defining a witness group: once at most, so that a witness counts in one way only.
        if name in self.members:
            raise ValueError(f"{name} is in a group already")
        self.members.add(name)

    def _quorum(self, words: Sequence[str]) -> None:
        if len(words) != 1:
            raise ValueError("a quorum is: quorum <name>")
        if self.quorum:
            raise ValueError("a second quorum line")
        if words[0] not in (NONE, *self.witnesses, *self.groups):
            raise ValueError(f"{words[0]} is not defined above")
        self.quorum = words[0]

    def _fresh(self, name: str) -> None:
        if name in (NONE, *self.witnesses, *self.groups):
            raise ValueError(f"{name} is taken")

    def _within(self, count: int) -> None:
        if count >= NAMED_MAX:
            raise ValueError(f"more than {NAMED_MAX} of them")


def _threshold(text: str, members: int) -> int:
    if text in ("any", "all"):
        return 1 if text == "any" else members
    if not _COUNT.fullmatch(text) or int(text) > members:
        raise ValueError(f"{text!r} is not any, all, or a number from 1 to {members}")
    return int(text)
