"""The token endpoint without the database: decided from memory, then written together with whatever else comes just now.

Only an agent on its own behalf is answered here, and only with a token or with what became of its proof. Whatever is not
in memory would have to be asked of the database, which is refused here; like every refusal and every other grant that goes to
the ordinary view, from the start: nothing was consumed. The checks are the same, in the same order.

``on_loop`` and ``in_threads`` are its two faces: they decide, submit the row, and hand what became of it to ``settled``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse

from aims.authentication.client import Client
from aims.authorization.endpoints import plans
from aims.authorization.endpoints.client_credentials import target_of
from aims.authorization.endpoints.cross_origin import readable
from aims.authorization.endpoints.plans import Asked
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
from aims.authorization.services import issuing, own_behalf
from aims.authorization.services.issuing import Issue, Outcome
from aims.authorization.services.own_behalf import Plan
from aims.kit import clock
from aims.kit.committer import Unavailable
from aims.kit.errors import AimsError
from aims.kit.kept import Sources, noted

View = Callable[[HttpRequest], HttpResponse]


@dataclass(frozen=True)
class Otherwise:
    """How a request goes on that was not granted from memory. answer: given the view that its URL leads to elsewhere."""

    answer: Callable[[View, HttpRequest], HttpResponse]
    asks_database: bool = True


@dataclass(frozen=True)
class Granted:
    """A token that counts. is_secure: whether it came by TLS, where the headers of its answer hang on that alone."""

    row: Issue
    now: datetime
    is_secure: bool | None

    def body(self) -> bytes:
        """Return the body of its answer."""
        return spelled(self.row.prepared.response())

    def answer(self, _ordinary: View, request: HttpRequest) -> HttpResponse:
        """Return the whole answer."""
        return _finished(answer(self.row.prepared.response()), request, now=self.now)


@dataclass(frozen=True)
class _Planning:
    """What a plan is made of, once its token counts."""

    asked: Asked
    call: Call
    plan: Plan
    sources: Sources


@dataclass(frozen=True)
class Decided:
    """A token that is still to be written. again: the request that it has a plan by; planning: that it may make one of."""

    client: Client
    row: Issue
    now: datetime
    is_secure: bool | None
    again: Asked | None = None
    planning: _Planning | None = None

    def settled(self, outcome: Outcome) -> Granted | Otherwise:
        """Return what the write has made of it."""
        if not issuing.is_issued(self.row, outcome):
            if self.again:
                plans.forget(self.again, self.client)
            return Otherwise(lambda ordinary, request: self._refused(outcome, ordinary, request))
        if made := self.planning:
            plans.keep(made.asked, made.call, made.plan, self.row, made.sources)
        return Granted(self.row, self.now, self.is_secure)

    def _refused(self, outcome: Outcome, ordinary: View, request: HttpRequest) -> HttpResponse:
        """Answer where what was remembered was outdated, with the proof still good, or a proof was not fresh."""
        call = Call(request=request, endpoint=Endpoint.TOKEN, now=self.now, _client=self.client)
        try:
            issuing.judge(self.row, outcome)
        except Outdated:
            return ordinary(request)
        except AimsError as error:
            return _finished(refused(call, error), request, now=self.now)
        except (DatabaseError, InterfaceError) as error:
            return _finished(failed(call, error), request, now=self.now)
        raise AssertionError("it was issued")


def first(request: HttpRequest, asked: Asked | None) -> Decided | Otherwise:
    """Return what the checks say of a request, or how it goes on. asked: the same, taken apart, where that can be."""
    call = Call(request=request, endpoint=Endpoint.TOKEN, now=clock.now(), may_recall=True)
    try:
        with noted() as sources:
            decided = _decided(call)
    except Unavailable as error:
        return unavailable(error, now=call.now)
    except Exception:  # a refusal, something not remembered, or a fault of ours: the view judges, records and logs it
        return ORDINARY
    if decided is None or decided[1].is_metered:
        return ORDINARY
    plan, row = decided
    is_secure = None if gives_nonce(request) else bool(request.is_secure())
    planning = _Planning(asked, call, plan, sources) if asked else None
    return Decided(call.client, row, call.now, is_secure, planning=planning)


def again(asked: Asked) -> Decided | Otherwise | None:
    """Return what the plan of an earlier request says of one like it; None where there is none that is good."""
    now = clock.now()
    try:
        found = plans.again(asked, now=now)
    except Unavailable as error:
        return unavailable(error, now=now)
    except Exception:  # as above
        return ORDINARY
    return Decided(found.client, found.row, now, found.is_secure, again=asked) if found else None


def unavailable(error: Unavailable, *, now: datetime) -> Otherwise:
    """Return the answer where nothing can be written just now."""
    return Otherwise(lambda _view, request: _finished(error_response(error), request, now=now), asks_database=False)


ORDINARY = Otherwise(lambda ordinary, request: ordinary(request))
_CHECKS = checks_of(Endpoint.TOKEN)


def _decided(call: Call) -> tuple[Plan, Issue] | None:
    """Return the token to be written and what it was planned by, None for another grant."""
    for check in _CHECKS:
        check(call)
        if check is repeats_nothing and call.value("grant_type") != CLIENT_CREDENTIALS:
            return None
    agent = call.client.agent
    if agent is None or not is_registered_for(agent, CLIENT_CREDENTIALS, may_recall=call.client.is_recalled):
        return None
    plan = own_behalf.planned(call.client, target_of(call), now=call.now)
    return plan, own_behalf.made(plan, call.client, now=call.now)


def _finished(response: HttpResponse, request: HttpRequest, *, now: datetime) -> HttpResponse:
    call = Call(request=request, endpoint=Endpoint.TOKEN, now=now)
    return readable(finished(call, response))
