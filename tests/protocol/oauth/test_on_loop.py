"""The token endpoint as a server on an event loop answers it: the same as everywhere, whatever is in memory or is not."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from urllib.parse import urlencode

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.base import BaseHandler
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import Client as HttpClient
from django.test import override_settings
from django.utils.module_loading import import_string

from aims.authorization import known_clients
from aims.authorization.client_models import ClientRegistration
from aims.authorization.endpoints import on_loop
from aims.authorization.models import AccessToken
from aims.authorization.services import gathering
from aims.authorization.services.clients import ClientSettings, configure_client
from aims.console.middleware import OneHost, StaticFiles, _PageOnly
from aims.identifier import services as identifier
from aims.kit import clock
from aims.kit import committer as kit
from aims.kit.forms import MACHINE_BODY_MAX_BYTES
from aims.policy.services import load_policy
from tests.protocol.oauth.test_issuing import FORBID
from tests.support.dpop import Key
from tests.support.faces import READ, Answer, asks, call, sends
from tests.support.oauth_client import BY, PAY, Machine, Stage, stage
from tests.unit.authorization.entries import entries

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.spec("RFC 6749", "3.2", "the token endpoint, on an event loop"),
]
REFUSED = "authorization.token.refused"


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was not answered on the loop."""
    seen: list[str] = []
    ordinary = on_loop.in_thread

    async def in_thread(view: Callable[[HttpRequest], HttpResponse], request: HttpRequest) -> HttpResponse:
        seen.append(request.path)
        return await ordinary(view, request)

    monkeypatch.setattr(on_loop, "in_thread", in_thread)
    return seen


@pytest.fixture
def on(db: None, threads: list[str]) -> Iterator[Stage]:
    """A stage whose first token has put everything into memory."""
    gathering.start()
    played = stage()
    assert asks(played.courier).status == 200
    assert threads == ["/oauth/token"]
    threads.clear()
    yield played
    gathering.stop()


def test_what_is_in_memory_is_answered_on_the_loop(on: Stage, threads: list[str]) -> None:
    answer = asks(on.courier)
    assert (answer.status, threads) == (200, [])
    assert AccessToken.objects.count() == len(entries("authorization.token.issued")) == 2
    assert set(json.loads(answer.body)) == {"access_token", "token_type", "expires_in", "scope"}


def test_an_answer_says_what_it_says_elsewhere(on: Stage) -> None:
    there = on.courier.token(scope="accounts.read")
    for here in (asks(on.courier), asks(on.courier)):  # the second has its headers from the first
        assert {name.lower() for name in there.headers} | {"content-length"} == here.headers.keys()
        said = [(here.headers[name.lower()], value) for name, value in there.items() if name != "Content-Length"]
        assert all(one == other for one, other in said)
        assert here.headers["content-length"] == str(len(here.body))
        assert json.loads(here.body).keys() == there.json().keys()


@pytest.mark.spec("RFC 9449", "8.2", "a nonce of now with the token, for whoever uses proofs and nobody else")
def test_a_nonce_is_given_to_whoever_uses_proofs(on: Stage) -> None:
    with override_settings(DPOP_NONCE=True):
        told = asks(on.courier, dpop=Key().proof())
        given = asks(on.courier, dpop=Key().proof(nonce=told.headers["dpop-nonce"]))
        assert (told.error, given.status) == ((400, "use_dpop_nonce"), 200)
        assert given.headers["dpop-nonce"]
        assert "dpop-nonce" not in asks(on.courier).headers


def test_one_proof_sent_many_times_at_once_makes_one_token(on: Stage) -> None:
    body = urlencode(on.courier.signed(READ)).encode()

    async def all_at_once() -> list[Answer]:
        return await asyncio.gather(*(call("/oauth/token", body) for _ in range(8)))

    answers = async_to_sync(all_at_once)()
    assert sorted(answer.error for answer in answers) == [(200, "")] + [(401, "invalid_client")] * 7
    assert {entry["data"]["reason"] for entry in entries(REFUSED)} == {"replayed"}
    assert all("www-authenticate" in answer.headers for answer in answers if answer.status == 401)
    assert AccessToken.objects.count() == 2


