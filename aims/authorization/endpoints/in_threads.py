"""The token endpoint in the threads of a WSGI server: what is decided from memory asks the database nothing here either."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NoReturn

from django.db import connection
from django.http import HttpRequest

from aims.authorization.endpoints import from_memory
from aims.authorization.endpoints.from_memory import ORDINARY, Decided, Granted, Otherwise
from aims.authorization.endpoints.plans import Asked
from aims.authorization.services import gathering
from aims.kit.committer import Unavailable


class NotInMemory(RuntimeError):
    """The database was asked for what was to be decided from memory: the ordinary view asks it."""


def first(request: HttpRequest, asked: Asked | None) -> Granted | Otherwise:
    """Return what a request to the token endpoint comes to, or how it goes on."""
    return _decided_and_written(lambda: from_memory.first(request, asked)) or ORDINARY


def again(asked: Asked) -> Granted | Otherwise | None:
    """Return what a request like an earlier one comes to, or how it goes on; None where there is no plan for it."""
    return _decided_and_written(lambda: from_memory.again(asked))


def _decided_and_written(decide: Callable[[], Decided | Otherwise | None]) -> Granted | Otherwise | None:
    committer = gathering.running()
    if committer is None:
        return None
    with _without_queries():
        decided = decide()
    if not isinstance(decided, Decided):
        return decided
    try:
        return decided.settled(committer.submit(decided.row))
    except Unavailable as error:
        return from_memory.unavailable(error, now=decided.now)
    except Exception:  # of a database that takes all rows but this one: the view finds out, and logs it
        return ORDINARY


def _without_queries() -> AbstractContextManager[None]:
    return connection.execute_wrapper(_refuse)


def _refuse(*_query: object) -> NoReturn:
    raise NotInMemory
