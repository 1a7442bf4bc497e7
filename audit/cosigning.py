"""Has checkpoints cosigned by the witnesses of the policy, and believes none of them. Spec: C2SP tlog-witness.

Beside the sequencer, never in its way: a witness that does not answer costs freshness, nothing else. What is stored was
verified; a witness that knows more of our log than we do is heard, if it can show our own signature.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from audit import checkpoints, merkle, notes, tree, trust
from audit.checkpoints import Published
from audit.errors import LogError, LogForked
from audit.events import WitnessRefused
from audit.models import Checkpoint, Cosignature, Log, WitnessState
from audit.outside import Answer, Ask
from audit.policy import Witness
from audit.write import NOBODY, record

log = logging.getLogger(__name__)

SPACING_S = 5  # between two rounds with the same witness
FRESHEN_S = 1_800  # a log at rest is cosigned again, so that the newest time stays new
BACKOFF_MAX_S = 300
SKEW_S = 300
ANSWER_MAX_BYTES = notes.NOTE_MAX_BYTES
AT_ONCE = 8
_SIZE = re.compile(rb"(0|[1-9]\d{0,18})\n")
# What it may be: nobody there; an answer that proves something against the witness; one that speaks against us.
LIES = frozenset({"wrong_signature", "wrong_time", "unproven"})


class _Useless(Exception):
    """An answer that is of no use. code: as it is stored."""

    def __init__(self, code: str, why: str) -> None:
        self.code = code
        super().__init__(why)


@dataclass(frozen=True)
class _Round:
    """What is to be cosigned now."""

    log: Log
    head: notes.Checkpoint
    row: Checkpoint
    now: datetime

    def body(self, old: int) -> bytes:
        """Return the request that proves growth from the size a witness holds. Spec: add-checkpoint."""
        proof: Sequence[bytes] = ()
        if 0 < old <= self.head.size:
            proof = merkle.consistency_proof(old, self.head.size, tree.reader(self.log.generation))
        lines = [f"old {old}", *(base64.b64encode(hashed).decode() for hashed in proof)]
        return ("\n".join(lines) + "\n\n" + self.row.note).encode()


class Cosigner:
    """Asks the witnesses. heed: told of a checkpoint with our signature that our tree does not continue."""

    def __init__(self, ask: Ask, *, heed: Callable[[notes.Checkpoint], None] = lambda known: None) -> None:
        self._ask, self._heed = ask, heed

    def round(self, now: datetime) -> None:
        """Have the newest checkpoint cosigned by every witness that is due."""
        try:
            current = checkpoints.current_log()
            row = Checkpoint.objects.filter(generation=current.generation).order_by("-size").first()
            if row is None or current.trouble:
                return
            head = notes.open_checkpoint(row.note, [notes.parse_vkey(current.vkey)], origin=current.origin)
        except (LogError, notes.NoteRefused) as error:
            log.debug("nothing to have cosigned: %s", error)
            return
        this = _Round(current, head, row, now)
        due = [witness for witness in trust.configured().witnesses if witness.url and _is_due(witness, this)]
        asked = [(witness, _held_size(witness, this)) for witness in due]
        for witness, old, answer in self._post(this, asked):
            self._take(this, witness, old, answer)

    def _post(self, this: _Round, asked: Sequence[tuple[Witness, int]]) -> list[tuple[Witness, int, Answer | OSError]]:
        """Send to all at once; the database is not asked from these threads, so bodies are made before."""
        bodies = [(witness, old, this.body(old)) for witness, old in asked]

        def post(each: tuple[Witness, int, bytes]) -> tuple[Witness, int, Answer | OSError]:
            witness, old, body = each
            return witness, old, self._sent(witness, body)

        if len(bodies) < 2:
            return [post(each) for each in bodies]
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="cosign") as pool:
            return list(pool.map(post, bodies))

    def _sent(self, witness: Witness, body: bytes) -> Answer | OSError:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        try:
            url = f"{witness.url}/add-checkpoint"
            return self._ask("POST", url, body=body, headers=headers, max_bytes=ANSWER_MAX_BYTES)
        except OSError as error:
            return error

    def _take(self, this: _Round, witness: Witness, old: int, answer: Answer | OSError) -> None:
        try:
            if not isinstance(answer, OSError) and answer.status == 409:
                old = self._resync(this, witness, answer)
                answer = self._sent(witness, this.body(old))
            line, at = self._cosignature(this, witness, answer)
            _store(this, witness, line, at)
        except _Useless as error:
            _say(this, witness, error.code, str(error))

    def _cosignature(self, this: _Round, witness: Witness, answer: Answer | OSError) -> tuple[str, int]:
        """Return the line a witness answered, verified, and its time. Raises: _Useless."""
        if isinstance(answer, OSError):
            raise _Useless("unreachable", f"no answer: {answer}")
        if answer.status == 422:
            self._look(this, witness)  # it says that our tree does not continue what it saw: let it show that
        if answer.status != 200:
            codes = {403: "not_trusted", 404: "not_known", 422: "unproven"}
            raise _Useless(codes.get(answer.status, "refused"), f"answered {answer.status}")
        try:
            line = notes.lines_of(this.row.note + answer.body.decode(), [witness.key])
            times = notes.cosignatures(this.row.note + line, [witness.key])
        except (notes.NoteRefused, UnicodeDecodeError) as error:
            raise _Useless("wrong_signature", str(error)) from error
        if not times:
            raise _Useless("wrong_signature", "no cosignature of its key")
        at = times[witness.key]
        newest = _newest(witness, this)
        # A cosignature is a statement about now: neither older than what it signs or than the last one, nor to come.
        earliest = max(this.row.signed_at.timestamp() - SKEW_S, newest.cosigned_at if newest else 0)
        if not earliest <= at <= this.now.timestamp() + SKEW_S:
            raise _Useless("wrong_time", f"cosigned at {at}, which is not now")
        return line, at

    def _resync(self, this: _Round, witness: Witness, answer: Answer) -> int:
        """Return the size a witness holds. Raises: _Useless when that is more than ours."""
        kind = answer.headers.get("content-type", "").split(";")[0].strip()
        spelled = _SIZE.fullmatch(answer.body)
        if kind != "text/x.tlog.size" or spelled is None:
            raise _Useless("refused", "answered 409 without a size")
        if (size := int(spelled[1])) > this.head.size:
            self._look(this, witness)
            raise _Useless("unproven", f"holds {size} entries, and shows no checkpoint over them")
        return size

    def _look(self, this: _Round, witness: Witness) -> None:
        """Look at what a witness holds; if our own key signed what our tree does not continue, that is heeded."""
        held = view(self._ask, witness, this.log)
        if held is None:
            return
        try:
            checkpoints.must_still_continue(held[0])
        except LogForked as error:
            log.critical(
                "witness %s shows a checkpoint of ours that our tree does not continue: %s", witness.name, error
            )
            self._heed(held[0])
            raise _Useless("ahead", f"shows {held[0].size} entries, signed by us") from error


def view(ask: Ask, witness: Witness, of: Log) -> Published | None:
    """Return the checkpoint of a log that a witness shows, if our key signed it. Spec: Monitor Retrieval Mechanism."""
    url = f"{witness.url}/{hashlib.sha256(of.origin.encode()).hexdigest()}/checkpoint"
    try:
        answer = ask("GET", url, body=None, headers={"Accept": "text/plain"}, max_bytes=ANSWER_MAX_BYTES)
        if answer.status != 200:
            return None
        key, note = notes.parse_vkey(of.vkey), answer.body.decode()
        head = notes.open_checkpoint(note, [key], origin=of.origin)
        return head, notes.text_of(note) + "\n" + notes.lines_of(note, [key])
    except (OSError, UnicodeDecodeError, notes.NoteRefused) as error:
        log.info("witness %s shows nothing of %s: %s", witness.name, of.origin, error)
        return None


def views(ask: Ask) -> Callable[[Log], Sequence[Published]]:
    """Return a function that asks every witness of the policy what it holds of a log, all at once."""

    def asked(of: Log) -> Sequence[Published]:
        known = [witness for witness in trust.configured().witnesses if witness.url]
        if not known:
            return ()
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="witness") as pool:
            return [held for held in pool.map(lambda each: view(ask, each, of), known) if held]

    return asked


def _is_due(witness: Witness, this: _Round) -> bool:
    state = WitnessState.objects.filter(witness=witness.key.name, key_id=witness.key.id.hex()).first()
    if state:
        wait = min(SPACING_S * 2**state.failures, BACKOFF_MAX_S) if state.failures else SPACING_S
        if 0 <= (this.now - state.asked_at).total_seconds() < wait:
            return False
    newest = _newest(witness, this)
    return newest is None or newest.size < this.head.size or newest.cosigned_at < this.now.timestamp() - FRESHEN_S


def _newest(witness: Witness, this: _Round) -> Cosignature | None:
    rows = Cosignature.objects.filter(
        generation=this.log.generation, witness=witness.key.name, key_id=witness.key.id.hex()
    )
    return rows.order_by("-size", "-cosigned_at").first()


def _held_size(witness: Witness, this: _Round) -> int:
    newest = _newest(witness, this)
    return newest.size if newest and newest.size <= this.head.size else 0


def _store(this: _Round, witness: Witness, line: str, at: int) -> None:
    name, key_id = witness.key.name, witness.key.id.hex()
    row = Cosignature(
        generation=this.log.generation, size=this.head.size, witness=name, key_id=key_id, line=line, cosigned_at=at
    )
    with transaction.atomic():
        Cosignature.objects.bulk_create([row], ignore_conflicts=True)
        state = {"asked_at": this.now, "trouble": "", "trouble_at": None, "failures": 0}
        WitnessState.objects.update_or_create(witness=name, key_id=key_id, defaults=state)


def _say(this: _Round, witness: Witness, code: str, why: str) -> None:
    """Remember what was wrong; a lie, the first time it is told, is an entry."""
    key = {"witness": witness.key.name, "key_id": witness.key.id.hex()}
    with transaction.atomic():
        state = WitnessState.objects.select_for_update().filter(**key).first()
        state = state or WitnessState(**key, asked_at=this.now)
        is_new = state.trouble != code
        if is_new:
            state.trouble, state.trouble_at = code, this.now
            log.warning("witness %s does not cosign (%s): %s", witness.name, code, why)
        state.asked_at, state.failures = this.now, min(state.failures + 1, 16)
        state.save()
        if is_new and code in LIES | {"ahead"}:
            record(WitnessRefused(key_id=key["key_id"], reason=code, size=this.head.size), by="system", facts=NOBODY)