def test_many_at_once_all_get_a_token(on: Stage, threads: list[str]) -> None:
    bodies = [urlencode(on.courier.signed(READ)).encode() for _ in range(20)]

    async def all_at_once() -> list[Answer]:
        return await asyncio.gather(*(call("/oauth/token", body) for body in bodies))

    assert {answer.status for answer in async_to_sync(all_at_once)()} == {200}
    assert threads == []
    assert AccessToken.objects.count() == 21


@pytest.mark.spec("RFC 9449", "5", "the token is bound to the key that was proved")
def test_a_bound_token_and_its_proof_that_counts_once(on: Stage, threads: list[str]) -> None:
    key = Key()
    proof = key.proof()
    assert json.loads(asks(on.courier, dpop=proof).body)["token_type"] == "DPoP"
    assert threads == []
    assert asks(on.courier, dpop=proof).error == (400, "invalid_dpop_proof")
    assert AccessToken.objects.latest("pk").jkt == key.jkt
    assert asks(on.courier, dpop=Key().proof("/oauth/other")).error == (400, "invalid_dpop_proof")


@pytest.mark.parametrize("what", ["suspended", "forbidden", "retired"])
@pytest.mark.spec("AIMS Console", "authorization", "revocation is in the commit, not in the memory")
def test_what_has_changed_refuses_the_very_next_token(on: Stage, what: str) -> None:
    if what == "suspended":
        identifier.suspend(on.agent, reason="test", by=BY, now=clock.now())
    elif what == "forbidden":
        load_policy(FORBID, by=BY, now=clock.now())
    else:
        identifier.retire_resource(on.pay, by=BY, now=clock.now())
    errors = {
        "suspended": (401, "invalid_client"),
        "forbidden": (400, "access_denied"),
        "retired": (400, "invalid_target"),
    }
    assert asks(on.courier).error == errors[what]
    assert AccessToken.objects.count() == 1
    assert len(entries(REFUSED)) == 1


@pytest.mark.spec("RFC 6749", "5.2", "unauthorized_client: it was not admitted with this grant")
def test_a_grant_that_it_was_not_admitted_with_is_closed_here_too(on: Stage) -> None:
    row = ClientRegistration(agent=on.agent, client_id=on.courier.client_id, kind="dynamic", state="admitted")
    row.metadata = row.admitted_metadata = {"grant_types": ["authorization_code"]}
    row.state_since_at = row.registered_at = clock.now()
    row.save()
    known_clients._held.forget()
    assert asks(on.courier).error == (400, "unauthorized_client")
    assert AccessToken.objects.count() == 1


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, (400, "unsupported_grant_type")),
        ({"resource": PAY}, (400, "invalid_request")),
        (READ | {"scope": "payments.create"}, (400, "invalid_scope")),
        (READ | {"resource": "https://nowhere.example/"}, (400, "invalid_target")),
        (READ | {"client_assertion": "forged"}, (401, "invalid_client")),
    ],
)
def test_every_refusal_is_the_ordinary_one(on: Stage, form: dict[str, str], error: tuple[int, str]) -> None:
    signed = on.courier.signed(form)
    there = on.courier.post("/oauth/token", on.courier.signed(form))
    assert sends(signed).error == error == (there.status_code, there.json()["error"])


def test_a_thief_of_a_name_in_memory_is_refused(on: Stage) -> None:
    assert asks(Machine(on.courier.client_id)).error == (401, "invalid_client")


def test_a_client_that_must_prove_its_key_is_asked_for_it(on: Stage) -> None:
    told = ClientSettings(delivery_mode="poll", dpop_bound=True)
    configure_client(on.agent, told, by=BY, now=clock.now())
    assert asks(on.courier).error == (400, "invalid_dpop_proof")


@pytest.mark.parametrize("parts", [1, 7])
@pytest.mark.parametrize("said", ["", "12"], ids=["its length", "a lie"])
def test_a_body_that_is_too_big_is_cut_off_and_refused(on: Stage, parts: int, said: str) -> None:
    body = urlencode(on.courier.signed(READ) | {"x": "y" * MACHINE_BODY_MAX_BYTES}).encode()
    more = {"content-length": said} if said else {}
    assert async_to_sync(call)("/oauth/token", body, parts=parts, more=more).error == (413, "invalid_request")


