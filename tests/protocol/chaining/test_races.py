"""Trust taken back and a token issued on that word, at the same moment on two connections: nothing outlives the trust."""

from __future__ import annotations

from typing import Any

import pytest

from aims.authorization.errors import InvalidGrant, TrustRefused
from aims.authorization.models import AccessToken, ForeignServer
from aims.authorization.services.jwt_grants import Presented, grant
from aims.authorization.services.trust import TrustServer, retire_server, trust_server
from aims.credentials import services as credentials
from aims.kit import clock
from tests.protocol.refresh.test_races import client_of
from tests.support.chains import entries
from tests.support.foreign import Foreign, present, trusting
from tests.support.oauth_client import BY, Stage, stage
from tests.support.racing import ROUNDS, at_once

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("aims.authorization.urls")]


def presenting(on: Stage, word: str, rf: Any) -> Any:
    client = client_of(on.courier, rf)
    asked = Presented(assertion=word, resources=(), scope=None, details=None)
    return lambda: grant(client, asked, now=clock.now())


def told(answers: list[Any]) -> tuple[Any, Any]:
    issued, ended = answers
    assert isinstance(issued, dict | InvalidGrant), issued
    return issued, ended


@pytest.mark.spec(
    "AIMS Console", "authorization", "a token is issued before its server is retired, and ends, or is not"
)
def test_no_token_outlives_the_trust_it_was_issued_on(transactional_db: None, rf: Any) -> None:
    on = stage()
    for number in range(len(ROUNDS)):
        other = Foreign(issuer=f"https://idp{number}.example")
        AccessToken.of_every_kind.all().delete()
        ForeignServer.objects.all().delete()
        server = trusting(on, other)
        retiring = lambda each=server: retire_server(each, by=BY, now=clock.now())  # noqa: E731
        issued, ended = told(at_once(presenting(on, other.jag(), rf), retiring))
        assert ended is None
        assert not AccessToken.objects.filter(revoked_at=None).exists()
        assert AccessToken.objects.count() == (1 if isinstance(issued, dict) else 0)
        counted = [entry["data"]["count"] for entry in entries("authorization.tokens.ended")]
        assert sum(counted) == len(entries("authorization.foreign_grant.accepted"))


@pytest.mark.spec("AIMS Console", "authorization", "a scope taken back and a token that carries it: it ends, or is not")
def test_no_token_outlives_the_scope_it_carries(transactional_db: None, rf: Any) -> None:
    on, other = stage(), Foreign()
    server = trusting(on, other)
    narrower = TrustServer(issuer=other.issuer, name="Other", accepts=("id-jag",), scopes=("accounts.list",))
    at_once(
        lambda: grant(
            client_of(on.courier, rf),
            Presented(assertion=other.jag(), resources=(), scope="accounts.read", details=None),
            now=clock.now(),
        ),
        lambda: trust_server(narrower, by=BY, now=clock.now()),
    )
    server.refresh_from_db()
    assert server.scopes == ["accounts.list"]
    assert not AccessToken.objects.filter(revoked_at=None).exists()


@pytest.mark.spec("AIMS Console", "authorization", "of two who retire a server at once one does, and one entry says so")
def test_a_server_is_retired_once(transactional_db: None) -> None:
    server = trusting(stage(), Foreign())
    answers = at_once(*[lambda: retire_server(server, by=BY, now=clock.now())] * 2)
    assert sorted(map(type, answers), key=str) == [type(None), TrustRefused]
    assert len(entries("authorization.server.retired")) == 1


@pytest.mark.spec(
    "AIMS Console", "authorization", "another key ends nothing, and what the old one signs opens nothing more"
)
def test_another_key_stops_what_is_new_and_ends_nothing(transactional_db: None) -> None:
    on, other = stage(), Foreign()
    server = trusting(on, other)
    assert present(on.courier, other.jag()).status_code == 200
    successor = Foreign()
    jwks = {"keys": [successor.key.as_dict(private=False)]}
    credentials.register_keys(server.ref, jwks, by=BY, now=clock.now())
    assert present(on.courier, other.jag()).json()["error"] == "invalid_grant"
    assert present(on.courier, successor.jag()).status_code == 200
    assert AccessToken.objects.filter(revoked_at=None).count() == 2
