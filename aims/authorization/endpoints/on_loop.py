"""The token endpoint on the event loop: decided from memory, written together with whatever else comes just now.

Only an agent on its own behalf is answered here, and only with a token or with what became of its proof. Whatever is not
in memory asks the database, which Django refuses on a loop; like every refusal and every other grant this goes to the
ordinary view, in a thread, from the start: nothing was consumed. The checks are the same, in the same order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse

from aims.authorization.endpoints.client_credentials import target_of
from aims.authorization.endpoints.cross_origin import readable
from aims.authorization.errors import Outdated
from aims.authorization.pipeline import (
    CLIENT_CREDENTIALS,
    Call,
    Endpoint,
    answer,
    checks_of,
    error_response,
    finished,
    refused,
    repeats_nothing,
)
from aims.authorization.services import gathering, issuing, own_behalf
from aims.authorization.services.issuing import Issue, Outcome
from aims.kit import clock
from aims.kit.committer import Unavailable
from aims.kit.errors import AimsError

THREADS_MAX = 32  # for what is not answered on the loop; some fetch keys, which may take seconds

View = Callable[[HttpRequest], HttpResponse]

_CHECKS = checks_of(Endpoint.TOKEN)


async def token(request: HttpRequest, *, ordinary: View) -> HttpResponse:
    """Answer at the token endpoint. ordinary: the view that its URL leads to elsewhere."""
    committer = gathering.running()
    if committer is None:
        return await in_thread(ordinary, request)
    call = Call(request=request, endpoint=Endpoint.TOKEN, now=clock.now(), may_recall=True)
    try:
        row = _decided(call)
        if row is None or row.is_metered:
            return await in_thread(ordinary, request)
        outcome = await committer.submitted(row)
    except Unavailable as error:
        return readable(finished(call, error_response(error)))
    except Exception:  # a refusal, something not remembered, or a fault of ours: the view judges, records and logs it
        return await in_thread(ordinary, request)
    if issuing.is_issued(row, outcome):
        return readable(finished(call, answer(row.prepared.response())))
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
    return own_behalf.decide(call.client, target_of(call), now=call.now)


def _not_issued(call: Call, row: Issue, outcome: Outcome, ordinary: View, request: HttpRequest) -> HttpResponse:
    """Answer where what was remembered was outdated, with the proof still good, or a proof was not fresh."""
    try:
        issuing.judge(row, outcome)
    except Outdated:
        return ordinary(request)
    except AimsError as error:
        return readable(finished(call, refused(call, error)))
    raise AssertionError("it was issued")