def test_a_body_in_parts_is_read_whole(on: Stage) -> None:
    body = urlencode(on.courier.signed(READ)).encode()
    assert async_to_sync(call)("/oauth/token", body, parts=5).status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/oauth/token", 405),
        ("GET", "/oauth/jwks", 200),
        ("POST", "/oauth/introspect", 415),
        ("GET", "/oauth/nothing", 404),
        ("POST", "/oauth/token/", 404),
    ],
)
def test_ordinary_views_answer_in_their_threads(on: Stage, method: str, path: str, status: int) -> None:
    here = async_to_sync(call)(path, method=method, more={"content-type": ""})
    there = HttpClient(raise_request_exception=False).generic(method, path, content_type="")
    assert here.status == status == there.status_code
    assert here.headers["x-frame-options"] == there["X-Frame-Options"]


def test_while_nothing_can_be_written_nobodys_signature_is_verified(
    on: Stage, threads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kit, "QUEUE_MAX", 0)
    answer = sends(READ)  # nobody's, and not told so
    assert answer.error == (503, "temporarily_unavailable")
    assert (answer.headers["retry-after"], answer.headers["cache-control"]) == ("1", "no-store")
    assert on.courier.post("/oauth/token", READ).status_code == 503
    assert sends({"grant_type": "password"}).error == (401, "invalid_client")
    assert "/oauth/token" in threads  # another grant goes its way


def test_a_process_that_can_write_no_tokens_is_not_ready(on: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(_self: object) -> None:
        raise OperationalError("down")

    ready = HttpClient().get("/readyz")
    committer = gathering.running()
    assert committer
    monkeypatch.setattr(committer, "is_ready", False)
    unready = HttpClient().get("/readyz")
    assert (ready.status_code, unready.status_code) == (200, 503)
    assert unready.json() == {"database": "takes no tokens"}
    assert asks(on.courier).error == (503, "temporarily_unavailable")


@pytest.mark.parametrize("where", ["own_behalf.planned", "tokens.refuse", "issuing.judge"])
def test_a_database_that_goes_away_is_told_as_that_and_never_as_a_fault(
    on: Stage, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def away(*_said: object, **_more: object) -> None:
        raise OperationalError("server closed the connection unexpectedly")

    signed = on.courier.signed(READ | {"scope": "payments.create" if where == "tokens.refuse" else "accounts.read"})
    if where == "issuing.judge":
        assert sends(signed).status == 200  # the second use is no token, and asks the database why
    monkeypatch.setattr(f"aims.authorization.services.{where}", away)
    answer = sends(signed)
    assert answer.error == (503, "temporarily_unavailable")
    assert answer.headers["retry-after"] == "1"


def test_without_a_committer_the_ordinary_view_answers(on: Stage, threads: list[str]) -> None:
    gathering.stop()
    assert asks(on.courier).status == 200
    assert threads == ["/oauth/token"]


async def test_a_view_on_the_loop_cannot_ask_the_database() -> None:
    """What makes a forgotten query a detour and not a server that stands still."""
    from django.core.exceptions import SynchronousOnlyOperation

    with pytest.raises(SynchronousOnlyOperation):
        AccessToken.objects.exists()
    await sync_to_async(lambda: None)()


def test_only_middleware_that_steps_aside_for_machines_is_left_out() -> None:
    for name in set(settings.MIDDLEWARE) - set(settings.MACHINE_MIDDLEWARE):
        kind = import_string(name)
        assert issubclass(kind, _PageOnly | OneHost | StaticFiles), name
    assert [name for name in settings.MIDDLEWARE if name in settings.MACHINE_MIDDLEWARE] == settings.MACHINE_MIDDLEWARE


def test_it_leans_on_the_django_that_it_was_written_for() -> None:
    """Another Django may move these: then read aims/lean.py beside its ASGIHandler before this list is changed."""
    import django

    assert django.VERSION[:2] == (5, 2)
    used = {
        "create_request": ["self", "scope", "body_file"],
        "run_get_response": ["self", "request"],
        "send_response": ["self", "response", "send"],
        "resolve_request": ["self", "request"],
        "_get_response_async": ["self", "request"],
        "load_middleware": ["self", "is_async"],
    }
    assert {name: list(inspect.signature(getattr(ASGIHandler, name)).parameters) for name in used} == used
    made = inspect.getsource(BaseHandler.load_middleware)
    for attribute in ("_view_middleware", "_template_response_middleware", "_exception_middleware"):
        assert f"self.{attribute} = []" in made
    assert "self._middleware_chain = handler" in made
