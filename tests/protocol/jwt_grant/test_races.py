"""One assertion at two requests at once: one token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aims.authorization.errors import InvalidGrant
from aims.authorization.models import AccessToken
from aims.authorization.services import jwt_grants
from aims.kit import clock
from tests.protocol.token_exchange.test_races import client_of
from tests.support.foreign import Foreign, trusting
from tests.support.oauth_client import PAY, Stage, stage
from tests.support.racing import at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("aims.authorization.urls")]


def presenting(on: Stage, assertion: str) -> Callable[[], Any]:
    client = client_of(on.courier)
    presented = jwt_grants.Presented(assertion=assertion, resources=(PAY,), scope="accounts.read", details=None)
    return lambda: jwt_grants.grant(client, presented, now=clock.now())


@pytest.mark.spec("RFC 7523", "3", "of one assertion at two requests at once, one is granted")
def test_one_assertion_has_one_winner(transactional_db: None) -> None:
    on, other = stage(), Foreign()
    trusting(on, other)
    for assertion in (on.courier.assertion(), other.grant()):
        results = at_once(presenting(on, assertion), presenting(on, assertion))
        assert sorted(isinstance(result, InvalidGrant) for result in results) == [False, True], results
    assert AccessToken.objects.count() == 2
