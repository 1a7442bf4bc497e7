"""Lists of the registry: by key, filtered by text and state, never more than was asked for."""

from __future__ import annotations

import re

import pytest

from aims.identifier.models import Agent, Resource, TrustDomain
from aims.kit import clock
from aims.people.models import User
from tests.support.cast import browser_of

pytestmark = pytest.mark.django_db
COUNT = 230


@pytest.fixture
def crowd(ada: User) -> list[str]:
    """Many agents, several of one name, so that the name alone is no key."""
    now, domain = clock.now(), TrustDomain.objects.create(name="acme.example")
    Agent.objects.bulk_create(
        Agent(
            identifier=f"spiffe://acme.example/a/{n}",
            trust_domain=domain,
            name=f"Agent {n // 3:03}",
            purpose="Counts" if n % 2 else "Waits",
            contact="ops",
            owner=ada,
            state="suspended" if n % 10 == 0 else "active",
            state_since_at=now,
            registered_at=now,
        )
        for n in range(COUNT)
    )
    return list(Agent.objects.order_by("name", "pk").values_list("identifier", flat=True))


def walked(person: User, path: str) -> list[list[str]]:
    """Follow the list to its end; return the identifiers of each page."""
    pages, browser, start = [], browser_of(person), path.split("?")[0]
    while path:
        page = browser.get(path)
        assert page.status_code == 200
        pages.append(re.findall(r'class="who">(spiffe:[^<]+)<', page.text))
        following = page.context["page"].next
        path = start + following if following else ""
    return pages


def test_a_list_shows_every_row_once_fifty_at_a_time(ada: User, crowd: list[str]) -> None:
    pages = walked(ada, "/agents/")
    assert [len(page) for page in pages] == [50, 50, 50, 50, 30]
    assert sum(pages, []) == crowd


@pytest.mark.parametrize(("limit", "shown"), [("200", 200), ("9999", 200), ("1", 1), ("0", 1), ("x", 50), ("-3", 50)])
def test_a_page_has_at_most_two_hundred_rows(ada: User, crowd: list[str], limit: str, shown: int) -> None:
    assert len(browser_of(ada).get(f"/agents/?limit={limit}").context["page"].rows) == shown


def test_filters_stay_on_the_way_through_the_pages(ada: User, crowd: list[str]) -> None:
    pages = walked(ada, "/agents/?q=waits&state=suspended&limit=10")
    assert len(sum(pages, [])) == COUNT // 10 and len(pages) == 3
    assert walked(ada, "/agents/?q=a/7&state=active")[0][0].endswith("a/7")


@pytest.mark.parametrize("query", ["state=sleeping", "q=" + "x" * 201, "q=nowhere-at-all"])
def test_what_fits_nothing_shows_nothing_and_says_so(ada: User, crowd: list[str], query: str) -> None:
    page = browser_of(ada).get(f"/agents/?{query}")
    assert page.context["page"].rows == [] and "Nothing fits" in page.text


@pytest.mark.parametrize("after", ["agt_none", "'; drop", "\x00", "9" * 40])
def test_a_key_that_is_none_begins_at_the_start(ada: User, crowd: list[str], after: str) -> None:
    browser = browser_of(ada)
    assert browser.get("/agents/", {"after": after}).context["page"].rows[0].identifier == crowd[0]
    assert browser.get("/policies/", {"after": after}).status_code == 200


def test_a_stranger_walks_through_nothing(cy: User, crowd: list[str]) -> None:
    assert walked(cy, "/agents/?q=agent") == [[]]


def test_resources_are_found_by_text_and_state(ada: User) -> None:
    now = clock.now()
    for name, retired_at in (("Calendar", None), ("Payments", now)):
        Resource.objects.create(
            identifier=f"https://{name.lower()}.example/", name=name, registered_at=now, retired_at=retired_at
        )
    browser = browser_of(ada)
    for query, names in (
        ("", ["Calendar", "Payments"]),
        ("state=active", ["Calendar"]),
        ("state=retired", ["Payments"]),
        ("q=calendar.ex", ["Calendar"]),
        ("q=calendar&state=retired", []),
    ):
        assert [row.name for row in browser.get(f"/resources/?{query}").context["page"].rows] == names
