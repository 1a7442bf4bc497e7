"""The parts of a deployment that are not the web: worker, beat, sequencer; each until told to stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from smtplib import SMTPException
from typing import Any

from celery.beat import Service
from django.conf import settings
from django.core.mail import send_mail
from django.utils.translation import gettext as _
from django.utils.translation import override
from kombu.exceptions import OperationalError

from aims.kit import clock, fetch
from aims.kit.nudge import Topic, listen, nudge
from aims.people.queries import holders_of
from audit.beside import Beside, Verdict, witnessed
from audit.sequencer import Sequencer

log = logging.getLogger(__name__)

STOP_WITHIN_S = 10


def sequence(stop: threading.Event) -> None:
    """Number the log's entries and tell the pages of the log; beside it, have them witnessed."""
    sequencer = Sequencer(lambda size: nudge(Topic.LOG), outside=witnessed(ask))
    others = threading.Thread(target=Beside(sequencer, ask, alarm=alarm).run, args=(stop,), name="beside", daemon=True)
    others.start()
    sequencer.run(stop)
    others.join(STOP_WITHIN_S)


def alarm(verdict: Verdict) -> None:
    """Tell every admin that the log does not verify; the log line is written already. A mail that fails is logged."""
    text = _(
        "A check of the audit log found that something stored was changed: %(bad)s.\n\n"
        "What happens is still recorded. Keep the database as it is, and see docs/deploy.md for what to do.\n\n%(address)s"
    )
    said = {"bad": verdict.bad, "address": f"{settings.ISSUER}/audit/integrity/"}
    for person in holders_of("admin", at=clock.now()):
        with override(person.locale):
            try:
                send_mail(_("The audit log does not verify"), text % said, None, [person.email])
            except (SMTPException, OSError) as trouble:
                log.warning("the alarm about the log was not mailed: %r", trouble)


def ask(method: str, url: str, *, body: bytes | None, headers: Mapping[str, str], max_bytes: int) -> fetch.Fetched:
    """Reach a witness or a time stamping authority by the one fetcher and its rules. Raises: OSError."""
    try:
        return fetch.request(method, url, body=body, headers=headers, max_bytes=max_bytes)
    except fetch.FetchRefused as error:
        raise ConnectionError(error.detail) from error


def wake_deliveries(app: Any, task_name: str) -> None:
    """Send the delivery sweep at once when a notification becomes due. A failing broker costs only the next tick."""

    def on_nudge(topic: Topic, refs: tuple[str, ...]) -> None:
        if topic == Topic.PING:
            threading.Thread(target=_send, args=(app, task_name), daemon=True).start()

    listen(on_nudge)


def _send(app: Any, task_name: str) -> None:
    try:
        app.send_task(task_name, expires=30, retry=False)
    except OperationalError as trouble:
        log.warning("a delivery waits for the next tick, the broker does not answer: %r", trouble)


class Embedded:
    """Worker, beat and sequencer as threads of the serving process, over a broker in memory."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._stop = threading.Event()
        self._worker: Any = None
        self._ticker: Any = None
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start the three threads."""
        self._worker = self._app.WorkController(
            app=self._app, pool="threads", concurrency=2, loglevel="WARNING", quiet=True,
            without_gossip=True, without_mingle=True, without_heartbeat=True,
        )  # fmt: skip
        self._ticker = _service(self._app)
        for name, work in (("worker", self._work), ("beat", self._tick), ("sequencer", self._sequence)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Stop the threads and wait for them; what is due stands in the tables.

        The sequencer goes last, so that it signs what the others still wrote.
        """
        self._ticker.stop(wait=False)
        self._worker.stop()
        for thread in self._threads[:-1]:
            thread.join(STOP_WITHIN_S)
        self._stop.set()
        self._threads[-1].join(STOP_WITHIN_S)

    def _work(self) -> None:
        self._worker.start()

    def _tick(self) -> None:
        self._ticker.start(embedded_process=False)

    def _sequence(self) -> None:
        sequence(self._stop)


def _service(app: Any) -> Any:
    """Return a beat whose due times live in memory only: our tables say what is due."""
    return Service(app, max_interval=1, scheduler_cls="celery.beat:Scheduler")
