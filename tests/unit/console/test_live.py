"""The bell of open pages, through the whole ASGI application: who may listen, who hears, and when it closes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.layers import get_channel_layer
from django.conf import settings
from django.core.cache import cache
from django.db import connections
from django.test import Client
from redis import Redis

from aims.asgi import application
from aims.console import live
from aims.kit import bell, clock
from aims.kit.nudge import Topic
from aims.people import services
from aims.people.models import SignedInSession
from tests.unit.people.driver import BY, Somebody, browser_of, enrolled, use_link

pytestmark = pytest.mark.django_db(transaction=True)

WITHIN_S = 10
_communicator: Any = ApplicationCommunicator  # it has no types


@pytest.fixture(autouse=True)
def _fresh_counters() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


class Page:
    """An open page: the cookies of a browser, and its socket."""

    def __init__(self, browser: Client | None, *, origins: tuple[str, ...] = (settings.ISSUER,), path: str = "/live"):
        cookies = "; ".join(f"{name}={one.value}" for name, one in browser.cookies.items()) if browser else ""
        headers = [(b"host", b"localhost:8000"), (b"cookie", cookies.encode())]
        headers += [(b"origin", origin.encode()) for origin in origins]
        self._scope = {"type": "websocket", "path": path, "headers": headers, "query_string": b"", "subprotocols": []}

    async def opens(self) -> bool:
        """Connect; return whether the socket was accepted."""
        self._socket: Any = _communicator(application, self._scope)
        await self._socket.send_input({"type": "websocket.connect"})
        answer = await self._socket.receive_output(WITHIN_S)
        self.code = answer.get("code")
        return bool(answer["type"] == "websocket.accept")

    async def says(self, said: str | bytes) -> None:
        kind = "text" if isinstance(said, str) else "bytes"
        await self._socket.send_input({"type": "websocket.receive", kind: said})

    async def hears(self) -> dict[str, Any]:
        """Return the next bell."""
        heard = await self._socket.receive_output(WITHIN_S)
        assert heard["type"] == "websocket.send", heard
        return dict(json.loads(heard["text"]))

    async def closes(self) -> int:
        """Return the code with which it closes; a bell before that is a failure."""
        heard = await self._socket.receive_output(WITHIN_S)
        assert heard["type"] == "websocket.close", heard
        return int(heard["code"])

    async def leaves(self) -> None:
        await self._socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await self._socket.wait(WITHIN_S)


def play(story: Callable[[], Awaitable[None]]) -> None:
    """Run a story on a loop of its own, as the server's; what asks the database runs in one thread."""

    async def played() -> None:
        live.serve_on(asyncio.get_running_loop())
        await story()

    # In a thread of its own: whoever drives a browser leaves a running loop in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(async_to_sync(played)).result()
        thread.submit(connections.close_all).result()


async def ring(topic: Topic, *people: Somebody) -> None:
    await sync_to_async(live.carry)(topic, tuple(somebody.person.ref for somebody in people))


@pytest.mark.parametrize(
    "origins",
    [
        (),
        ("null",),
        ("https://evil.example",),
        (f"{settings.ISSUER}.evil.example",),
        (f"{settings.ISSUER}1",),
        (settings.ISSUER.replace("http", "https"),),
        (settings.ISSUER + "/",),
        (settings.ISSUER, "https://evil.example"),
        ("https://evil.example", settings.ISSUER),
    ],
)
def test_a_page_of_another_origin_is_refused(origins: tuple[str, ...]) -> None:
    page = Page(browser_of(enrolled()), origins=origins)

    async def story() -> None:
        assert not await page.opens()
        assert page.code == live.WRONG_ORIGIN

    play(story)


def _stranger() -> Client:
    return Client()


def _made_up() -> Client:
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = "x" * 32
    return client


def _about_to_sign_in() -> Client:
    client = Client()
    client.post("/sign-in/begin/")
    assert client.session.session_key
    return client


@pytest.mark.parametrize("whose", [_stranger, _made_up, _about_to_sign_in])
def test_who_is_not_signed_in_is_told_so_and_hears_nothing(whose: Callable[[], Client]) -> None:
    page = Page(whose())

    async def story() -> None:
        assert await page.opens()  # only so that the page can read the code and stop asking
        assert await page.closes() == live.SESSION_ENDED

    play(story)


def test_a_session_without_a_passkeys_entry_hears_nothing() -> None:
    """Django's session alone is not enough: what its owner cannot see and end must not listen."""
    browser = browser_of(enrolled())
    SignedInSession.objects.all().delete()
    page = Page(browser)

    async def story() -> None:
        assert await page.opens()
        assert await page.closes() == live.SESSION_ENDED

    play(story)


