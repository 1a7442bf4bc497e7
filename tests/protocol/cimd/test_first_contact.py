"""A browser comes with a client that nobody registered: its name is where its document lies."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.test import override_settings

from aims.authorization.client_models import ClientRegistration
from aims.authorization.models import PushedRequest
from aims.authorization.services import admission, documents
from aims.kit import clock
from aims.kit.fetch import FetchRefused
from aims.people.models import User
from tests.protocol.cimd.test_documents import CALLBACK, DRAFT, URL, Site, admitted
from tests.support.cast import Acting, browser_of
from tests.support.desk import CHALLENGE, PAY, READ, sit_down
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    """The outside server, which the one fetcher would ask."""
    cache.clear()
    site = Site()
    monkeypatch.setattr(documents, "fetch_document", site.get)
    return site


def comes(http: Any = None, **changed: str) -> Any:
    """Let a browser come with a request of the client."""
    form = {
        "response_type": "code",
        "client_id": URL,
        "redirect_uri": CALLBACK,
        "scope": READ,
        "resource": PAY,
        "state": "a state",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return (http or browser_of(None)).get("/oauth/authorize?" + urlencode(form | changed))


def stays(answer: Any, status: int, words: str) -> None:
    """Hold that a page of ours tells it, and that nothing leads to the client."""
    assert answer.status_code == status
    assert words in answer.content.decode()
    assert CALLBACK not in answer.content.decode()
    assert "Location" not in answer.headers and "Refresh" not in answer.headers
    assert not PushedRequest.objects.exists()


@pytest.mark.spec(DRAFT, "4", "the authorization endpoint fetches the document of a client that it does not know")
def test_the_first_browser_makes_a_published_client_known_and_it_waits(site: Site) -> None:
    stays(comes(), 403, "waits for an admin to admit it")
    assert (site.asked, ClientRegistration.objects.get().state) == (1, "quarantined")
    stays(comes(), 403, "waits for an admin")
    assert site.asked == 1  # fresh


def test_an_admitted_one_is_answered_without_asking_its_server(site: Site, ada: User, courier: Acting) -> None:
    comes()
    admitted(ClientRegistration.objects.get(), ada)
    http = sit_down(ada).http
    answer = comes(http)
    assert answer.status_code == 303
    page = http.get(answer["Location"]).content.decode()
    assert "nimble.example" in page and "Describes itself at" in page
    assert site.asked == 1


@pytest.mark.spec(DRAFT, "6.3", "a document that changed is seen when the next browser comes")
def test_a_document_that_moved_its_answers_is_seen_at_the_door(site: Site, ada: User) -> None:
    comes()
    admitted(ClientRegistration.objects.get(), ada)
    ClientRegistration.objects.update(fresh_until_at=clock.now(), asked_at=None)
    site.members = {"redirect_uris": ["https://elsewhere.example/"], "client_name": "Nimble"}
    stays(comes(redirect_uri="https://elsewhere.example/"), 403, "waits for an admin")


def test_an_admitted_one_outlives_its_server_and_the_setting(site: Site, ada: User, courier: Acting) -> None:
    comes()
    admitted(ClientRegistration.objects.get(), ada)
    ClientRegistration.objects.update(fresh_until_at=clock.now(), asked_at=None)
    site.trouble = FetchRefused("unreachable", "it is down")
    assert comes()["Location"].startswith("/sign-in/")
    with override_settings(CLIENT_DOCUMENTS=False):
        assert comes()["Location"].startswith("/sign-in/")


def test_one_that_waits_waits_although_its_server_is_down(site: Site) -> None:
    comes()
    ClientRegistration.objects.update(fresh_until_at=clock.now(), asked_at=None)
    site.status = 500
    stays(comes(), 403, "waits for an admin")


def test_a_refused_one_is_told_so(site: Site, ada: User) -> None:
    comes()
    admission.refuse(ClientRegistration.objects.get(), reason="Nobody knows them.", by=BY, now=clock.now())
    stays(comes(), 403, "has been stopped")


@pytest.mark.spec(DRAFT, "4.1", "a document that can't be used: the browser stays, and is told why")
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"status": 404}, "answers 404"),
        ({"headers": {"content-type": "text/html"}}, "not JSON"),
        ({"members": {"client_id": "https://nimble.example/other"}}, "not the address"),
        ({"trouble": FetchRefused("unreachable", "it is down")}, "it is down"),
    ],
)
def test_a_document_that_can_not_be_used_is_told_of(site: Site, given: dict[str, Any], words: str) -> None:
    for name, value in given.items():
        setattr(site, name, value)
    stays(comes(), 400, words)
    assert not ClientRegistration.objects.exists()


@pytest.mark.parametrize("client_id", ["https://nimble.example/", "https://127.0.0.1/client.json", URL + "?a=<b>"])
def test_an_address_that_is_no_clients_is_not_asked(site: Site, client_id: str) -> None:
    stays(comes(client_id=client_id), 400, "by the address that it gives")
    assert site.asked == 0


def test_where_documents_are_off_no_stranger_is_asked(site: Site) -> None:
    with override_settings(CLIENT_DOCUMENTS=False):
        stays(comes(), 400, "not known by their metadata documents here")
    assert site.asked == 0


@pytest.mark.spec(DRAFT, "6.5", "one place makes us fetch a few new addresses a minute")
def test_who_brings_many_new_addresses_is_stopped(site: Site) -> None:
    site.status = 404
    for number in range(documents.NEW_PER_MINUTE_SOURCE):
        comes(client_id=f"https://many{number}.example/client.json")
    stays(comes(), 429, "Too many attempts")
    assert site.asked == documents.NEW_PER_MINUTE_SOURCE


def test_a_post_asks_no_server_before_it_is_a_get(site: Site) -> None:
    answer = browser_of(None).post("/oauth/authorize", {"client_id": URL})
    assert answer.status_code in (303, 400)
    assert site.asked == 0
