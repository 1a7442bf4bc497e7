"""The body of ``add-checkpoint``, read and judged. Pure. Spec: C2SP tlog-witness, add-checkpoint."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass

from audit import merkle, notes
from audit.notes import Checkpoint, VerifierKey

PROOF_LINES_MAX = 63
BODY_MAX_BYTES = notes.NOTE_MAX_BYTES + 4 * 1024  # a checkpoint, 63 lines of 45 bytes, the old size
_OLD = re.compile(r"old (0|[1-9]\d{0,18})")


class Refused(Exception):
    """What is not cosigned. status: as tlog-witness names it. size: of the checkpoint cosigned last, with 409."""

    def __init__(self, status: int, why: str, size: int | None = None) -> None:
        self.status, self.why, self.size = status, why, size
        super().__init__(why)


@dataclass(frozen=True)
class Submission:
    """A checkpoint that is to be cosigned. old: size of the tree that the proof starts from."""

    old: int
    proof: tuple[bytes, ...]
    note: str
    head: Checkpoint


@dataclass(frozen=True)
class Held:
    """The checkpoint that was cosigned last; of size 0 if none was. at: POSIX seconds of the cosignature."""

    size: int
    root: bytes
    at: int


def read(body: bytes) -> Submission:
    """Return what was submitted; nothing is verified yet. Raises: Refused 400."""
    try:
        head, blank, note = body.decode().partition("\n\n")
        first, *lines = head.split("\n")
        old = _OLD.fullmatch(first)
        if not blank or not old or len(lines) > PROOF_LINES_MAX:
            raise ValueError
        return Submission(int(old[1]), tuple(map(_hash, lines)), note, notes.parse_checkpoint(notes.text_of(note)))
    except (ValueError, binascii.Error) as error:
        raise Refused(400, "not a request to add a checkpoint") from error


def judge_signature(asked: Submission, keys: Collection[VerifierKey]) -> None:
    """Check who signed. keys: those trusted for the origin. Raises: Refused 404, 403."""
    if not keys:
        raise Refused(404, "this origin is not known here")
    try:
        notes.open_checkpoint(asked.note, keys, origin=asked.head.origin)
    except notes.NoteRefused as error:
        raise Refused(403, str(error)) from error


def judge_growth(asked: Submission, held: Held) -> None:
    """Check that the tree only grew, in the order of the specification. Raises: Refused 400, 409, 422."""
    if asked.old > asked.head.size:
        raise Refused(400, "the old size is larger than the checkpoint's")
    if asked.old != held.size:
        raise Refused(409, "another checkpoint was cosigned last", held.size)
    if asked.head.size == 0 and asked.head.root != merkle.EMPTY_ROOT:
        raise Refused(422, "an empty tree with another root")
    if asked.old == 0:
        if asked.proof:
            raise Refused(422, "a proof from nothing")
        return
    try:
        merkle.verify_consistency(
            first=held.size,
            second=asked.head.size,
            first_root=held.root,
            second_root=asked.head.root,
            proof=asked.proof,
        )
    except merkle.ProofRefused as error:
        raise Refused(422, str(error)) from error


def _hash(line: str) -> bytes:
    raw = base64.b64decode(line, validate=True)
    if len(raw) != merkle.HASH_BYTES or base64.b64encode(raw).decode() != line:
        raise ValueError
    return raw
