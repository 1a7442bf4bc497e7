"""Who gets which address: nobody, Cy the stranger, Ben the auditor, Eve whose seat opens one agent, Ada the approver and
owner, and the admin.

The URLconf is walked, so that a new address is closed to nobody, or fails here until it is listed as public.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from aims.authorization.models import AccessToken, DelegationGrant
from aims.identifier.models import Resource
from aims.kit import clock
from aims.kit.ids import b64url
from aims.people import services as people
from aims.people.models import AuditSeat, User
from approvals.models import Receipt
from audit.sequencer import Sequencer
from tests.support.cast import Acting, acting, browser_of
from tests.support.log import log_key, sequencer
from tests.support.requests import asked

__all__ = ["log_key", "sequencer"]

pytestmark = pytest.mark.django_db

PUBLIC = {
    ".well-known/openid-configuration", ".well-known/oauth-authorization-server", "oauth/jwks", "healthz", "readyz",
    ".well-known/oauth-protected-resource/api/v1/", "metrics", "api/schema/", "manifest.webmanifest", "sw.js", "sign-in/",
}  # fmt: skip
# What GET answers to Cy, Ben, Ada and the admin.
PAGES = {
    "/": (200, 200, 200, 200),
    "/inbox/": (200, 200, 200, 200),
    "/me/": (200, 200, 200, 200),
    "/me/passkeys/": (200, 200, 200, 200),
    "/me/sessions/": (200, 200, 200, 200),
    "/me/agents/": (200, 200, 200, 200),
    "/agents/": (200, 200, 200, 200),
    "/agents/new/": (403, 403, 403, 200),
    "/agents/{agent}/": (404, 200, 200, 200),
    "/resources/{resource}/": (200, 200, 200, 200),
    "/policies/": (403, 200, 200, 200),
    "/grants/": (200, 200, 200, 200),
    "/grants/new/": (403, 403, 200, 200),
    "/grants/who/": (403, 200, 403, 200),
    "/grants/{grant}/": (404, 200, 200, 200),
    "/grants/{grant}/narrow/": (404, 403, 200, 200),
    "/grants/{grant}/revoke/": (404, 403, 200, 200),
    "/grants/{grant}/pass-on/": (404, 403, 200, 200),
    "/grants/{grant}/chain/": (404, 200, 200, 200),
    "/agents/trust-domains/": (403, 403, 403, 200),
    "/agents/registrations/": (403, 403, 403, 200),
    "/agents/trust-rules/": (403, 403, 403, 200),
    "/resources/{resource}/metadata/": (200, 200, 200, 200),
    "/trust/": (403, 403, 403, 200),
    "/agents/trust-domains/acme.example/": (403, 403, 403, 200),
    "/agents/{agent}/edit/": (404, 403, 200, 200),
    "/agents/{agent}/owner/": (404, 403, 200, 200),
    "/agents/{agent}/suspend/": (404, 403, 200, 200),
    "/agents/{agent}/stop/": (404, 403, 200, 200),
    "/agents/{agent}/retire/": (403, 403, 403, 200),
    "/resources/new/": (403, 403, 403, 200),
    "/resources/{resource}/edit/": (403, 403, 403, 200),
    "/resources/{resource}/retire/": (403, 403, 403, 200),
    "/policies/new/": (403, 403, 403, 200),
    "/people/": (403, 403, 403, 200),
    "/audit/": (403, 200, 403, 200),
    "/compliance/": (403, 200, 403, 200),
    "/compliance/scorecard/": (403, 200, 403, 200),
    "/compliance/consents/": (403, 200, 403, 200),
    "/compliance/reading/": (403, 200, 403, 200),
    "/compliance/auditors/": (403, 403, 403, 200),
    "/compliance/auditors/new/": (403, 403, 403, 200),
    "/findings/": (403, 200, 403, 200),
    "/findings/rules/": (403, 200, 403, 200),
    "/patterns/": (404, 404, 404, 200),
}


def addresses() -> list[str]:
    """Return the route of every address, as the URLconf has it."""
    return list(_walk(get_resolver().url_patterns, ""))


def _walk(patterns: Sequence[URLPattern | URLResolver], prefix: str) -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        elif not route.startswith("^"):
            yield route


def _filled(route: str) -> str:
    return "/" + re.sub(r"<int:\w+>", "1", re.sub(r"<(?!int)[^>]+>", "none_1", route))


@pytest.mark.parametrize("route", addresses())
def test_nobody_gets_what_is_not_public(route: str) -> None:
    assert browser_of(None).get(_filled(route)).status_code != 200 or route in PUBLIC


@pytest.mark.parametrize("route", addresses())
def test_nobody_changes_anything(route: str) -> None:
    open_to_all = {"sign-in/begin/", "sign-out/"}
    status = browser_of(None).post(_filled(route)).status_code
    assert status >= 300 or route in open_to_all


@pytest.mark.parametrize("address", PAGES)
def test_each_sees_what_the_table_says(
    address: str, ada: User, ben: User, cy: User, adm: User, courier: Acting, pay: Resource
) -> None:
    grant = DelegationGrant.objects.get()
    DelegationGrant.objects.update(depth=1)
    path = address.format(agent=courier.agent.ref, resource=pay.ref, grant=grant.ref)
    assert tuple(browser_of(person).get(path).status_code for person in (cy, ben, ada, adm)) == PAGES[address]


def test_a_suspended_agent_gets_no_token(magpie: Acting) -> None:
    assert magpie.machine.token(scope="accounts.read").json()["error"] == "invalid_client"


@dataclass(frozen=True)
class Traces:
    """What one agent left behind, by reference."""

    agent: str
    identifier: str
    grant: str
    request: str
    receipt: str
    txn: str

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self).values())


def traces_of(who: Acting, ada: User, pay: Resource) -> Traces:
    """Let an agent take a token and ask Ada for something that she agrees to."""
    assert who.machine.token(scope="accounts.read").status_code == 200
    token = AccessToken.objects.get(agent=who.agent)
    request = asked(who.agent, ada, pay)
    ref = f"rcp_{who.agent.name.lower()}"
    jws = ".".join(map(b64url, (b"{}", b'{"approved_until":1}', b"")))
    Receipt.objects.create(ref=ref, request=request, jws=jws, hash=ref, issued_at=clock.now())
    grant = DelegationGrant.objects.get(agent=who.agent)
    return Traces(who.agent.ref, who.agent.identifier, grant.ref, request.ref, ref, token.txn)


@pytest.fixture
def heron(ada: User, pay: Resource) -> Acting:
    """Another agent of Ada's, which Eve's seat does not open."""
    return acting("heron", ada, pay)


@pytest.fixture
def eve(sequencer: Sequencer, courier: Acting) -> Client:
    """An auditor whose seat opens Courier."""
    terms = people.SeatTerms(
        is_guest=True,
        until_at=clock.now() + timedelta(days=1),
        agents=(courier.agent.identifier,),
        period_since_at=None,
        period_until_at=None,
    )
    seat, _token = people.open_seat("eve@audit.example", terms, by="usr_adm", now=clock.now())
    return browser_of(seat.person)


ACTS = ("api/", "oauth/", ".well-known/", "me/", "join/", "log/", "people/")  # no page about an agent
WITH_A_NAME = [route for route in addresses() if re.search(r"<(?!int)", route) and not route.startswith(ACTS)]
LISTS = ["/agents/", "/agents/?q=heron", "/grants/", "/grants/?q=heron", "/grants/who/", "/", "/inbox/", "/findings/"]


NAMED = {"grants/": "grant", "chains/": "txn", "audit/txn/": "txn", "inbox/": "request", "receipts/": "receipt"}


def _about(traces: Traces) -> list[str]:
    """Return every address with a name in it, with the name that belongs there; the agent's where none is known to."""
    found = []
    for route in WITH_A_NAME:
        kind = next((kind for prefix, kind in NAMED.items() if route.startswith(prefix)), "agent")
        route = re.sub(r"<int:\w+>", "1", route.replace("<slug:kind>", kind))
        found.append("/" + re.sub(r"<[^>]+>", getattr(traces, kind), route))
    return found


