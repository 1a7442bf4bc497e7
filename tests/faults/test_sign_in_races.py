"""Signing in while the key ends or the person is shut out: one of the two is first, and they never deadlock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.core.cache import cache

from aims.kit import clock
from aims.people import services
from aims.people.errors import SignInRefused
from aims.people.models import Passkey, User
from tests.support.log import written_once
from tests.support.racing import ROUNDS, at_once, overtaken
from tests.unit.people.driver import BY, Somebody, enrolled, signed_in_response

__all__ = ["written_once"]
pytestmark = [
    pytest.mark.scaled,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("written_once"),
]
OUT: dict[str, Callable[[Somebody], object]] = {
    "key ended": lambda ada: services.end_passkey(ada.key, by=BY, now=clock.now()),
    "deactivated": lambda ada: services.deactivate(User.objects.get(pk=ada.person.pk), by=BY, now=clock.now()),
}


@pytest.fixture
def ada() -> Somebody:
    cache.clear()
    return enrolled()


def signing_in(ada: Somebody) -> Callable[[], Passkey]:
    response = signed_in_response(ada)
    return lambda: services.finish_sign_in(response, bound_to="session", source="192.0.2.1", now=clock.now())


@pytest.mark.parametrize("round_", ROUNDS)
@pytest.mark.parametrize("how", OUT)
def test_signing_in_against_the_end_of_its_right_never_deadlocks(ada: Somebody, how: str, round_: int) -> None:
    answer, _done = at_once(signing_in(ada), lambda: OUT[how](ada))
    assert isinstance(answer, (Passkey, SignInRefused))


@pytest.mark.parametrize("how", OUT)
def test_who_is_shut_out_before_they_are_in_stays_out(ada: Somebody, how: str) -> None:
    _done, answer = overtaken(lambda: OUT[how](ada), signing_in(ada))
    assert isinstance(answer, SignInRefused)