@pytest.mark.parametrize("topic", [Topic.INBOX, Topic.SESSION])
def test_a_bell_names_its_topic_and_says_nothing_else(topic: Topic) -> None:
    ada = enrolled()
    page = Page(browser_of(ada))

    async def story() -> None:
        assert await page.opens()
        await ring(topic, ada)
        assert await page.hears() == {"topic": topic.value}
        await page.leaves()

    play(story)


def test_only_the_people_addressed_hear_it() -> None:
    ada, cy = enrolled("ada@example.org"), enrolled("cy@example.org")
    hers, his = Page(browser_of(ada)), Page(browser_of(cy))

    async def story() -> None:
        assert await hers.opens() and await his.opens()
        await ring(Topic.INBOX, ada)
        assert await hers.hears() == {"topic": "inbox"}
        await ring(Topic.SESSION, cy)
        assert await his.hears() == {"topic": "session"}, "the first that he hears is his own"
        await hers.leaves()
        await his.leaves()

    play(story)


@pytest.mark.parametrize("topic", [Topic.REQUEST, Topic.PING])
def test_what_is_for_machines_reaches_no_page(topic: Topic) -> None:
    ada = enrolled("ada@example.org", "auditor")
    page = Page(browser_of(ada))

    async def story() -> None:
        assert await page.opens()
        await ring(topic, ada)
        await ring(Topic.INBOX, ada)
        assert await page.hears() == {"topic": "inbox"}
        await page.leaves()

    play(story)


def test_the_log_rings_for_its_readers_and_for_nobody_else() -> None:
    ben, adm = enrolled("ben@example.org", "auditor"), enrolled("adm@example.org", "admin")
    ada = enrolled("ada@example.org", "approver", "owner")
    pages = [Page(browser_of(one)) for one in (ben, adm, ada)]

    async def story() -> None:
        for page in pages:
            assert await page.opens()
        await ring(Topic.LOG)
        for page in pages[:2]:
            assert await page.hears() == {"topic": "log"}
        await ring(Topic.INBOX, ada)
        assert await pages[2].hears() == {"topic": "inbox"}
        for page in pages:
            await page.leaves()

    play(story)


def test_rights_are_looked_up_again_before_each_bell() -> None:
    ben = enrolled("ben@example.org", "auditor")
    page = Page(browser_of(ben))

    async def story() -> None:
        assert await page.opens()
        await ring(Topic.LOG)
        assert await page.hears() == {"topic": "log"}
        await sync_to_async(services.end_role)(ben.person, "auditor", by=BY, now=clock.now())
        assert await page.hears() == {"topic": "session"}
        await ring(Topic.LOG)
        await sync_to_async(services.hold_role)(ben.person, "auditor", by=BY, now=clock.now())
        assert await page.hears() == {"topic": "session"}, "no bell of the log after the role has ended"
        await ring(Topic.LOG)
        assert await page.hears() == {"topic": "log"}, "an open page need not be reloaded after a role is given"
        await page.leaves()

    play(story)


def _signed_out_elsewhere(ada: Somebody, browser: Client) -> None:
    twin = Client(headers={"host": "localhost:8000"})
    twin.cookies = browser.cookies
    assert twin.post("/sign-out/").status_code == 302


def _ended_from_another_session(ada: Somebody, browser: Client) -> None:
    mine = SignedInSession.objects.get(session_key=browser.session.session_key)
    assert browser_of(ada).post(f"/me/sessions/{mine.ref}/end/").status_code == 302


def _key_ended_by_an_admin(ada: Somebody, browser: Client) -> None:
    admin = browser_of(enrolled("adm@example.org", "admin"))
    assert admin.post(f"/people/{ada.person.ref}/passkeys/{ada.key.ref}/end/").status_code == 302


def _deactivated(ada: Somebody, browser: Client) -> None:
    services.deactivate(ada.person, by=BY, now=clock.now())


def _recovered(ada: Somebody, browser: Client) -> None:
    use_link(services.recover(ada.person, by=BY, now=clock.now()))


@pytest.mark.parametrize(
    "end", [_signed_out_elsewhere, _ended_from_another_session, _key_ended_by_an_admin, _deactivated, _recovered]
)
def test_an_open_page_closes_with_its_session(end: Callable[[Somebody, Client], None]) -> None:
    """What ends the session rings by itself; the page closes at that bell, and hears nothing of it."""
    ada = enrolled()
    browser = browser_of(ada)
    page, again = Page(browser), Page(browser)

    async def story() -> None:
        assert await page.opens()
        await sync_to_async(end)(ada, browser)
        assert await page.closes() == live.SESSION_ENDED
        assert await again.opens()
        assert await again.closes() == live.SESSION_ENDED, "and does not come back"

    play(story)