def test_a_seat_that_opens_one_agent_finds_no_page_about_another(
    ada: User, courier: Acting, heron: Acting, pay: Resource, eve: Client, sequencer: Sequencer
) -> None:
    hers, others = traces_of(courier, ada, pay), traces_of(heron, ada, pay)
    sequencer.run_once()
    opened = 0
    for mine, foreign in zip(_about(hers), _about(others), strict=True):
        there = eve.get(mine).status_code == 200
        assert eve.get(foreign).status_code == 404 or not there, foreign
        opened += there
    assert opened >= 8, "agent, grant, its chain, the chain of a transaction, the request, its card, receipts, stories"


def test_a_seat_that_opens_one_agent_finds_no_other_in_any_list(
    ada: User, ben: User, courier: Acting, heron: Acting, pay: Resource, eve: Client, sequencer: Sequencer
) -> None:
    hers, others = traces_of(courier, ada, pay), traces_of(heron, ada, pay)
    sequencer.run_once()
    who = f"/grants/who/?resource={pay.ref}&action=accounts.read"
    pages = [*LISTS, who, *(f"/{kind}/{ref}/" for kind, ref in (("agents", hers.agent), ("grants", hers.grant)))]
    for path in [*pages, f"/grants/{hers.grant}/chain/", f"/chains/{hers.txn}/", f"/resources/{pay.ref}/"]:
        said = eve.get(path).content.decode()
        assert [mark for mark in (*others, "Heron") if mark in said and mark not in path] == [], path
    assert "Heron" in browser_of(ben).get(who).content.decode()
    for path in ("/agents/", "/grants/", who):
        assert "that your seat opens" in eve.get(path).content.decode(), path
        assert "that your seat opens" not in browser_of(ben).get(path).content.decode(), path


