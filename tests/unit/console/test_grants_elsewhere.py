"""Grants on other pages: in an agent's stack, and on the start page when one ends soon."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from aims.identifier.models import Resource
from aims.kit import clock
from aims.people.models import User
from tests.support.cast import Acting, browser_of
from tests.unit.console.test_grant_page import give, path, read_token

pytestmark = pytest.mark.django_db


def test_the_agents_stack_shows_its_fullest_budget_and_what_the_reader_may_take_back(
    ada: User, ben: User, courier: Acting, pay: Resource
) -> None:
    give(courier, pay, budget={"count": 4})
    read_token(courier)
    url = reverse("agent", args=[courier.agent.ref])
    layers = {layer.name: layer for layer in browser_of(ada).get(url).context["layers"]}
    row = layers["Authorization"]
    assert (row.text, row.tag) == ("1 grant in force · 1 of 4 uses, 3 left", "1 revocable by you")
    assert row.meter is not None and row.meter.percent == 25
    assert (
        next(layer.tag for layer in browser_of(ben).get(url).context["layers"] if layer.name == row.name) == "Bounded"
    )


def test_the_start_page_tells_of_an_end_that_is_near(ada: User, cy: User, courier: Acting, pay: Resource) -> None:
    grant = give(courier, pay)
    assert "ends soon" not in browser_of(ada).get("/").text
    with clock.shifted(timedelta(days=18)):
        page = browser_of(ada).get("/")
        assert "What Courier may do at Pay ends soon." in page.text and path("", grant) in page.text
        assert "ends soon" not in browser_of(cy).get("/").text
