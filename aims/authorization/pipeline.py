"""What runs at each machine endpoint, in what order: checks down, endpoints across.

A check is named for its rule, takes the call, raises the specification's error. Errors become responses here only.
"""

from __future__ import annotations

import functools
import json
import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Flag, auto
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from aims.authentication import dpop, replay
from aims.authentication.client import Client, KnownClientRefused
from aims.authentication.errors import (
    DpopForgotten,
    DpopReplayed,
    InvalidClient,
    InvalidDpopProof,
    ManyMethods,
    ProofForgotten,
    ProofReplayed,
    UseDpopNonce,
)
from aims.authorization.authenticating import authenticated
from aims.authorization.binding import with_key
from aims.authorization.errors import InvalidRequest, MethodNotAllowed, ServerError, UnauthorizedClient
from aims.authorization.errors import described as described
from aims.authorization.queries import CIBA, OF_AGREEMENTS
from aims.authorization.services import gathering, tokens
from aims.kit import clock
from aims.kit.address import address_of
from aims.kit.committer import Unavailable
from aims.kit.errors import AimsError
from aims.kit.forms import Form, FormRefused, read_form, single
from aims.kit.prepared import is_possible
from audit.write import count_failure

log = logging.getLogger(__name__)
REPEATABLE = frozenset({"resource", "audience"})  # RFC 8707 §2, RFC 8693 §2.1
_METHOD = "private_key_jwt"
NONCE_HEADER = "DPoP-Nonce"
CLIENT_CREDENTIALS = "client_credentials"


class Endpoint(Flag):
    TOKEN = auto()
    BC_AUTHORIZE = auto()
    INTROSPECT = auto()
    REVOKE = auto()
    PAR = auto()


@dataclass
class Call:
    """A request on its way down the table. ``form`` and ``client`` are there once their checks have run.

    may_recall: the client, and what is read for it, may come from this process's memory; see Client.is_recalled.
    """

    request: HttpRequest
    endpoint: Endpoint
    now: datetime
    may_recall: bool = False
    form: Form = field(default_factory=dict)
    _client: Client | None = None
    resource: str | None = None  # for the record of a refusal
    is_second_try: bool = False
    is_settling: bool = False  # the handler runs, and spends the proof and records its refusals itself

    @property
    def client(self) -> Client:
        assert self._client is not None, "no check has authenticated the client"
        return self._client

    @property
    def is_recalled(self) -> bool:
        """Return whether the client came from memory."""
        return self._client is not None and self._client.is_recalled

    def value(self, name: str) -> str | None:
        """Return the only value of a parameter, None where absent or empty."""
        return single(self.form, name)

    def values(self, name: str) -> tuple[str, ...]:
        """Return all values of a parameter that may be repeated."""
        return tuple(value for value in self.form.get(name, ()) if value)


def is_post(call: Call) -> None:
    """RFC 6749 §3.2: the client must use POST."""
    if call.request.method != "POST":
        raise MethodNotAllowed


def has_no_query(call: Call) -> None:
    """RFC 6749 §2.3.1, RFC 9700 §4.3.2: nothing secret travels in the URI, so nothing is read from there."""
    if call.request.META.get("QUERY_STRING"):
        raise InvalidRequest("Send the parameters in the body.")


def is_form(call: Call) -> None:
    """RFC 6749 appendix B: parameters come form-encoded, in UTF-8, up to 256 KiB."""
    call.form = read_form(call.request)


def repeats_nothing(call: Call) -> None:
    """RFC 6749 §3.2: no parameter may be included more than once."""
    for name in call.form.keys() - REPEATABLE:
        single(call.form, name)


def has_room(call: Call) -> None:
    """Nobody's signature is verified for what could not be written."""
    if call.endpoint is Endpoint.INTROSPECT:
        gathering.admit_use()
    elif call.value("grant_type") in (CLIENT_CREDENTIALS, CIBA):
        gathering.admit()


def is_authenticated(call: Call) -> None:
    """RFC 6749 §3.2.1: by the one method that this client registered."""
    # Only these grants' writes depend on what was recalled; for polls, PostgreSQL's.
    grant_type = call.value("grant_type")
    may_recall = grant_type == CLIENT_CREDENTIALS or (grant_type == CIBA and is_possible())
    # What these two are about is held by the client alone, so it may name itself: a code, a refresh token, its own token.
    may_be_public = call.endpoint is Endpoint.REVOKE or grant_type in OF_AGREEMENTS
    call._client = authenticated(
        call.form,
        call.request,
        now=call.now,
        may_recall=call.may_recall and may_recall,
        may_be_public=may_be_public,
    )