def test_a_seat_that_opens_a_period_finds_no_request_from_outside_it(
    ada: User, courier: Acting, pay: Resource, sequencer: Sequencer
) -> None:
    hers = traces_of(courier, ada, pay)
    today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    for since, status in ((today, 200), (today + timedelta(days=1), 404)):
        terms = people.SeatTerms(
            is_guest=True, until_at=clock.now() + timedelta(days=1), agents=None,
            period_since_at=since, period_until_at=None,
        )  # fmt: skip
        seat, _token = people.open_seat(f"p{status}@audit.example", terms, by="usr_adm", now=clock.now())
        reader = browser_of(seat.person)
        for path in (f"/inbox/{hers.request}/", f"/receipts/{hers.receipt}/file/", f"/chains/{hers.txn}/"):
            assert reader.get(path).status_code == status, path
        assert reader.get(f"/agents/{hers.agent}/").status_code == 200, "what is there now has no period"


def test_a_seat_that_is_over_opens_nothing(ada: User, courier: Acting, pay: Resource, eve: Client) -> None:
    hers = traces_of(courier, ada, pay)
    seat = AuditSeat.objects.get(person__email="eve@audit.example")
    assert eve.get(f"/agents/{hers.agent}/").status_code == 200
    people.end_seat(seat, by="usr_adm", now=clock.now())
    for path in (f"/agents/{hers.agent}/", f"/grants/{hers.grant}/", f"/inbox/{hers.request}/", f"/chains/{hers.txn}/"):
        assert eve.get(path).status_code in (302, 404), path


def test_who_answers_for_an_agent_sees_it_whatever_their_seat_opens(
    heron: Acting, courier: Acting, ada: User, pay: Resource
) -> None:
    others = traces_of(heron, ada, pay)
    terms = people.SeatTerms(
        is_guest=False, until_at=None, agents=(courier.agent.identifier,), period_since_at=None, period_until_at=None
    )
    people.open_seat(ada.email, terms, by="usr_adm", now=clock.now())
    for path in (f"/agents/{others.agent}/", f"/grants/{others.grant}/", f"/inbox/{others.request}/"):
        assert browser_of(ada).get(path).status_code == 200, path
