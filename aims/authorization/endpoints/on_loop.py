"""The token endpoint on the event loop: decided from memory, written together with whatever else comes just now.

Only an agent on its own behalf is answered here, and only with a token or with what became of its proof. Whatever is not
in memory asks the database, which Django refuses on a loop; like every refusal and every other grant this goes to the
ordinary view, in a thread, from the start: nothing was consumed. The checks are the same, in the same order.

``attempt`` says how it went: a ``Granted``, or how the request goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.http import HttpRequest, HttpResponse

from aims.authorization.endpoints.client_credentials import target_of
from aims.authorization.endpoints.cross_origin import readable
from aims.authorization.errors import Outdated
from aims.authorization.known_clients import is_registered_for
from aims.authorization.pipeline import (
    CLIENT_CREDENTIALS,
    Call,
    Endpoint,
    answer,
    checks_of,
    error_response,
    failed,
    finished,
    gives_nonce,
    refused,
    repeats_nothing,
    spelled,
)
from aims.authorization.services import gathering, issuing, own_behalf
from aims.authorization.services.issuing import Issue, Outcome
from aims.kit import clock
from aims.kit.committer import Unavailable
from aims.kit.errors import AimsError

THREADS_MAX = 32  # for what is not answered on the loop; some fetch keys, which may take seconds

View = Callable[[HttpRequest], HttpResponse]
GoesOn = Callable[[View, HttpRequest], Awaitable[HttpResponse]]  # given the view that its URL leads to elsewhere

_CHECKS = checks_of(Endpoint.TOKEN)


@dataclass(frozen=True)
class Granted:
    """A token that counts, and the call that it answers."""

    call: Call
    row: Issue

    @property
    def is_like_others(self) -> bool:
        """Whether the headers of its answer are those of every such answer."""
        return not gives_nonce(self.call.request)

    def body(self) -> bytes:
        """Return the body of its answer."""
        return spelled(self.row.prepared.response())

    async def goes_on(self, _ordinary: View, _request: HttpRequest) -> HttpResponse:
        """Return the whole answer."""
        return readable(finished(self.call, answer(self.row.prepared.response())))


async def attempt(request: HttpRequest) -> Granted | GoesOn:
    """Return what a request to the token endpoint comes to on the loop, or how it goes on."""
    committer = gathering.running()
    if committer is None:
        return in_thread
    call = Call(request=request, endpoint=Endpoint.TOKEN, now=clock.now(), may_recall=True)
    try:
        row = _decided(call)
        if row is None or row.is_metered:
            return in_thread
        outcome = await committer.submitted(row)
    except Unavailable as error:
        return partial(_unavailable, call, error)
    except Exception:  # a refusal, something not remembered, or a fault of ours: the view judges, records and logs it
        return in_thread
    return Granted(call, row) if issuing.is_issued(row, outcome) else partial(_judged, call, row, outcome)


async def _unavailable(call: Call, error: Unavailable, _ordinary: View, _request: HttpRequest) -> HttpResponse:
    return readable(finished(call, error_response(error)))


async def _judged(call: Call, row: Issue, outcome: Outcome, ordinary: View, request: HttpRequest) -> HttpResponse:
    return await in_thread(partial(_not_issued, call, row, outcome, ordinary), request)


async def in_thread(ordinary: View, request: HttpRequest) -> HttpResponse:
    """Return what an ordinary view answers, run in a thread that may ask the database."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), _with_database, ordinary, request)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="oauth")


def _with_database(ordinary: View, request: HttpRequest) -> HttpResponse:
    close_old_connections()
    try:
        return ordinary(request)
    finally:
        close_old_connections()  # as at the end of a request: the pool has others who wait


def _decided(call: Call) -> Issue | None:
    """Return the token to be written, None for another grant."""
    for check in _CHECKS:
        check(call)
        if check is repeats_nothing and call.value("grant_type") != CLIENT_CREDENTIALS:
            return None
    agent = call.client.agent
    if agent is None or not is_registered_for(agent, CLIENT_CREDENTIALS, may_recall=call.client.is_recalled):
        return None
    return own_behalf.decide(call.client, target_of(call), now=call.now)


def _not_issued(call: Call, row: Issue, outcome: Outcome, ordinary: View, request: HttpRequest) -> HttpResponse:
    """Answer where what was remembered was outdated, with the proof still good, or a proof was not fresh."""
    try:
        issuing.judge(row, outcome)
    except Outdated:
        return ordinary(request)
    except AimsError as error:
        return readable(finished(call, refused(call, error)))
    except (DatabaseError, InterfaceError) as error:
        return readable(finished(call, failed(call, error)))
    raise AssertionError("it was issued")
