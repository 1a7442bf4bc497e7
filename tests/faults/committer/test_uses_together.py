"""Proofs that grant nothing, spent in a shared commit: each counts once, wherever it is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from aims.authorization.models import AccessToken
from aims.authorization.services import gathering, using
from aims.authorization.services.using import Spent, Use
from aims.kit import committer as kit
from tests.support.oauth_client import PAY, Machine, Stage, stage
from tests.support.racing import at_once
from tests.unit.authorization.entries import entries

pytestmark = [
    pytest.mark.scaled,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("aims.authorization.urls"),
]
USED, REFUSED = "authorization.token.used", "authorization.token.refused"
READ = {"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}
MANY = 32


@pytest.fixture
def on(db: None) -> Stage:
    return stage()


@pytest.fixture
def batches(on: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many uses each commit had, while they gather."""
    monkeypatch.setattr(kit, "RETRY_S", 0.02)
    sizes, write = list[int](), using.together

    def counted(batch: list[Use]) -> list[Spent]:
        sizes.append(len(batch))
        return write(batch)

    monkeypatch.setattr(using, "together", counted)
    gathering.start()
    yield sizes
    gathering.stop()


def sending(machine: Machine, path: str, form: dict[str, Any]) -> Callable[[], Any]:
    """Return a call by a connection of its own."""
    again = Machine(machine.client_id, key=machine.key)
    return lambda: again.post(path, form)


def told(answers: list[Any]) -> Counter[str]:
    """Count who won, and why the others did not."""
    return Counter(
        "won" if answer.status_code == 200 else answer.json().get("error_description", "")[:40] for answer in answers
    )


REPLAYED = "This client assertion has been used befo"


def token_of(on: Stage) -> str:
    return str(on.courier.token(scope="accounts.read").json()["access_token"])


def test_one_assertion_on_many_connections_asks_once(on: Stage, batches: list[int]) -> None:
    token = token_of(on)
    for round_ in range(1, 3):
        form = on.server.signed({"token": token})
        answers = at_once(*[sending(on.server, "/oauth/introspect", form) for _ in range(MANY)])
        assert told(answers) == {"won": 1, REPLAYED: MANY - 1}
        assert len(entries(USED)) == round_
    assert sum(batches) == 2 * MANY


def test_one_assertion_counts_once_at_all_endpoints_together(on: Stage, batches: list[int]) -> None:
    """A resource server may not ask for tokens: that refusal spends its assertion as well. One memory."""
    form = on.server.signed({"token": token_of(on), "grant_type": "client_credentials", "resource": PAY})
    paths = ["/oauth/introspect", "/oauth/token"] * (MANY // 2)
    answers = at_once(*[sending(on.server, path, form) for path in paths])
    by_reason = told(answers)
    assert by_reason[REPLAYED] == MANY - 1
    assert len(entries(USED)) == by_reason["won"]


def test_an_agents_assertion_counts_once_where_it_asks_and_where_it_revokes(on: Stage, batches: list[int]) -> None:
    token = token_of(on)
    form = on.courier.signed(READ | {"token": token})
    paths = ["/oauth/revoke", "/oauth/token"] * (MANY // 4)
    answers = at_once(*[sending(on.courier, path, form) for path in paths])
    assert told(answers) == {"won": 1, REPLAYED: MANY // 2 - 1}


def test_many_ask_together_and_all_are_told(on: Stage, batches: list[int]) -> None:
    token = token_of(on)
    forms = [on.server.signed({"token": token}) for _ in range(MANY)]
    answers = at_once(*[sending(on.server, "/oauth/introspect", form) for form in forms])
    assert {answer.json()["active"] for answer in answers} == {True}
    assert len(entries(USED)) == MANY
    assert len(batches) < MANY  # some shared a commit


def test_a_token_that_somebody_is_ending_holds_nobody_else_up(on: Stage, batches: list[int]) -> None:
    ending, other = token_of(on), token_of(on)

    def ask(token: str) -> Any:
        try:
            return on.server.post("/oauth/introspect", on.server.signed({"token": token})).json()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        with transaction.atomic():
            AccessToken.objects.filter(jti=AccessToken.objects.order_by("pk").values("jti")[:1]).update(
                revoked_at="2026-01-01T00:00:00Z"
            )
            waits = pool.submit(ask, ending)
            assert pool.submit(ask, other).result(10)["active"] is True
            assert not waits.done()
        assert waits.result(10) == {"active": False}
    assert len(entries(USED)) == 1
    assert not entries(REFUSED)
