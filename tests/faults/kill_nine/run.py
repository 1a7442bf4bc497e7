"""One run: a deployment at work, killed several times, and the judgement."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass

from tests.faults.kill_nine.ledger import Line
from tests.faults.kill_nine.people import Asker, Signer, Tally
from tests.support.running import AimsServer
from tests.support.world import inhabit

STALLED_AFTER_S = 90  # nobody got anything for so long: a busy machine is slow, it does not stand still
LOOK_EVERY_S = 0.05
_TELL = "from tests.faults.kill_nine.ledger import tell; tell()"


@dataclass(frozen=True)
class Outcome:
    """What a run showed. faults: nothing, if all is well."""

    tally: Tally
    states: Counter[str]
    kills: int
    seconds: float
    verified: str
    faults: list[str]

    def __str__(self) -> str:
        lost = ", ".join(f"{count} {what}" for what, count in self.tally.lost.items()) or "nothing"
        return (
            f"{len(self.tally.approved)} approvals answered, {len(self.tally.tokens)} tokens received, "
            f"{self.kills} kills, {self.seconds:.0f} s; unanswered: {lost}; "
            f"states: {dict(self.states)}; {self.verified}"
        )


def run(aims: AimsServer, *, approvals: int, kills: int, agents: int, approvers: int) -> Outcome:
    """Let agents and approvers reach so many answered approvals while the server dies ``kills`` times at random."""
    world = inhabit(aims, agents=agents, approvers=approvers)
    signers = world.enrolled(Signer)
    tally = Tally(goal=approvals)
    askers = [Asker(agent, aims.base_url, world.emails, tally) for agent in world.agents]
    began = time.monotonic()
    signing = [threading.Thread(target=signer.work, args=(tally,), daemon=True) for signer in signers]
    asking = [threading.Thread(target=asker.work, daemon=True) for asker in askers]
    for thread in signing + asking:
        thread.start()
    _kill_at_random(aims, tally, kills)
    _finish(tally, asking, signing)
    seconds = time.monotonic() - began
    given_again = sum(asker.replay() for asker in askers[:1])
    status = aims.stop()
    lines = [Line(**json.loads(line)) for line in aims.manage("shell", "-v0", "-c", _TELL).stdout.splitlines()]
    verified = aims.manage("verify", is_checked=False)
    faults = _faults(tally, lines)
    faults += [f"{given_again} answers were given again"] if given_again else []
    faults += [f"the server ended with {status}"] if status else []
    faults += [f"verify: {verified.stderr.strip()}"] if verified.returncode else []
    states = Counter(line.was for line in lines)
    return Outcome(tally, states, kills, seconds, verified.stdout.strip(), faults)


def _kill_at_random(aims: AimsServer, tally: Tally, kills: int) -> None:
    for at in sorted(random.sample(range(1, tally.goal), kills)):
        while len(tally.approved) < at:
            time.sleep(LOOK_EVERY_S)
        time.sleep(random.uniform(0, 2 * LOOK_EVERY_S))  # anywhere in the work, not just after an answer
        aims.kill()
        aims.start()


def _finish(tally: Tally, asking: list[threading.Thread], signing: list[threading.Thread]) -> None:
    while not tally.is_reached:
        time.sleep(LOOK_EVERY_S)
    reached, since = tally.progress, time.monotonic()
    while any(thread.is_alive() for thread in asking):
        time.sleep(LOOK_EVERY_S)
        if tally.progress != reached:
            reached, since = tally.progress, time.monotonic()
        elif time.monotonic() > since + STALLED_AFTER_S:
            tally.wrong.append(f"agents still wait, and nothing has happened for {STALLED_AFTER_S} s")
            break
    tally.over.set()
    for thread in signing:
        thread.join(STALLED_AFTER_S)


def _faults(tally: Tally, lines: list[Line]) -> list[str]:
    known = {line.ref: line for line in lines}
    return [
        *tally.wrong,
        *(fault for line in lines for fault in line.faults()),
        *(f"{ref} was answered and is gone" for ref in tally.approved - known.keys()),
        *(f"{ref} was answered and has no yes" for ref in tally.approved & known.keys() if not known[ref].yeses),
        *(f"{len(held)} tokens for one answer" for held in tally.tokens.values() if len(held) > 1),
        *(["two answers with one token"] if _repeats(tally) else []),
        *_miscounted(tally, lines),
    ]


def _repeats(tally: Tally) -> bool:
    tokens = [token for held in tally.tokens.values() for token in held]
    return len(set(tokens)) != len(tokens)


def _miscounted(tally: Tally, lines: list[Line]) -> list[str]:
    """Every token of the database was received, or a crash swallowed it on its way."""
    issued, received = sum(line.tokens for line in lines), len(tally.tokens)
    lost = tally.lost["tokens on their way to the agent"]
    return [] if issued == received + lost else [f"{issued} tokens issued, {received} received, {lost} lost"]
