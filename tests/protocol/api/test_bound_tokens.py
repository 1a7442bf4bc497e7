"""An agent whose tokens are bound to its key manages too, with a proof for every call. Spec: RFC 9449 §7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from django.test import override_settings

from aims.authentication.models import SpentProof
from aims.authorization.models import Application
from aims.console.management import audience, describe
from aims.kit import clock
from tests.protocol.api.conftest import Desk, problem_of, recorded
from tests.support.dpop import Key
from tests.support.racing import at_once

PATH = "/api/v1/agents/"


@dataclass
class Bound:
    """The managing agent, registered to be bound, and the token that its key got."""

    desk: Desk
    key: Key
    token: str

    def proof(self, path: str = PATH, **changed: Any) -> str:
        key = changed.pop("key", self.key)
        return str(key.proof(path, **({"token": self.token, "htm": "GET"} | changed)))

    def get(self, proof: str | None, *, scheme: str = "DPoP", path: str = PATH, **extra: Any) -> Any:
        headers = {"authorization": f"{scheme} {self.token}"} | ({"dpop": proof} if proof else {})
        return self.desk.steward.http.get(path, headers=headers, **extra)


def issued(desk: Desk, key: Key, scope: str = "manage.agents") -> str:
    form = {"grant_type": "client_credentials", "resource": audience(), "scope": scope}
    answer = desk.steward.post("/oauth/token", desk.steward.signed(form), headers={"dpop": key.proof()})
    assert answer.status_code == 200, answer.content
    return str(answer.json()["access_token"])


@pytest.fixture
def bound(desk: Desk) -> Bound:
    Application.objects.filter(agent=desk.agent).update(dpop_bound_access_tokens=True)
    key = Key()
    return Bound(desk, key, issued(desk, key))


@pytest.mark.django_db
@pytest.mark.spec("RFC 9449", "7.1", "a bound token opens our API with a proof of its key, for every call another")
def test_a_bound_agent_manages_with_its_key(bound: Bound) -> None:
    answer = bound.get(bound.proof())
    assert answer.status_code == 200 and "DPoP-Nonce" not in answer
    path = f"{PATH}{bound.desk.stage.agent.ref}/"
    headers = {"authorization": f"DPoP {bound.token}", "dpop": bound.proof(path, htm="PATCH")}
    form = {"purpose": "Managed with a key"}
    patched = bound.desk.steward.http.patch(path, form, content_type="application/json", headers=headers)
    assert patched.status_code == 200, patched.content
    assert recorded("identifier.agent.changed")[0]["by"] == bound.desk.agent.identifier
    query = bound.get(bound.proof(), path=f"{PATH}?limit=1")  # §4.2: htu is without query
    assert query.status_code == 200


WRONG: dict[str, Any] = {
    "another key": {"key": Key()},
    "no ath": {"token": None},
    "another token's ath": {"ath": "A" * 43},
    "another method": {"htm": "POST"},
    "another path": {"htu": f"{audience()}people/"},
    "another host": {"htu": f"https://evil.example{PATH}"},
    "too old": {"iat": clock.epoch_s() - 3600},
    "from the future": {"iat": clock.epoch_s() + 3600},
    "no jti": {"jti": None},
}


@pytest.mark.django_db
@pytest.mark.spec("RFC 9449", "4.3", "each rule of a proof refuses at our API, and the challenge says so")
def test_a_proof_that_breaks_a_rule_opens_nothing(bound: Bound) -> None:
    for wrong, changed in WRONG.items():
        answer = bound.get(bound.proof(**changed))
        code = "invalid_token" if wrong == "another key" else "invalid_dpop_proof"
        assert (wrong, problem_of(answer)) == (wrong, (401, code))
        challenge = answer["WWW-Authenticate"]
        assert challenge.startswith("DPoP algs=") and f'error="{code}"' in challenge.partition("Bearer")[0]
        assert challenge.count("resource_metadata=") == 2
    for proof in (None, "nonsense", f"{bound.proof()}, {bound.proof()}"):
        assert problem_of(bound.get(proof)) == (401, "invalid_dpop_proof")
    assert bound.get(bound.proof()).status_code == 200


@pytest.mark.django_db
@pytest.mark.spec("RFC 9449", "7.2", "a bound token is no bearer token, a bearer token none with a proof")
def test_neither_kind_passes_for_the_other(bound: Bound) -> None:
    for proof in (None, bound.proof()):
        assert problem_of(bound.get(proof, scheme="Bearer")) == (401, "invalid_token")
    Application.objects.update(dpop_bound_access_tokens=False)
    bound.token = bound.desk.issue("manage.agents")
    assert problem_of(bound.get(bound.proof())) == (401, "invalid_token")
    assert bound.get(None, scheme="Bearer").status_code == 200


@pytest.mark.django_db
@pytest.mark.spec("RFC 9449", "7.2", "two schemes at once are a malformed request")
def test_two_tokens_at_once_are_refused(bound: Bound) -> None:
    both = f"DPoP {bound.token}, Bearer {bound.token}"
    answer = bound.desk.steward.http.get(PATH, headers={"authorization": both, "dpop": bound.proof()})
    assert problem_of(answer) == (400, "invalid_request")


@pytest.mark.django_db
@pytest.mark.spec("RFC 9449", "11.1", "a proof counts once at our API, also where the scope is too small")
def test_a_proof_counts_once(bound: Bound) -> None:
    proof = bound.proof()
    assert bound.get(proof).status_code == 200
    again = bound.get(proof)
    assert problem_of(again) == (401, "invalid_dpop_proof")
    bound.token = issued(bound.desk, bound.key, "manage.people")
    small = bound.proof()
    narrow = bound.get(small)
    assert problem_of(narrow) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in narrow["WWW-Authenticate"].partition("Bearer")[0]
    assert 'scope="manage.agents"' in narrow["WWW-Authenticate"]
    assert problem_of(bound.get(small))[0] == 401


@pytest.mark.django_db
@pytest.mark.spec("RFC 9449", "11.1", "a proof that opened nothing is not used up")
def test_a_thief_can_not_use_a_proof_up(bound: Bound) -> None:
    before, proof = SpentProof.objects.count(), bound.proof()
    stolen, bound.token = bound.token, "x.y.z"
    assert bound.get(proof).status_code == 401
    bound.token = stolen
    assert SpentProof.objects.count() == before
    assert bound.get(proof).status_code == 200


@pytest.mark.django_db
@pytest.mark.spec("RFC 9449", "9", "where nonces are asked for, our API hands one out and takes it")
@override_settings(DPOP_NONCE=True)
def test_our_api_asks_for_a_nonce(bound: Bound) -> None:
    told = bound.get(bound.proof())
    assert problem_of(told) == (401, "use_dpop_nonce")
    assert 'error="use_dpop_nonce"' in told["WWW-Authenticate"]
    answer = bound.get(bound.proof(nonce=told["DPoP-Nonce"]))
    assert answer.status_code == 200 and answer["DPoP-Nonce"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.spec("RFC 9449", "11.1", "of six calls with one proof at once one is let in")
def test_one_proof_at_once_is_one_call(bound: Bound) -> None:
    proof = bound.proof()
    statuses = at_once(*[lambda: bound.get(proof).status_code] * 6)
    assert sorted(statuses) == [200, *[401] * 5]


@pytest.mark.django_db
@pytest.mark.spec("FAPI 2.0 Security Profile", "5.3.4", "where the profile is in force no bearer token opens our API")
def test_under_fapi_only_bound_tokens_open_our_api(desk: Desk) -> None:
    key = Key()
    bound = Bound(desk, key, issued(desk, key))
    with override_settings(FAPI=True):
        assert problem_of(desk.get("agents/")) == (401, "invalid_token")
        assert bound.get(bound.proof()).status_code == 200
        assert "dpop_bound_access_tokens_required" not in describe()  # a certificate will do as well
