"""What is done beside the sequencer, never in its way: cosignatures, time stamps, and the checks that run by themselves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from django.db import connection

from audit import cosigning
from audit.checkpoints import Published
from audit.cosigning import Cosigner
from audit.models import Log
from audit.outside import Ask
from audit.scrub import Alarm, Scrubber
from audit.sequencer import Sequencer
from audit.timestamps import Stamper
from audit.verdict import Verdict as Verdict

log = logging.getLogger(__name__)

TURN_S = 1.0


class Beside:
    """One thread beside the leading sequencer. ask: reaches others, by the rules of the network.

    alarm: told of a check that failed.
    """

    def __init__(self, sequencer: Sequencer, ask: Ask, *, alarm: Alarm = lambda verdict: None) -> None:
        self._sequencer = sequencer
        self._duties: list[Callable[[datetime], None]] = [
            Cosigner(ask, heed=sequencer.heed).round,
            Stamper(ask).round,
            Scrubber(alarm).round,
        ]

    def run(self, stop: threading.Event) -> None:
        """Work until told to stop. Whatever fails is said and tried again; nothing here ends the work."""
        while not stop.wait(TURN_S):
            if self._sequencer.leads:
                self.turn(datetime.now(UTC))
        connection.close()

    def turn(self, now: datetime) -> None:
        """Do what is due."""
        for duty in self._duties:
            try:
                duty(now)
            except Exception:
                log.exception("beside the sequencer something failed; it is tried again")
                connection.close()


def witnessed(ask: Ask) -> Callable[[Log], Sequence[Published]]:
    """Return a function that asks the witnesses of the policy what they hold of a log."""
    return cosigning.views(ask)
