"""Two at once: a link, a challenge and the last two keys each have one winner."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.db import connection

from aims.kit import clock
from aims.kit.errors import AimsError
from aims.people import services
from aims.people.models import Passkey
from tests.support.log import written_once
from tests.unit.people.driver import BY, an_authenticator, enrolled, signed_in_response

__all__ = ["written_once"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.scaled]


def _at_once(*calls: Callable[[], object]) -> list[str]:
    """Run each call in a thread with a connection of its own; return how each ended."""
    start = threading.Barrier(len(calls))
    ended: list[str] = []

    def run(call: Callable[[], object]) -> None:
        try:
            start.wait(timeout=10)
            call()
            ended.append("done")
        except AimsError as error:
            ended.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[call]) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return sorted(ended)


def test_a_link_used_twice_at_once_registers_one_key() -> None:
    token = services.invite("ada@example.org", by=BY, now=clock.now())
    answers = [json.dumps(an_authenticator().create(services.begin_enrolment(token, now=clock.now()))) for _ in "ab"]
    calls = [lambda answer=answer: services.enrol(token, answer, key_name="", now=clock.now()) for answer in answers]
    assert _at_once(*calls) == ["done", "link_unusable"]
    assert Passkey.objects.count() == 1


def test_a_challenge_answered_twice_at_once_signs_in_once() -> None:
    cache.clear()
    ada = enrolled()
    response = signed_in_response(ada)
    call = lambda: services.finish_sign_in(  # noqa: E731
        response, bound_to="session", source="192.0.2.1", now=clock.now()
    )
    ended = _at_once(call, call)
    assert ended.count("done") == 1, ended