def is_agent(call: Call) -> None:
    """Resource servers introspect; only agents ask for tokens."""
    if call.client.agent is None:
        raise UnauthorizedClient


def proves_its_key(call: Call) -> None:
    """RFC 9449 §5, RFC 8705 §3: what is issued is bound to the key that the request proves. Before anything is consumed."""
    call._client = with_key(call.client, call.request, now=call.now)


def may_prove_its_key(call: Call) -> None:
    """RFC 9449 §10.1: a proof with the pushed request binds the code; who has none yet can still bind its tokens."""
    call._client = with_key(call.client, call.request, now=call.now, is_demanded=False)


def is_resource_server(call: Call) -> None:
    """RFC 7662 §2.1, §4: only the resource server a token is for may ask about it."""
    if call.client.resource is None:
        raise UnauthorizedClient


_ALL = Endpoint.TOKEN | Endpoint.BC_AUTHORIZE | Endpoint.INTROSPECT | Endpoint.REVOKE | Endpoint.PAR
_OURS = _ALL & ~Endpoint.BC_AUTHORIZE  # the backchannel's verb authenticates in its own order
CHECKS: tuple[tuple[Callable[[Call], None], Endpoint], ...] = (
    # check             token  bc-authorize  introspect  revoke  par
    (is_post, _ALL),
    (has_no_query, _ALL),
    (is_form, _ALL),
    (repeats_nothing, _ALL),
    (has_room, Endpoint.TOKEN | Endpoint.INTROSPECT),
    (is_authenticated, _OURS),
    (is_agent, Endpoint.TOKEN | Endpoint.REVOKE | Endpoint.PAR),
    (is_resource_server, Endpoint.INTROSPECT),
    (proves_its_key, Endpoint.TOKEN),  # the backchannel's verb asks for itself
    (may_prove_its_key, Endpoint.PAR),
)

Handler = Callable[[Call], HttpResponse]


def endpoint(which: Endpoint) -> Callable[[Handler], Callable[[HttpRequest], HttpResponse]]:
    """Make a view of a handler: the table's checks first, errors as the specification writes them, never cached.

    CSRF does not apply: these endpoints know no cookie.
    """
    checks = checks_of(which)

    def decorate(handler: Handler) -> Callable[[HttpRequest], HttpResponse]:
        @csrf_exempt
        @functools.wraps(handler)
        def view(request: HttpRequest) -> HttpResponse:
            call = Call(request=request, endpoint=which, now=clock.now(), may_recall=which is Endpoint.TOKEN)
            return finished(call, _run(call, checks, handler))

        return view

    return decorate


def checks_of(which: Endpoint) -> tuple[Callable[[Call], None], ...]:
    """Return what runs at an endpoint, in its order."""
    return tuple(check for check, where in CHECKS if which in where)


def finished(call: Call, response: HttpResponse) -> HttpResponse:
    """Return a response with what every answer of a machine endpoint says: never cached, and the nonce of now."""
    return _uncached(with_nonce(call.request, response, now=call.now))


def answer(body: dict[str, Any], status: int = 200) -> HttpResponse:
    """Return a JSON response."""
    return HttpResponse(spelled(body), status=status, content_type="application/json")


def spelled(body: dict[str, Any]) -> bytes:
    """Return a body as JSON. The default encoder is kept by ``json``; Django's own is made anew for every answer."""
    return json.dumps(body).encode()


def error_response(error: AimsError) -> HttpResponse:
    """Return the error as RFC 6749 §5.2 writes it."""
    response = answer({"error": error.code, "error_description": described(error.public)}, error.status)
    if error.status == 405:
        response["Allow"] = "POST"
    if isinstance(error, UseDpopNonce):
        response[NONCE_HEADER] = error.nonce
    if retry_after_s := getattr(error, "retry_after_s", None):
        response["Retry-After"] = str(retry_after_s)
    return response


