"""Transaction tokens over HTTP: one call goes on inside the trust domain, never wider, and ends with what it began with."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from aims.authorization.models import AccessToken, DelegationGrant
from aims.authorization.services.grants import revoke_grant
from aims.authorization.transaction_token import CONTEXT_MAX_BYTES, REPLACEMENTS_MAX
from aims.credentials import queries as keys
from aims.credentials import services as credentials
from aims.credentials.models import KeyPurpose
from aims.identifier import services as identifier
from aims.identifier.models import Agent, TrustDomain
from aims.kit import clock, jose
from aims.policy.services import load_policy
from aims.resource_server import txn_token
from aims.resource_server.keys import keys_of
from tests.support.chains import (
    ACCESS,
    DOMAIN,
    TXN,
    TYPE,
    Chain,
    Link,
    claims,
    entries,
    error,
    grant,
    make_chain,
    to_txn,
)
from tests.support.oauth_client import BY, POLICY, Machine

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
DRAFT = "draft-ietf-oauth-transaction-tokens"
FOR_AGENTS = "draft-oauth-transaction-tokens-for-agents"
SELF = TYPE + "self_signed"


@pytest.fixture
def chain(db: None, settings: Settings) -> Chain:
    settings.TRUST_DOMAIN = DOMAIN
    return make_chain()


def raw(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return str(answer.json()["access_token"])


@pytest.mark.spec(DRAFT, "Txn-Token Response", "N_A, the kind that was issued, and never a refresh token")
@pytest.mark.spec(DRAFT, "Txn-Token Claims", "what a transaction token says")
def test_whom_a_token_is_for_gets_a_transaction_token(chain: Chain) -> None:
    b = chain.links[0]
    access = chain.first()
    answer = to_txn(b, access, request_details='{"order": 7}', request_context='{"req_ip": "192.0.2.7"}')
    said, body = claims(answer), answer.json()
    assert {name: body.get(name) for name in ("token_type", "issued_token_type", "refresh_token", "scope")} == {
        "token_type": "N_A",
        "issued_token_type": TXN,
        "refresh_token": None,
        "scope": "accounts.read",
    }
    assert (said["aud"], said["scope"], said["req_wl"]) == (DOMAIN, "accounts.read", b.machine.client_id)
    assert said["tctx"] == {"order": 7, "resource": b.resource.identifier}
    assert said["rctx"] == {"req_ip": "192.0.2.7", "binding": "none", "req_wl": [b.machine.client_id]}
    assert said["exp"] - said["iat"] <= 360
    parent = AccessToken.objects.get()
    assert said["txn"] == parent.txn
    assert said["exp"] <= parent.expires.timestamp()
    assert access not in json.dumps(said)
    (entry,) = entries("authorization.transaction_token.issued")
    assert entry["data"]["workloads"] == [b.machine.client_id]
    assert "192.0.2.7" not in json.dumps(entry)


@pytest.mark.spec(FOR_AGENTS, "act", "who acts comes from the access token, and does not change")
def test_who_acts_is_who_called_and_not_who_asks(chain: Chain) -> None:
    b, c = chain.links[:2]
    first = to_txn(b, chain.first())
    said = claims(first)
    courier = {"sub": chain.on.courier.client_id, "sub_profile": "ai_agent"}
    assert (said["act"], said["sub"], said["sub_profile"]) == (courier, chain.on.courier.client_id, "ai_agent")
    assert claims(to_txn(c, raw(first), subject_token_type=TXN))["act"] == courier


@pytest.mark.spec(DRAFT, "Txn-Token Request", "audience, scope and subject token must be right")
@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"audience": None}, "invalid_target"),
        ({"audience": "other.example"}, "invalid_target"),
        ({"audience": [DOMAIN, "other.example"]}, "invalid_target"),
        ({"audience": DOMAIN, "resource": "https://b.example/"}, "invalid_target"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "accounts.read payments.create"}, "invalid_scope"),
        ({"authorization_details": "[]"}, "invalid_request"),
        ({"request_details": "[1]"}, "invalid_request"),
        ({"request_details": '{"a": 1.5}'}, "invalid_request"),
        ({"request_details": '{"a": 1, "a": 2}'}, "invalid_request"),
        ({"request_details": json.dumps({"a": "x" * CONTEXT_MAX_BYTES})}, "invalid_request"),
        ({"request_context": "nothing"}, "invalid_request"),
        ({"request_context": json.dumps({"req_wl": ["x"]})}, "invalid_request"),
        ({"request_details": json.dumps({"resource": "x"})}, "invalid_request"),
        ({"subject_token_type": TXN}, "invalid_request"),
        ({"subject_token_type": SELF}, "invalid_request"),
        *(
            ({"subject_token_type": TYPE + kind}, "invalid_request")
            for kind in ("refresh_token", "id_token", "jwt", "saml2", "unsigned_json")
        ),
    ],
)
def test_a_request_that_is_not_right_is_refused(chain: Chain, form: dict[str, Any], code: str) -> None:
    assert error(to_txn(chain.links[0], chain.first(), **form)) == code
    assert AccessToken.of_every_kind.count() == 1


@pytest.mark.spec(DRAFT, "Txn-Token Request", "only workloads of the trust domain, for tokens that are for them")
def test_who_is_not_concerned_gets_none(chain: Chain) -> None:
    b, c = chain.links[:2]
    access = chain.first()
    assert error(to_txn(c, access)) == "invalid_request"
    own = Link(chain.on.agent, chain.on.courier, b.resource)
    assert error(to_txn(own, access)) == "invalid_request"
    other = TrustDomain.objects.create(name="other.example")
    Agent.objects.filter(pk=b.agent.pk).update(trust_domain=other)
    assert error(to_txn(b, access)) == "invalid_request"


@pytest.mark.spec(DRAFT, "Replacement Txn-Tokens", "narrower, with values added; the chain of workloads is kept")
def test_a_replacement_narrows_and_adds(chain: Chain) -> None:
    b, c = chain.links[:2]
    both = {"scope": "accounts.read accounts.list"}
    first = to_txn(b, chain.first(), request_details='{"order": 7}', request_context='{"a": "1"}', **both)
    second = to_txn(
        c, raw(first), subject_token_type=TXN, request_details='{"step": 2, "order": 7}', request_context='{"b": "2"}'
    )
    before, after = claims(first), claims(second)
    assert all(after[name] == before[name] for name in ("txn", "sub", "aud", "act"))
    assert (after["scope"], after["req_wl"]) == ("accounts.read", c.machine.client_id)
    assert after["tctx"] == before["tctx"] | {"step": 2}
    assert after["rctx"] == {
        "a": "1",
        "b": "2",
        "binding": "none",
        "req_wl": [b.machine.client_id, c.machine.client_id],
    }
    assert after["exp"] <= before["exp"]
    assert error(to_txn(chain.links[2], raw(second), subject_token_type=TXN, **both)) == "invalid_scope"


@pytest.mark.spec(DRAFT, "Replacement Txn-Tokens", "nothing that was said changes")
@pytest.mark.parametrize("form", [{"request_details": '{"order": 8}'}, {"request_context": '{"a": 2}'}])
def test_a_replacement_changes_nothing(chain: Chain, form: dict[str, str]) -> None:
    b, c = chain.links[:2]
    first = to_txn(b, chain.first(), request_details='{"order": 7}', request_context='{"a": 1}')
    assert error(to_txn(c, raw(first), subject_token_type=TXN, **form)) == "invalid_request"


@pytest.mark.spec(DRAFT, "Replacement Txn-Tokens", "their number has an end, and none comes back")
def test_replacements_have_an_end(chain: Chain) -> None:
    b, c = chain.links[:2]
    token = raw(to_txn(b, chain.first()))
    for _each in range(REPLACEMENTS_MAX - 1):
        token = raw(to_txn(b, token, subject_token_type=TXN))
    assert error(to_txn(b, token, subject_token_type=TXN)) == "invalid_request"
    other = raw(to_txn(c, raw(to_txn(b, chain.first())), subject_token_type=TXN))
    assert error(to_txn(b, other, subject_token_type=TXN)) == "invalid_request"


@pytest.mark.spec(DRAFT, "Txn-Token Request", "never for a subject token that has ended")
@pytest.mark.parametrize("column", ["revoked_at", "expires"])
@pytest.mark.parametrize("is_replacement", [False, True])
def test_a_subject_token_that_has_ended_is_refused(chain: Chain, column: str, is_replacement: bool) -> None:
    b = chain.links[0]
    token, kind = chain.first(), ACCESS
    if is_replacement:
        token, kind = raw(to_txn(b, token)), TXN
    AccessToken.of_every_kind.filter(kind="txn" if is_replacement else "access").update(**{column: clock.now()})
    assert error(to_txn(b, token, subject_token_type=kind)) == "invalid_request"


@pytest.mark.spec(DRAFT, "Txn-Token Request", "the policy of now decides about the call")
def test_a_no_of_the_policy_ends_the_call(chain: Chain) -> None:
    access = chain.first()
    load_policy(POLICY + '@id("no") forbid (principal, action, resource);', by=BY, now=clock.now())
    assert error(to_txn(chain.links[0], access)) == "invalid_request"


@pytest.mark.spec(
    "draft-klrc-aiagent-auth", "10.5", "a transaction token may be exchanged for an access token elsewhere"
)
def test_a_transaction_token_leads_to_an_access_token_by_a_grant(chain: Chain) -> None:
    b, c, d = chain.links
    token = raw(to_txn(b, chain.first()))
    onward: dict[str, Any] = {"subject_token_type": TXN, "resource": d.resource.identifier}
    answer = c.exchange(token, **onward, scope="accounts.read")
    said = claims(answer)
    assert (said["client_id"], said["aud"], said["scope"]) == (
        c.machine.client_id,
        d.resource.identifier,
        "accounts.read",
    )
    assert [said["act"]["sub"], said["act"]["act"]["sub"]] == [c.machine.client_id, chain.on.courier.client_id]
    assert answer.json()["issued_token_type"] == ACCESS
    assert error(c.exchange(token, **onward, scope="accounts.read accounts.list")) == "invalid_scope"
    assert error(b.exchange(token, **onward, scope="accounts.read")) == "invalid_target"
    home = {"subject_token_type": TXN, "resource": c.resource.identifier, "scope": "accounts.read"}
    assert error(c.exchange(token, **home)) == "invalid_target"


def self_signed(who: Link, **changed: Any) -> str:
    return who.machine.assertion(**({"scope": "accounts.read"} | changed))


def begin(who: Link, token: str, **form: Any) -> Any:
    both = {"audience": DOMAIN, "resource": who.resource.identifier, "subject_token_type": SELF}
    return to_txn(who, token, **(both | form))


@pytest.mark.spec(DRAFT, "Subject Token Types", "a workload begins a transaction by itself, about itself")
def test_a_workload_begins_a_transaction_by_itself(chain: Chain) -> None:
    b = chain.links[0]
    grant(chain.on, b.agent, b.resource)
    token = self_signed(b)
    answer = begin(b, token)
    said = claims(answer)
    assert (said["sub"], said["act"]["sub"]) == (b.machine.client_id, b.machine.client_id)
    assert error(begin(b, token)) == "invalid_request"
    held = DelegationGrant.objects.get(agent=b.agent, resource=b.resource)
    revoke_grant(held, by=BY, now=clock.now())
    assert not AccessToken.of_every_kind.filter(revoked_at=None).exists()


@pytest.mark.spec(DRAFT, "Subject Token Types", "a scope that is not known, or another subject, is refused")
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"scope": None}, "invalid_request"),
        ({"scope": "accounts.list"}, "invalid_scope"),
        ({"sub": "usr_x"}, "invalid_request"),
        ({"iss": "spiffe://acme.example/c"}, "invalid_request"),
        ({"aud": DOMAIN}, "invalid_request"),
        ({"aud": ["http://localhost:8000", "x"]}, "invalid_request"),
        ({"jti": None}, "invalid_request"),
        ({"exp": 1}, "invalid_request"),
        ({"exp": 9_999_999_999}, "invalid_request"),
        ({"iat": 9_999_999_999}, "invalid_request"),
        ({"typ": "at+jwt"}, "invalid_request"),
    ],
)
def test_a_self_signed_token_that_is_not_right_is_refused(chain: Chain, changed: dict[str, Any], code: str) -> None:
    b = chain.links[0]
    grant(chain.on, b.agent, b.resource)
    assert error(begin(b, self_signed(b, **changed))) == code


@pytest.mark.spec(DRAFT, "Subject Token Types", "the policy decides, and only about what the workload runs")
def test_a_workload_begins_nothing_without_a_yes(chain: Chain) -> None:
    b, c = chain.links[:2]
    assert error(begin(b, self_signed(b))) == "invalid_request"
    assert error(begin(b, self_signed(b), resource=c.resource.identifier)) == "invalid_target"
    stranger = Machine(b.machine.client_id)
    forged = stranger.assertion(scope="accounts.read")
    assert error(begin(b, forged)) == "invalid_request"


@pytest.mark.spec("RFC 7009", "2.1", "what was derived from a token ends with it, whatever kind it is")
def test_everything_below_ends_together(chain: Chain) -> None:
    b, c, d = chain.links
    access = chain.first()
    first = raw(to_txn(b, access))
    second = raw(to_txn(c, first, subject_token_type=TXN))
    assert raw(c.exchange(second, subject_token_type=TXN, resource=d.resource.identifier, scope="accounts.read"))
    server = Machine(c.resource.identifier)
    credentials.register_keys(c.resource.ref, server.jwks, by=BY, now=clock.now())

    def seen() -> Any:
        form = {"token": second, "token_type_hint": TXN}
        return server.post("/oauth/introspect", server.signed(form)).json()

    found = seen()
    assert (found["active"], found["token_type"], found["req_wl"]) == (True, "N_A", c.machine.client_id)
    revoke_grant(DelegationGrant.objects.get(agent=chain.on.agent, resource=b.resource), by=BY, now=clock.now())
    assert seen() == {"active": False}
    assert not AccessToken.of_every_kind.filter(revoked_at=None).exists()
    (entry,) = entries("authorization.tokens.ended")
    assert entry["data"]["count"] == 4


@pytest.mark.spec("RFC 7662", "2.2", "a transaction token is active only for whoever asks for one, inside the domain")
def test_introspection_of_a_transaction_token(chain: Chain) -> None:
    b = chain.links[0]
    token = raw(to_txn(b, chain.first()))
    server = Machine(b.resource.identifier)
    credentials.register_keys(b.resource.ref, server.jwks, by=BY, now=clock.now())
    assert server.post("/oauth/introspect", server.signed({"token": token})).json() == {"active": False}
    outside = chain.on.server
    form = {"token": token, "token_type_hint": TXN}
    assert outside.post("/oauth/introspect", outside.signed(form)).json() == {"active": False}
    hint = {"token": chain.first(), "token_type_hint": TXN}
    assert server.post("/oauth/introspect", server.signed(hint)).json()["token_type"] == "Bearer"


@pytest.mark.spec("draft-klrc-aiagent-auth", "10.6", "who is stopped in the middle ends what comes after")
def test_a_workload_suspended_in_the_middle_ends_the_call(chain: Chain) -> None:
    b, c, d = chain.links
    token = raw(to_txn(c, raw(to_txn(b, chain.first())), subject_token_type=TXN))
    identifier.suspend(b.agent, reason="It stole.", by=BY, now=clock.now())
    assert error(to_txn(d, token, subject_token_type=TXN)) == "invalid_request"


@pytest.mark.spec(DRAFT, "Txn-Token HTTP Header", "our own token is taken by the verifier, and goes on unmodified")
def test_the_verifier_takes_what_we_issue(chain: Chain) -> None:
    token = raw(to_txn(chain.links[0], chain.first()))
    header = jose.parse(token, algorithms=jose.ALGORITHMS, typ=("txntoken+jwt",)).header
    assert keys.own_key(str(header["kid"]), KeyPurpose.TXN_TOKEN) is not None
    held = keys_of(keys.published_jwks())
    seen = txn_token.check(
        [token],
        trust_domain=DOMAIN,
        issuer="http://localhost:8000",
        keys=held.get,
        algorithms={"ES256"},
        skew_s=5,
        now=clock.now().timestamp(),
    )
    assert seen.headers == {"Txn-Token": token}
    assert timedelta(seconds=seen.claims["exp"] - seen.claims["iat"]) <= timedelta(minutes=6)