def test_a_session_that_expired_closes_at_the_next_bell() -> None:
    ada = enrolled()
    page = Page(browser_of(ada))

    async def story() -> None:
        assert await page.opens()
        with clock.shifted(timedelta(seconds=settings.SESSION_COOKIE_AGE)):
            await ring(Topic.INBOX, ada)
            assert await page.closes() == live.SESSION_ENDED

    play(story)


def test_a_session_that_became_somebody_elses_closes() -> None:
    ada, cy = enrolled("ada@example.org"), enrolled("cy@example.org")
    page = Page(browser_of(ada))

    async def story() -> None:
        assert await page.opens()
        await sync_to_async(SignedInSession.objects.update)(person=cy.person, passkey=cy.key)
        await ring(Topic.INBOX, ada)
        assert await page.closes() == live.SESSION_ENDED

    play(story)


@pytest.mark.parametrize("said", ["", "ping", '{"topic": "log"}', "x" * 4096, b"\x00\xff"])
def test_what_a_page_says_is_not_answered(said: str | bytes) -> None:
    ada = enrolled()
    page = Page(browser_of(ada))

    async def story() -> None:
        assert await page.opens()
        await page.says(said)
        await ring(Topic.INBOX, ada)
        assert await page.hears() == {"topic": "inbox"}
        await page.leaves()

    play(story)


@pytest.mark.scaled
def test_a_page_in_a_scaled_deployment_is_not_thrown_out_while_nothing_happens() -> None:
    """redis-py gives up a read after 5 s (channels_redis issue 422): the layer must be more patient than that."""
    ada = enrolled()
    page = Page(browser_of(ada))

    async def story() -> None:
        assert await page.opens()
        await asyncio.sleep(7)
        await ring(Topic.INBOX, ada)
        assert await page.hears() == {"topic": "inbox"}
        await page.leaves()

    play(story)


async def _connections_are_lost() -> None:
    await asyncio.sleep(1)
    await sync_to_async(Redis.from_url(settings.REDIS_URL).execute_command)("CLIENT KILL TYPE normal SKIPME yes")
    await asyncio.sleep(live.RETRY_S + 1)
    await sync_to_async(live.carry)(Topic.REQUEST, ("apr_0",))
    await asyncio.sleep(0.5)


@pytest.mark.scaled
@pytest.mark.parametrize("meanwhile", [partial(asyncio.sleep, 7), _connections_are_lost])
def test_held_polls_go_on_hearing_other_processes(meanwhile: Callable[[], Awaitable[None]]) -> None:
    async def story() -> None:
        listening = asyncio.create_task(live.listen_for_others())
        await meanwhile()
        waiting = asyncio.create_task(bell.wait_for(Topic.REQUEST, "apr_1", WITHIN_S))
        await asyncio.sleep(0.5)
        layer = get_channel_layer()
        await layer.group_send(live.PROCESSES, {"type": "ring", "topic": "request", "refs": ["apr_1"]})
        assert await waiting, "the bell of the other process"
        listening.cancel()

    play(story)


def test_many_pages_of_one_person_ring_and_there_is_an_end_to_it() -> None:
    ada, cy = enrolled("ada@example.org"), enrolled("cy@example.org")
    browser, other = browser_of(ada), browser_of(cy)
    pages = [Page(browser) for _ in range(live.SOCKETS_MAX)]

    async def story() -> None:
        for page in pages:
            assert await page.opens()
        assert not await (refused := Page(browser)).opens()
        assert refused.code == live.TOO_MANY
        assert await (hers := Page(other)).opens(), "one person's pages are not another's"
        await ring(Topic.INBOX, ada)
        assert [await page.hears() for page in pages] == [{"topic": "inbox"}] * len(pages)
        await pages.pop().leaves()
        assert await (later := Page(browser)).opens(), "a page that closed makes room"
        for page in [*pages, later, hers]:
            await page.leaves()

    play(story)


@pytest.mark.parametrize("path", ["/", "/live/", "/inbox/", "/join/a-secret-token/"])
def test_there_is_no_other_socket(path: str) -> None:
    page = Page(browser_of(enrolled()), path=path)

    async def story() -> None:
        assert not await page.opens()

    play(story)
