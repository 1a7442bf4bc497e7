"""Proofs, tokens, agents, grants and policy, two at once: one winner, one record, and the log tells it in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aims.authorization.models import AccessToken, ApprovalRequest, DelegationGrant
from aims.authorization.services.agents import resume_agent, retire_agent, stop_everything, suspend_agent
from aims.authorization.services.grants import revoke_grant
from aims.identifier.models import Agent
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.policy.models import PolicyVersion
from aims.policy.services import load_policy
from audit.sequencer import Sequencer
from audit.verify import verify_log
from tests.protocol.ciba.conftest import CIBA, Door, error_of
from tests.protocol.ciba.conftest import door as door
from tests.protocol.ciba.test_poll import DENY_ALL
from tests.support.log import written_once
from tests.support.oauth_client import BY, PAY
from tests.support.racing import ROUNDS, at_once
from tests.unit.approvals.stage import LOG_KEY
from tests.unit.authorization.entries import entries

__all__ = ["door", "written_once"]
pytestmark = [
    pytest.mark.scaled,
    pytest.mark.django_db(transaction=True),
    pytest.mark.urls("aims.authorization.urls"),
]
READ = {"grant_type": "client_credentials", "resource": PAY, "scope": "accounts.read"}
ISSUED, USED, REVOKED = (f"authorization.token.{what}" for what in ("issued", "used", "revoked"))
REFUSED, ENDED = "authorization.token.refused", "authorization.tokens.ended"
SUSPENDED, ACTIVATED = "identifier.agent.suspended", "policy.version.activated"


@pytest.fixture(autouse=True)
def _verified(door: Door) -> Iterator[None]:
    """After each race every entry is numbered, and the log verifies."""
    yield
    Sequencer(key=LOG_KEY).run_once()
    verdict = verify_log()
    assert verdict.is_good, verdict


def post(door: Door, path: str, form: dict[str, Any], *, server: bool = False) -> Callable[[], Any]:
    """Return a call whose assertion is made now, so that calling it twice sends the same one twice."""
    machine = door.stage.server if server else door.courier
    signed = machine.signed(form)
    return lambda: machine.post(path, signed)


def token_of(door: Door) -> str:
    return str(door.courier.token(scope="accounts.read").json()["access_token"])


def live() -> int:
    return AccessToken.objects.filter(revoked_at=None, expires__gt=clock.now()).count()


def types() -> list[str]:
    return [entry["type"] for entry in entries()]


def held(door: Door) -> Agent:
    """Return the agent as one thread reads it."""
    return Agent.objects.select_related("owner").get(pk=door.stage.agent.pk)


def stopping(door: Door, verb: Any = suspend_agent) -> Callable[[], Any]:
    agent = held(door)
    return lambda: verb(agent, reason="race", by=BY, now=clock.now())


def taking_back(door: Door) -> Callable[[], Any]:
    grant = DelegationGrant.objects.select_related("agent", "resource", "from_person").get(agent=door.stage.agent)
    return lambda: revoke_grant(grant, by=BY, now=clock.now())


def is_refused_once(answers: list[Any], *, otherwise: int) -> None:
    assert sorted(answer.status_code for answer in answers) == sorted([otherwise, 401])
    loser = next(answer for answer in answers if answer.status_code == 401)
    assert error_of(loser) == (401, "invalid_client")


@pytest.mark.spec("RFC 7523", "3", "a jti counts once, under concurrency too")
@pytest.mark.parametrize("is_warm", [True, False], ids=["remembered", "new"])
@pytest.mark.parametrize("round_", ROUNDS)
def test_one_assertion_sent_twice_makes_one_token(door: Door, is_warm: bool, round_: int) -> None:
    before = live()
    if is_warm:
        token_of(door)
        before += 1
    call = post(door, "/oauth/token", READ)
    is_refused_once(at_once(call, call), otherwise=200)
    assert live() == before + 1
    assert len(entries(ISSUED)) == before + 1
    assert [entry["data"]["reason"] for entry in entries(REFUSED)] == ["replayed"]


@pytest.mark.parametrize("round_", ROUNDS)
def test_one_assertion_sent_twice_polls_once(door: Door, round_: int) -> None:
    call = post(door, "/oauth/token", {"grant_type": CIBA, "auth_req_id": door.asked()})
    answers = at_once(call, call)
    is_refused_once(answers, otherwise=400)
    assert (400, "authorization_pending") in [error_of(answer) for answer in answers]


@pytest.mark.parametrize("round_", ROUNDS)
def test_one_assertion_sent_twice_redeems_once(door: Door, round_: int) -> None:
    call = post(door, "/oauth/token", {"grant_type": CIBA, "auth_req_id": door.asked()})
    door.approve()
    is_refused_once(at_once(call, call), otherwise=200)
    assert live() == len(entries(ISSUED)) == 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_one_assertion_sent_twice_opens_one_request(door: Door, round_: int) -> None:
    call = post(door, "/oauth/bc-authorize", door.form())
    is_refused_once(at_once(call, call), otherwise=200)
    assert ApprovalRequest.objects.count() == len(entries("authorization.request.opened")) == 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_one_assertion_sent_twice_is_one_use(door: Door, round_: int) -> None:
    call = post(door, "/oauth/introspect", {"token": token_of(door)}, server=True)
    is_refused_once(at_once(call, call), otherwise=200)
    assert len(entries(USED)) == 1


@pytest.mark.parametrize("round_", ROUNDS)
def test_one_assertion_at_two_endpoints_counts_at_one(door: Door, round_: int) -> None:
    proof = door.courier.signed({})
    answers = at_once(
        lambda: door.courier.post("/oauth/token", READ | proof),
        lambda: door.courier.post("/oauth/bc-authorize", door.form() | proof),
    )
    is_refused_once(answers, otherwise=200)
    assert live() + ApprovalRequest.objects.count() == 1


@pytest.mark.spec("RFC 7009", "2", "what is revoked is not used afterwards")
@pytest.mark.parametrize("round_", ROUNDS)
def test_revocation_against_use(door: Door, round_: int) -> None:
    token = token_of(door)
    use, revoke = at_once(
        post(door, "/oauth/introspect", {"token": token}, server=True), post(door, "/oauth/revoke", {"token": token})
    )
    assert revoke.status_code == 200
    told = [kind for kind in types() if kind in (USED, REVOKED)]
    assert told == ([USED, REVOKED] if use.json()["active"] else [REVOKED])
    assert live() == 0


@pytest.mark.parametrize("round_", ROUNDS)
def test_two_revocations_are_one(door: Door, round_: int) -> None:
    token = token_of(door)
    answers = at_once(*[post(door, "/oauth/revoke", {"token": token}) for _ in range(2)])
    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(entries(REVOKED)) == 1


@pytest.mark.spec("draft-ietf-wimse-aims", "10", "no token after the suspension, and none alive")
@pytest.mark.parametrize("verb", [suspend_agent, stop_everything])
@pytest.mark.parametrize("round_", ROUNDS)
def test_suspension_against_issuing(door: Door, verb: Any, round_: int) -> None:
    token_of(door)
    answers = at_once(
        *[post(door, "/oauth/token", READ) for _ in range(3)],
        stopping(door, verb),
    )
    assert {answer.status_code for answer in answers[:3]} <= {200, 400, 401}
    told = types()
    assert ISSUED not in told[told.index(SUSPENDED) :]
    assert live() == 0
    (ended,) = entries(ENDED)
    assert ended["data"]["count"] == told.count(ISSUED)


@pytest.mark.parametrize("round_", ROUNDS)
def test_suspension_against_redemption(door: Door, round_: int) -> None:
    auth_req_id = door.asked()
    door.approve()
    poll, _done = at_once(post(door, "/oauth/token", {"grant_type": CIBA, "auth_req_id": auth_req_id}), stopping(door))
    told = types()
    assert ISSUED not in told[told.index(SUSPENDED) :]
    assert live() == 0
    assert door.request().state == ("redeemed" if poll.status_code == 200 else "cancelled")


@pytest.mark.parametrize("round_", ROUNDS)
def test_suspension_against_asking(door: Door, round_: int) -> None:
    ask, _done = at_once(post(door, "/oauth/bc-authorize", door.form()), stopping(door))
    states = list(ApprovalRequest.objects.values_list("state", flat=True))
    assert states == (["cancelled"] if ask.status_code == 200 else [])
    told = types()
    assert "authorization.request.opened" not in told[told.index(SUSPENDED) :]


@pytest.mark.parametrize("round_", ROUNDS)
def test_suspension_against_use(door: Door, round_: int) -> None:
    use, _done = at_once(post(door, "/oauth/introspect", {"token": token_of(door)}, server=True), stopping(door))
    told = [kind for kind in types() if kind in (USED, ENDED)]
    assert told == ([USED, ENDED] if use.json()["active"] else [ENDED])


@pytest.mark.parametrize(("one", "other"), [(suspend_agent, suspend_agent), (retire_agent, suspend_agent)])
def test_two_who_stop_an_agent_never_deadlock_and_its_state_moves_lawfully(door: Door, one: Any, other: Any) -> None:
    token_of(door)
    door.asked()
    results = at_once(stopping(door, one), stopping(door, other))
    lost = sum(isinstance(result, AimsError) for result in results)
    assert (
        lost == 1 if one is other else lost in (0, 1)
    )  # a suspended agent can be retired, a retired one not suspended
    assert held(door).state == ("suspended" if one is other else "retired")
    assert live() == 0
    assert len(entries(ENDED)) == len(entries("authorization.request.cancelled")) == 1


@pytest.mark.parametrize("verb", [stop_everything, retire_agent])
@pytest.mark.parametrize("round_", ROUNDS)
def test_stopping_against_taking_back_never_deadlocks(door: Door, verb: Any, round_: int) -> None:
    token_of(door)
    door.asked()
    at_once(stopping(door, verb), taking_back(door))
    assert len(entries("authorization.grant.revoked")) == 1
    assert len(entries(ENDED)) == len(entries("authorization.request.cancelled")) == 1
    assert live() == 0


def test_resumption_against_suspension_has_one_winner(door: Door) -> None:
    suspend_agent(held(door), reason="first", by=BY, now=clock.now())
    at_once(stopping(door, resume_agent), stopping(door))
    moves = [kind for kind in types() if kind in (SUSPENDED, "identifier.agent.resumed")]
    state = "suspended" if moves[-1] == SUSPENDED else "active"
    assert held(door).state == state


@pytest.mark.parametrize("round_", ROUNDS)
def test_a_policy_against_issuing(door: Door, round_: int) -> None:
    token_of(door)
    old = PolicyVersion.objects.get(is_active=True).number
    answer, _version = at_once(post(door, "/oauth/token", READ), lambda: load_policy(DENY_ALL, by=BY, now=clock.now()))
    assert answer.status_code in (200, 400)
    issued = entries(ISSUED)
    assert len(issued) == 1 + (answer.status_code == 200)
    assert {entry["data"]["policy_version"] for entry in issued} == {old}  # each names the policy that allowed it
    assert error_of(door.courier.token(scope="accounts.read")) == (400, "access_denied")


@pytest.mark.parametrize("round_", ROUNDS)
def test_two_policies_at_once_leave_one_in_force(door: Door, round_: int) -> None:
    texts = [f'@id("r{number}") forbid (principal, action, resource);' for number in range(2)]
    results = at_once(*[lambda text=text: load_policy(text, by=BY, now=clock.now()) for text in texts])
    assert PolicyVersion.objects.filter(is_active=True).count() == 1, results


@pytest.mark.parametrize("round_", ROUNDS)
def test_taking_a_grant_back_against_issuing(door: Door, round_: int) -> None:
    token_of(door)
    answers = at_once(*[post(door, "/oauth/token", READ) for _ in range(3)], taking_back(door))
    told = types()
    assert ISSUED not in told[told.index("authorization.grant.revoked") :]
    assert live() == 0
    assert entries(ENDED)[0]["data"]["count"] == 1 + sum(answer.status_code == 200 for answer in answers[:3])


@pytest.mark.parametrize("round_", ROUNDS)
def test_taking_a_grant_back_against_redemption(door: Door, round_: int) -> None:
    auth_req_id = door.asked()
    door.approve()
    poll, _done = at_once(
        post(door, "/oauth/token", {"grant_type": CIBA, "auth_req_id": auth_req_id}), taking_back(door)
    )
    is_redeemed = poll.status_code == 200
    assert door.request().state == ("redeemed" if is_redeemed else "cancelled")
    assert live() == 0
    assert len(entries(ENDED)) == is_redeemed
    if not is_redeemed:
        assert error_of(poll)[1] in {"access_denied", "invalid_grant"}


@pytest.mark.parametrize("round_", ROUNDS)
def test_taking_a_grant_back_against_asking(door: Door, round_: int) -> None:
    ask, _done = at_once(post(door, "/oauth/bc-authorize", door.form()), taking_back(door))
    states = list(ApprovalRequest.objects.values_list("state", flat=True))
    assert states == (["cancelled"] if ask.status_code == 200 else [])


@pytest.mark.parametrize("round_", ROUNDS)
def test_taking_a_grant_back_against_a_yes(door: Door, round_: int) -> None:
    auth_req_id = door.asked()
    response = door.signature()
    at_once(lambda: door.approve(response), taking_back(door))
    assert door.request().state == "cancelled"  # a yes that came first is withdrawn as well
    assert error_of(door.poll(auth_req_id)) == (400, "access_denied")


def test_a_grant_is_taken_back_once(door: Door) -> None:
    results = at_once(taking_back(door), taking_back(door))
    assert sum(isinstance(result, AimsError) for result in results) == 1
    assert len(entries("authorization.grant.revoked")) == 1
