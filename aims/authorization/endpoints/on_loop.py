"""The token endpoint on an event loop: what is decided from memory stays there, whatever asks the database gets a thread.

Django refuses a query on a loop, so one that is forgotten there is a detour and no server that stands still.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse

from aims.authorization.endpoints import from_memory
from aims.authorization.endpoints.from_memory import ORDINARY, Decided, Granted, Otherwise, View
from aims.authorization.endpoints.plans import Asked
from aims.authorization.services import gathering
from aims.kit.committer import Unavailable

THREADS_MAX = 32  # for what is not answered on the loop; some fetch keys, which may take seconds


async def first(request: HttpRequest, asked: Asked | None) -> Granted | Otherwise:
    """Return what a request to the token endpoint comes to, or how it goes on."""
    return await _written(from_memory.first(request, asked) if gathering.running() else ORDINARY)


async def again(asked: Asked) -> Granted | Otherwise | None:
    """Return what a request like an earlier one comes to, or how it goes on; None where there is no plan for it."""
    decided = from_memory.again(asked) if gathering.running() else None
    return await _written(decided) if decided else None


async def _written(decided: Decided | Otherwise) -> Granted | Otherwise:
    committer = gathering.running()
    if isinstance(decided, Otherwise) or committer is None:
        return decided if isinstance(decided, Otherwise) else ORDINARY
    try:
        return decided.settled(await committer.submitted(decided.row))
    except Unavailable as error:
        return from_memory.unavailable(error, now=decided.now)
    except Exception:  # of a database that takes all rows but this one: the view finds out, and logs it
        return ORDINARY


async def answered(came_to: Granted | Otherwise, ordinary: View, request: HttpRequest) -> HttpResponse:
    """Return the whole answer. ordinary: the view that its URL leads to elsewhere."""
    if isinstance(came_to, Otherwise) and came_to.asks_database:
        return await in_thread(lambda asked: came_to.answer(ordinary, asked), request)
    return came_to.answer(ordinary, request)


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
