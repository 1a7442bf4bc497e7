"""Token exchange over HTTP: chains that never widen, and end together. Spec: RFC 8693."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.models import AccessToken
from aims.authorization.services import agents as stopping
from aims.authorization.services.grants import GiveGrant, give_grant
from aims.credentials import services as credentials
from aims.identifier import services as identifier
from aims.identifier.models import Agent, Resource
from aims.kit import clock
from aims.kit.ids import unb64url
from audit.models import InboxRow
from tests.support.dpop import Key
from tests.support.oauth_client import BY, PAY, Machine, Stage, payment, stage

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
ACCESS = TYPE + "access_token"
SPEC = identifier.ActionSpec
READ = SPEC(name="accounts.read", title="Read accounts", reversibility="read-only")
LIST = SPEC(name="accounts.list", title="List accounts", reversibility="read-only")


@dataclass
class Link:
    """An agent that runs a resource."""

    agent: Agent
    machine: Machine
    resource: Resource

    def exchange(self, token: str, **form: Any) -> Any:
        extra = {"headers": {"DPoP": form.pop("dpop")}} if "dpop" in form else {}
        base = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS}
        sent = {name: value for name, value in (base | form).items() if value is not None}
        return self.machine.post("/oauth/token", self.machine.signed(sent), **extra)


@dataclass
class Chain:
    on: Stage
    links: list[Link]

    def first(self, **form: Any) -> str:
        """A token of Courier's for the resource of the first link."""
        resource = self.links[0].resource.identifier
        answer = self.on.courier.token(resource=resource, **({"scope": "accounts.read accounts.list"} | form))
        assert answer.status_code == 200, answer.content
        return str(answer.json()["access_token"])


def link(on: Stage, name: str) -> Link:
    now, machine = clock.now(), Machine(f"spiffe://acme.example/{name}")
    agent = identifier.register_agent(
        identifier.RegisterAgent(
            identifier=machine.client_id, name=name, purpose="Goes on", contact="a@b.example", owner=on.ada
        ),
        by=BY,
        now=now,
    )
    credentials.register_keys(agent.ref, machine.jwks, by=BY, now=now)
    resource = identifier.register_resource(
        identifier.RegisterResource(
            identifier=f"https://{name}.example/", name=name, actions=(READ, LIST), operator=agent
        ),
        by=BY,
        now=now,
    )
    return Link(agent, machine, resource)


def grant(on: Stage, agent: Agent, resource: Resource) -> None:
    now = clock.now()
    terms = GiveGrant(
        from_person=on.ada,
        agent=agent,
        resource=resource,
        actions=("accounts.read", "accounts.list"),
        detail_types=(),
        until_at=now + timedelta(days=1),
    )
    give_grant(terms, by=BY, now=now)


@pytest.fixture
def chain(db: None) -> Chain:
    """Courier may call b; b may call c, c may call d, and so on; each runs its own resource."""
    on = stage()
    links = [link(on, name) for name in "bcdefg"]
    before = on.agent
    for each in links:
        grant(on, before, each.resource)
        before = each.agent
    return Chain(on, links)


def row_of(answer: Any) -> AccessToken:
    assert answer.status_code == 200, answer.content
    return AccessToken.objects.order_by("-pk")[0]


