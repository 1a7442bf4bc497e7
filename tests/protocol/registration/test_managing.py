"""What a client may do with its registration afterwards, from outside. RFC 7592."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as HttpClient
from django.urls import reverse

from aims.authorization.client_errors import AwaitsAdmission
from aims.authorization.client_metadata import EXCHANGE
from aims.authorization.client_models import ClientRegistration
from aims.authorization.known_clients import Standing, client_for
from aims.authorization.models import AccessToken
from aims.authorization.registration_states import LAWFUL, RegistrationState
from aims.authorization.services import admission
from aims.authorization.services.admission import refuse
from aims.authorization.services.agents import resume_agent, suspend_agent
from aims.authorization.services.tokens import Prepared, insert, prepare
from aims.authorization.tokens import TokenFacts
from aims.credentials.services import ensure_signing_keys
from aims.identifier.models import Agent
from aims.kit import clock
from aims.people.models import User
from tests.protocol.registration.desk import CALLBACK, Desk, code_of, jwks_of, new_key
from tests.support.cast import browser_of
from tests.support.oauth_client import BY, PAY, Machine

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
OTHER = "https://elsewhere.example/callback"


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def held(desk: Desk) -> dict[str, Any]:
    return desk.registered()


def row_of(held: dict[str, Any]) -> ClientRegistration:
    return ClientRegistration.objects.get(client_id=held["client_id"])


def admitted(held: dict[str, Any], owner: User) -> Agent:
    command = admission.AdmitClient(owner=owner, name="Nimble", purpose="Sorts mail", contact="ops@acme.example")
    return admission.admit(row_of(held), command, by=BY, now=clock.now())


def a_token_of(agent: Agent) -> Prepared:
    now = clock.now()
    ensure_signing_keys(now)
    facts = TokenFacts(
        client_id=agent.identifier, subject=agent.identifier, audience=PAY, scope="accounts.read",
        authorization_details=(), txn="txn_1", expires_at=now + timedelta(minutes=5), approval=None, subject_signed=None,
    )  # fmt: skip
    made = prepare(facts, agent=agent, request=None, now=now)
    insert(made)
    return made


@pytest.mark.spec("RFC 7592", "2.1", "the current registration, with its token and address")
def test_a_client_reads_what_it_registered(desk: Desk, held: dict[str, Any]) -> None:
    answer = desk.manage("GET", held)
    assert (answer.status_code, answer.json(), answer["Cache-Control"]) == (200, held, "no-store")


@pytest.mark.spec("RFC 7592", "2.2", "the new metadata replaces all of the old")
def test_a_client_replaces_what_it_registered(desk: Desk, held: dict[str, Any]) -> None:
    answer = desk.manage("PUT", held, desk.rewritten(held, redirect_uris=[OTHER], client_name=None))
    body = answer.json()
    assert answer.status_code == 200 and body["redirect_uris"] == [OTHER] and "client_name" not in body
    assert desk.manage("GET", held).json() == body


@pytest.mark.spec("RFC 7592", "2.2", "the client names itself and sends back nothing that we issued")
@pytest.mark.parametrize(
    "member",
    [
        {"client_id": None},
        {"client_id": "spiffe://localhost/registered/other"},
        {"client_secret": "s3cr3t"},
        {"registration_access_token": "x"},
        {"registration_client_uri": "https://x.example/"},
        {"client_id_issued_at": 1},
        {"redirect_uris": ["http://elsewhere.example/"]},
        {"grant_types": ["password"]},
    ],
)
def test_a_replacement_that_is_wrong_changes_nothing(desk: Desk, held: dict[str, Any], member: dict[str, Any]) -> None:
    code_of(desk.manage("PUT", held, desk.rewritten(held, **member)))
    assert desk.manage("GET", held).json() == held


@pytest.mark.spec("RFC 7592", "2", "no, unknown, foreign or wrong-kind tokens are 401 invalid_token")
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_without_its_own_token_nobody_gets_in(desk: Desk, held: dict[str, Any], method: str) -> None:
    foreign = desk.registered()["registration_access_token"]
    for token in ("", "nonsense", foreign, held["client_id"]):
        answer = desk.manage(method, held, desk.rewritten(held) if method == "PUT" else None, token=token)
        assert code_of(answer, 401) == "invalid_token"
        assert answer["WWW-Authenticate"].startswith("Bearer ")
    assert row_of(held).state == RegistrationState.QUARANTINED


@pytest.mark.spec("RFC 7592", "2", "an unknown registration is answered as a wrong token is")
def test_an_unknown_registration_can_not_be_told_from_a_wrong_token(desk: Desk, held: dict[str, Any]) -> None:
    unknown = held | {"registration_client_uri": "http://localhost:8000/oauth/register/reg_unknown"}
    wrong = desk.manage("GET", held, token="nonsense")
    answer = desk.manage("GET", unknown)
    assert (answer.status_code, answer.content) == (wrong.status_code, wrong.content)


@pytest.mark.spec("RFC 7592", "2", "other methods are refused once the token is right")
def test_another_method_is_refused(desk: Desk, held: dict[str, Any]) -> None:
    answer = desk.manage("POST", held, {})
    assert answer.status_code == 405 and answer["Allow"] == "GET, PUT, DELETE"


@pytest.mark.spec("RFC 7592", "2.3", "204, then the client and its token are gone, and again is 401")
def test_a_client_ends_its_registration_once(desk: Desk, held: dict[str, Any]) -> None:
    answer = desk.manage("DELETE", held)
    assert (answer.status_code, answer.content) == (204, b"")
    assert [desk.manage(method, held, {}).status_code for method in ("DELETE", "GET", "PUT")] == [401, 401, 401]
    assert client_for(held["client_id"]).standing is Standing.UNKNOWN


@pytest.mark.spec("RFC 7592", "2.3", "what the client held ends with it")
def test_an_admitted_client_ends_with_its_agent_and_tokens(desk: Desk, held: dict[str, Any], ada: User) -> None:
    agent = admitted(held, ada)
    made = a_token_of(agent)
    assert desk.manage("DELETE", held).status_code == 204
    agent.refresh_from_db()
    assert agent.state == "retired" and AccessToken.objects.get(jti=made.jti).revoked_at is not None


@pytest.mark.spec("RFC 7592", "2.2", "what an admin admitted stays in force until they admit the change")
@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uris": [OTHER]},
        {"redirect_uris": [CALLBACK, OTHER]},
        {"grant_types": ["authorization_code", "refresh_token"]},
        {"scope": "accounts.read"},
        {"software_id": "trusted"},
        {"jwks": jwks_of(new_key()), "token_endpoint_auth_method": "private_key_jwt"},
        {"dpop_bound_access_tokens": True},
    ],
)
def test_a_change_of_what_was_admitted_waits_again(
    desk: Desk, held: dict[str, Any], ada: User, change: dict[str, Any]
) -> None:
    agent = admitted(held, ada)
    assert desk.manage("PUT", held, desk.rewritten(held, **change)).status_code == 200
    agent.refresh_from_db()
    assert (row_of(held).state, agent.state) == (RegistrationState.QUARANTINED, "suspended")
    assert client_for(held["client_id"]).standing is Standing.WAITING
    assert agent.application.redirect_uris == CALLBACK and agent.application.token_endpoint_auth_method == "none"
    admitted(held, ada)
    agent.refresh_from_db()
    known = client_for(held["client_id"])
    assert (agent.state, known.standing) == ("active", Standing.KNOWN)
    assert known.redirect_uris == tuple(change.get("redirect_uris", [CALLBACK]))


@pytest.mark.spec("RFC 7592", "2.2", "words about itself change nothing of what it may do")
def test_a_new_name_needs_nobody(desk: Desk, held: dict[str, Any], ada: User) -> None:
    agent = admitted(held, ada)
    assert desk.manage("PUT", held, desk.rewritten(held, client_name="Bank of Ada")).status_code == 200
    agent.refresh_from_db()
    assert (row_of(held).state, agent.state, agent.name) == (RegistrationState.ADMITTED, "active", "Nimble")


@pytest.mark.spec("RFC 7592", "2.2", "the same again is no change")
def test_the_same_again_changes_nothing(desk: Desk, held: dict[str, Any], ada: User) -> None:
    agent = admitted(held, ada)
    version = agent.version
    assert desk.manage("PUT", held, desk.rewritten(held)).status_code == 200
    agent.refresh_from_db()
    assert (row_of(held).state, agent.version) == (RegistrationState.ADMITTED, version)


@pytest.mark.spec("RFC 7592", "2.2", "admitting a change lets nothing go on that an admin stopped")
def test_an_agent_that_was_stopped_stays_so(desk: Desk, held: dict[str, Any], ada: User) -> None:
    agent = admitted(held, ada)
    suspend_agent(agent, reason="It stole.", by=BY, now=clock.now())
    desk.manage("PUT", held, desk.rewritten(held, redirect_uris=[OTHER]))
    admitted(held, ada)
    agent.refresh_from_db()
    assert agent.state == "suspended" and client_for(held["client_id"]).standing is Standing.STOPPED


@pytest.mark.spec("RFC 7592", "2.2", "whoever answers for an agent does not resume it while its change waits")
@pytest.mark.urls("aims.urls")
def test_nobody_resumes_what_waits_to_be_admitted_again(desk: Desk, held: dict[str, Any], ada: User, adm: User) -> None:
    agent = admitted(held, ada)
    suspend_agent(agent, reason="It was noisy.", by=BY, now=clock.now())  # by somebody, before it changed
    desk.manage("PUT", held, desk.rewritten(held, redirect_uris=[OTHER]))
    resume = reverse("agent-resume", args=[agent.ref])
    for person in (ada, adm):
        http = browser_of(person)
        assert resume not in http.get(reverse("agent", args=[agent.ref])).text
        assert "An admin admits the change first." in http.post(resume, follow=True).text
        agent.refresh_from_db()
        assert agent.state == "suspended"
    refuse(row_of(held), reason="Not that address.", by=BY, now=clock.now())
    with pytest.raises(AwaitsAdmission):
        resume_agent(agent, reason="", by=BY, now=clock.now())
    admitted(held, ada)
    browser_of(ada).post(resume)
    agent.refresh_from_db()
    assert agent.state == "active"


@pytest.mark.spec(
    "RFC 7592", "5", "a registration token is no access token: not at the API, not exchanged, not revoked"
)
def test_a_registration_token_opens_nothing_else(desk: Desk, held: dict[str, Any], ada: User) -> None:
    key = new_key()
    mine = desk.registered(grant_types=["client_credentials", EXCHANGE], redirect_uris=None, jwks=jwks_of(key))
    agent = admitted(mine, ada)
    machine, token = Machine(agent.identifier, key), mine["registration_access_token"]
    exchanged = machine.token(
        grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
        subject_token=token,
        subject_token_type="urn:ietf:params:oauth:token-type:access_token",
    )
    assert exchanged.status_code == 400 and exchanged.json()["error"] == "invalid_request"
    assert machine.post("/oauth/revoke", machine.signed({"token": token})).status_code == 200
    assert desk.manage("GET", mine).status_code == 200
    assert not AccessToken.objects.exists()


@pytest.mark.urls("aims.urls")
@pytest.mark.spec("RFC 7592", "5", "the management API does not take a registration token")
def test_a_registration_token_is_refused_by_our_api(held: dict[str, Any]) -> None:
    bearer = {"authorization": f"Bearer {held['registration_access_token']}", "host": "localhost:8000"}
    assert HttpClient().get("/api/v1/agents/", headers=bearer).status_code == 401


@pytest.mark.spec("RFC 7592", "2", "every state has its exits, and what was withdrawn has none")
def test_the_states_are_a_table() -> None:
    assert set(LAWFUL) == set(RegistrationState)
    assert not LAWFUL[RegistrationState.WITHDRAWN]