def _run(call: Call, checks: tuple[Callable[[Call], None], ...], handler: Handler) -> HttpResponse:
    try:
        for check in checks:
            check(call)
        return handler(call)
    except (UseDpopNonce, Unavailable) as error:
        return error_response(error)  # no refusal: nothing was consumed, and the client comes again with the same grant
    except AimsError as error:
        if call.is_recalled and not call.is_settling and not isinstance(error, ProofReplayed | DpopReplayed):
            # What is remembered may grant, never refuse: once more, with what the database says now.
            return _run(replace(call, may_recall=False, _client=None), checks, handler)
        return refused(call, error)
    except Exception as error:
        if _was_deadlocked(error) and not call.is_second_try:
            return _run(replace(call, is_second_try=True, is_settling=False, _client=None), checks, handler)
        return failed(call, error)


def failed(call: Call, error: Exception) -> HttpResponse:
    """Return the answer to what is nobody's refusal: a database that is away, or a fault of ours. It is logged."""
    if isinstance(error, OperationalError | InterfaceError):
        log.error("%s: the database does not answer: %s", call.endpoint.name, type(error).__name__)
        return error_response(Unavailable())
    # Trap of the toolkit: a programming error must not become an HTML page for a machine.
    log.error("%s failed", call.endpoint.name, exc_info=error)
    return error_response(ServerError())


def _was_deadlocked(error: Exception) -> bool:
    """Return whether PostgreSQL undid this one of two requests that waited for each other; it may run again.

    One proof sent to two endpoints at once does that: here the agent's row comes before the proof, there after it.
    """
    return getattr(error.__cause__, "sqlstate", None) == "40P01"


def refused(call: Call, error: AimsError) -> HttpResponse:
    """Return the answer to a refusal once it is recorded. One that can't be was none: come again."""
    try:
        return _refused(call, error)
    except (OperationalError, InterfaceError) as trouble:
        return failed(call, trouble)


def _refused(call: Call, error: AimsError) -> HttpResponse:
    try:
        _record(call, error)
    except ProofReplayed as replayed:
        # Two equal requests at once that both fail: only the first is told why.
        _record(call, replayed)
        error = replayed
    response = error_response(error)
    if error.status == 401:
        response["WWW-Authenticate"] = f'{_scheme(call)} realm="{settings.ISSUER}"'
    return response


def _record(call: Call, error: AimsError) -> None:
    """Record a refusal after the failed transaction has ended; count it where nobody proved who they are."""
    if call.is_settling and not isinstance(error, InvalidClient | ManyMethods | FormRefused | DpopReplayed):
        return
    where = str(call.endpoint.name).lower()
    client = error.client if isinstance(error, KnownClientRefused) else call._client
    if isinstance(error, ProofForgotten | DpopForgotten):
        replay.begin()
    if isinstance(error, ProofReplayed | DpopReplayed) and (by := client.identifier if client else error.agent):
        proofs = client.proofs if client and isinstance(error, DpopReplayed) else ()
        tokens.note_refusal(
            endpoint=where, code=error.code, reason=error.reason, by=by, agent=error.agent, proofs=proofs
        )
        return
    if client is None:
        count_failure(address_of(call.request), error.code)
        return
    reason = error.reason if isinstance(error, InvalidClient | InvalidDpopProof) else ""
    policies = tuple(getattr(error, "policies", ()))
    tokens.refuse(client, endpoint=where, code=error.code, reason=reason, policies=policies, resource=call.resource)


def _scheme(call: Call) -> str:
    """Return the scheme of the challenge: the one tried, else the method wanted. Spec: RFC 6749 §5.2."""
    tried = call.request.headers.get("Authorization", "").partition(" ")[0]
    return tried if re.fullmatch(r"[A-Za-z0-9_-]{1,40}", tried) else _METHOD


def gives_nonce(request: HttpRequest) -> bool:
    """Return whether the answer hands out the nonce of now: to whoever uses proofs. Spec: RFC 9449 §8.2, §9."""
    return bool(settings.DPOP_NONCE) and dpop.META_NAME in request.META


def with_nonce(request: HttpRequest, response: HttpResponse, *, now: datetime) -> HttpResponse:
    """Hand out the nonce of now. The same at every resource of ours: clients keep one for each origin, and we are one."""
    if gives_nonce(request):
        response[NONCE_HEADER] = dpop.nonces().current(now.timestamp())
    return response


def _uncached(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"  # RFC 6749 §5.1
    response["Pragma"] = "no-cache"
    return response