def error(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status, answer.content
    assert answer["Cache-Control"] == "no-store"
    return str(answer.json()["error"])


def entries(kind: str) -> list[dict[str, Any]]:
    found = [json.loads(bytes(row.payload)) for row in InboxRow.objects.order_by("pk")]
    return [entry for entry in found if entry["type"] == kind]


def claims(answer: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(unb64url(answer.json()["access_token"].split(".")[1]))
    return body


def walk(chain: Chain, hops: int) -> list[Any]:
    answers, token = [], chain.first()
    for each, following in zip(chain.links[:hops], chain.links[1:], strict=False):
        answer = each.exchange(token, resource=following.resource.identifier, scope="accounts.read")
        assert answer.status_code == 200, answer.content
        answers.append(answer)
        token = answer.json()["access_token"]
    return answers


@pytest.mark.spec("RFC 8693", "2.2.1", "the answer names what was issued")
def test_who_a_token_is_for_exchanges_it_and_acts_in_its_own_name(chain: Chain) -> None:
    b, c = chain.links[:2]
    answer = b.exchange(chain.first(), resource=c.resource.identifier, scope="accounts.read")
    row = row_of(answer)
    body, said = answer.json(), claims(answer)
    assert (body["issued_token_type"], body["token_type"], body["scope"]) == (ACCESS, "Bearer", "accounts.read")
    assert (said["sub"], said["client_id"], said["aud"]) == (
        chain.on.courier.client_id,
        b.machine.client_id,
        c.resource.identifier,
    )
    assert said["act"] == {"sub": b.machine.client_id, "sub_profile": "ai_agent"}
    assert row.parent is not None
    assert (row.depth, row.root_ref, row.txn) == (1, row.parent.jti, row.parent.txn)
    assert row.expires <= row.parent.expires
    (entry,) = entries("authorization.token.exchanged")
    assert (entry["data"]["jti"], entry["data"]["parent"]) == (row.jti, row.parent.jti)
    assert entry["data"]["chain"] == [chain.on.courier.client_id, b.machine.client_id]


@pytest.mark.spec("RFC 8693", "4.1", "earlier actors are nested inside, the newest outermost")
def test_actors_nest(chain: Chain) -> None:
    answers = walk(chain, 3)
    b, c, d = (each.machine.client_id for each in chain.links[:3])
    profile = {"sub_profile": "ai_agent"}
    assert claims(answers[2])["act"] == {
        "sub": d,
        **profile,
        "act": {"sub": c, **profile, "act": {"sub": b, **profile}},
    }


@pytest.mark.spec("AIMS Console", "authorization", "a chain has at most 4 exchanges")
def test_the_fifth_exchange_is_refused(chain: Chain) -> None:
    token = walk(chain, 4)[-1].json()["access_token"]
    e, f = chain.links[4:6]
    assert error(e.exchange(token, resource=f.resource.identifier, scope="accounts.read")) == "invalid_request"


@pytest.mark.spec("RFC 8693", "2.1", "nothing is wider than the subject token")
def test_a_wider_scope_is_refused(chain: Chain) -> None:
    b, c = chain.links[:2]
    token = chain.first(scope="accounts.read")
    asked = b.exchange(token, resource=c.resource.identifier, scope="accounts.read accounts.list")
    assert error(asked) == "invalid_scope"
    assert entries("authorization.token.refused")[-1]["data"]["code"] == "invalid_scope"


@pytest.mark.spec("RFC 8693", "2.1", "nothing is wider than the subject token")
def test_details_that_the_subject_token_does_not_carry_are_refused(chain: Chain) -> None:
    asked = chain.links[0].exchange(chain.first(), resource=PAY, authorization_details=payment())
    assert error(asked) == "invalid_authorization_details"


@pytest.mark.spec("RFC 8707", "2", "a resource that nobody granted is no target")
def test_a_resource_without_a_grant_is_refused(chain: Chain) -> None:
    d = chain.links[2].resource.identifier
    assert error(chain.links[0].exchange(chain.first(), resource=d, scope="accounts.read")) == "invalid_target"
    both = [each.resource.identifier for each in chain.links[1:3]]
    assert error(chain.links[0].exchange(chain.first(), resource=both, scope="accounts.read")) == "invalid_target"


@pytest.mark.spec("RFC 8693", "2.1", "scope may be left out")
def test_what_is_left_out_is_as_in_the_subject_token(chain: Chain) -> None:
    answer = chain.links[0].exchange(chain.first(), resource=chain.links[1].resource.identifier)
    assert answer.json()["scope"] == "accounts.read accounts.list"
    own = chain.links[0].exchange(answer.json()["access_token"], scope="accounts.read")
    assert own.json()["scope"] == "accounts.read"
    assert "act" not in claims(own)["act"]


@pytest.mark.spec("RFC 8693", "2.2.2", "a bad subject token is an invalid_request")
def test_a_token_of_somebody_else_is_refused(chain: Chain) -> None:
    c, d = chain.links[1:3]
    assert error(c.exchange(chain.first(), resource=d.resource.identifier)) == "invalid_request"


@pytest.mark.spec("RFC 8693", "2.1", "types of the tokens")
@pytest.mark.parametrize(
    "form",
    [
        {"subject_token": "unknown"},
        {"subject_token": None},
        {"subject_token_type": None},
        {"requested_token_type": TYPE + "refresh_token"},
        {"actor_token": "x"},
        {"actor_token_type": ACCESS},
        {"actor_token": "x", "actor_token_type": ACCESS},
        {"actor_token": "x", "actor_token_type": TYPE + "id_token"},
        *({"subject_token_type": TYPE + kind} for kind in ("id_token", "refresh_token", "jwt", "saml2", "txn_token")),
    ],
)
def test_other_kinds_of_tokens_are_refused(chain: Chain, form: dict[str, str | None]) -> None:
    asked = chain.links[0].exchange(chain.first(), **({"resource": chain.links[1].resource.identifier} | form))
    assert error(asked) == "invalid_request"
    assert AccessToken.objects.count() == 1


@pytest.mark.spec("RFC 8693", "2.2.2", "a revoked or expired subject token is refused")
@pytest.mark.parametrize("column", ["revoked_at", "expires"])
def test_a_token_that_has_ended_is_refused(chain: Chain, column: str) -> None:
    token = chain.first()
    AccessToken.objects.update(**{column: clock.now()})
    assert error(chain.links[0].exchange(token, resource=chain.links[1].resource.identifier)) == "invalid_request"


@pytest.mark.spec("RFC 8693", "2.1", "a registration token is no subject token")
def test_a_registration_token_is_refused(chain: Chain) -> None:
    token = chain.first()
    AccessToken.objects.update(agent=None, jti=None, scope="oauth2_provider:registration")
    assert error(chain.links[0].exchange(token, resource=chain.links[1].resource.identifier)) == "invalid_request"


@pytest.mark.spec("RFC 8693", "4.4", "may_act names who alone may act")
@pytest.mark.parametrize(
    ("may_act", "status"),
    [
        ({"sub": "B"}, 200),
        ({"client_id": "B"}, 200),
        ({"sub": "x"}, 400),
        ({"sub": "B", "iss": "x"}, 400),
        ({"y": 1}, 400),
    ],
)
def test_may_act_is_honoured_and_handed_on(chain: Chain, may_act: dict[str, Any], status: int) -> None:
    b, token = chain.links[0], chain.first()
    named = {name: b.machine.client_id if value == "B" else value for name, value in may_act.items()}
    AccessToken.objects.update(may_act=named)
    answer = b.exchange(token, resource=chain.links[1].resource.identifier)
    assert answer.status_code == status
    if status == 200:
        assert claims(answer)["may_act"] == named


@pytest.mark.spec("AIMS Console", "authorization", "no agent is twice in a chain")
def test_a_loop_is_refused(chain: Chain) -> None:
    b, c = chain.links[:2]
    grant(chain.on, c.agent, b.resource)
    there = b.exchange(chain.first(), resource=c.resource.identifier).json()["access_token"]
    back = c.exchange(there, resource=b.resource.identifier).json()["access_token"]
    assert error(b.exchange(back, resource=c.resource.identifier)) == "invalid_request"


@pytest.mark.spec("RFC 9449", "6", "a bound token of its own needs its key")
def test_a_bound_token_is_exchanged_with_its_key_or_by_whom_it_is_for(chain: Chain) -> None:
    key, courier, b = Key(), chain.on.courier, chain.links[0]
    form = courier.signed(
        {"grant_type": "client_credentials", "resource": b.resource.identifier, "scope": "accounts.read"}
    )
    token = courier.post("/oauth/token", form, headers={"DPoP": key.proof()}).json()["access_token"]
    holder = Link(chain.on.agent, courier, b.resource)
    assert error(holder.exchange(token)) == "invalid_request"
    assert error(holder.exchange(token, dpop=Key().proof())) == "invalid_request"
    assert holder.exchange(token, dpop=key.proof()).json()["token_type"] == "DPoP"
    assert b.exchange(token, resource=chain.links[1].resource.identifier).status_code == 200


@pytest.mark.spec("RFC 7009", "2.1", "what was derived from a token ends with it")
def test_revoking_the_first_token_ends_the_chain(chain: Chain) -> None:
    token = chain.first()
    b, c, d = chain.links[:3]
    second = b.exchange(token, resource=c.resource.identifier).json()["access_token"]
    assert c.exchange(second, resource=d.resource.identifier).status_code == 200
    courier = chain.on.courier
    assert courier.post("/oauth/revoke", courier.signed({"token": token})).status_code == 200
    assert not AccessToken.objects.filter(revoked_at=None).exists()
    (entry,) = entries("authorization.token.revoked")
    assert (entry["data"]["descendants"], len(entry["data"]["descendant_jtis"])) == (2, 2)
    assert error(c.exchange(second, resource=d.resource.identifier)) == "invalid_request"


@pytest.mark.spec("AIMS Console", "authorization", "an agent that is stopped in the middle ends what it handed on")
@pytest.mark.parametrize("verb", [stopping.suspend_agent, identifier.suspend])
def test_an_agent_suspended_in_the_middle_ends_what_comes_after(chain: Chain, verb: Any) -> None:
    walk(chain, 3)
    rows = list(AccessToken.objects.order_by("pk"))
    verb(chain.links[1].agent, reason="It stole.", by=BY, now=clock.now())
    assert [token.is_expired() for token in AccessToken.objects.order_by("pk")] == [False, False, True, True]
    assert [token.depth for token in rows] == [0, 1, 2, 3]


@pytest.mark.spec("RFC 7662", "2.2", "introspection tells who acts")
def test_introspection_shows_the_chain(chain: Chain) -> None:
    c, server = chain.links[1], Machine(chain.links[1].resource.identifier)
    credentials.register_keys(c.resource.ref, server.jwks, by=BY, now=clock.now())
    answer = chain.links[0].exchange(chain.first(), resource=c.resource.identifier)
    form = {"token": answer.json()["access_token"]}
    seen = server.post("/oauth/introspect", server.signed(form)).json()
    assert (seen["active"], seen["act"]) == (True, claims(answer)["act"])
    identifier.suspend(chain.on.agent, reason="It stole.", by=BY, now=clock.now())
    assert server.post("/oauth/introspect", server.signed(form)).json() == {"active": False}
