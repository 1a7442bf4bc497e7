"""Our word for another domain: narrow, short, for it alone, and by names that it may know. draft-ietf-oauth-identity-chaining."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from aims.authorization.models import AccessToken, DelegationGrant, ForeignSubject, TokenKind
from aims.authorization.services.grants import GiveGrant, give_grant, revoke_grant
from aims.credentials import queries as keys
from aims.credentials.models import KeyPurpose
from aims.identifier import services as identifier
from aims.identifier.models import Resource
from aims.kit import clock, jose
from tests.support.chains import ACCESS, JWT, TXN, Chain, Link, claims, entries, error, make_chain, to_txn
from tests.support.dpop import Key
from tests.support.foreign import Foreign, present, trusting
from tests.support.oauth_client import BY

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
DRAFT = "draft-ietf-oauth-identity-chaining"
THERE = Foreign()


@dataclass
class Border:
    """A chain whose first link may go on to another domain."""

    chain: Chain
    there: Resource

    @property
    def b(self) -> Link:
        return self.chain.links[0]

    def cross(self, token: str, **form: Any) -> Any:
        base: dict[str, Any] = {"audience": THERE.issuer, "scope": "accounts.read", "requested_token_type": JWT}
        return self.b.exchange(token, **(base | form))


def border(chain: Chain) -> Border:
    """Register the other server as a resource, trust it, and let b go there for Courier and for Ada."""
    now, spec = clock.now(), identifier.ActionSpec
    actions = tuple(
        spec(name=name, title=name, reversibility="read-only") for name in ("accounts.read", "accounts.list", "x.read")
    )
    there = identifier.register_resource(
        identifier.RegisterResource(identifier=THERE.issuer, name="There", actions=actions), by=BY, now=now
    )
    trusting(chain.on, THERE, subjects={}, clients={"b-there": chain.links[0].agent})
    terms = GiveGrant(
        from_person=chain.on.ada,
        agent=chain.links[0].agent,
        resource=there,
        actions=tuple(action.name for action in actions),
        detail_types=(),
        until_at=now + timedelta(days=1),
    )
    give_grant(terms, by=BY, now=now)
    return Border(chain, there)


@pytest.fixture
def at(db: None) -> Border:
    return border(make_chain("bc"))


@pytest.mark.spec(DRAFT, "2.3", "a grant for one server, of a minute, by names that it knows")
def test_a_token_becomes_a_word_for_another_domain(at: Border) -> None:
    answer = at.cross(at.chain.first())
    said, body = claims(answer), answer.json()
    assert (body["token_type"], body["issued_token_type"], "refresh_token" in body) == ("N_A", JWT, False)
    assert (said["aud"], said["client_id"], said["scope"]) == (THERE.issuer, "b-there", "accounts.read")
    assert 0 < said["exp"] - said["iat"] <= 60
    assert said.keys() == {"iss", "sub", "aud", "client_id", "jti", "iat", "exp", "scope"}
    header = jose.parse(body["access_token"], algorithms=jose.ALGORITHMS, typ=("authorization-grant+jwt",)).header
    assert keys.own_key(str(header["kid"]), KeyPurpose.JWT_GRANT) is not None
    row = AccessToken.of_every_kind.get(kind=TokenKind.JWT_GRANT)
    assert (row.depth, row.root_ref) == (1, AccessToken.objects.get().jti)
    (entry,) = entries("authorization.foreign_grant.issued")
    assert (entry["data"]["profile"], entry["data"]["parent"]) == ("chaining", row.root_ref)


@pytest.mark.spec(
    "draft-klrc-aiagent-auth", "10.9", "a person has another name at each server, the agreed one or a random one"
)
def test_a_person_has_another_name_there(at: Border) -> None:
    token = at.chain.first()
    AccessToken.objects.update(subject_ref=at.chain.on.ada.ref)
    first = claims(at.cross(token))["sub"]
    assert first not in (at.chain.on.ada.ref, at.chain.on.ada.email)
    assert claims(at.cross(token))["sub"] == first == ForeignSubject.objects.get(is_ours=True).subject
    trusting(at.chain.on, THERE, subjects={"ada@there": at.chain.on.ada}, clients={"b-there": at.b.agent})
    assert claims(at.cross(at_again(at)))["sub"] == "ada@there"


def at_again(at: Border) -> str:
    token = at.chain.first()
    AccessToken.objects.filter(revoked_at=None).update(subject_ref=at.chain.on.ada.ref)
    return token


@pytest.mark.spec(DRAFT, "2.4", "a name that we made asserts nobody here")
def test_a_name_that_we_made_is_no_map(at: Border) -> None:
    token = at.chain.first()
    AccessToken.objects.update(subject_ref=at.chain.on.ada.ref)
    name = claims(at.cross(token))["sub"]
    assert error(present(at.b.machine, THERE.grant(sub=name, client_id="b-there"))) == "invalid_grant"


@pytest.mark.spec(DRAFT, "2.3.1", "to a server that we speak to, never wider, and never onward from what has ended")
@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"audience": None}, "invalid_target"),
        ({"audience": "https://idp.unknown.example"}, "invalid_target"),
        ({"audience": "https://c.example/"}, "invalid_target"),
        ({"audience": [THERE.issuer, "https://c.example/"]}, "invalid_target"),
        ({"resource": "https://c.example/"}, "invalid_target"),
        ({"audience": "http://localhost:8000"}, "invalid_target"),
        ({"scope": "accounts.read x.read"}, "invalid_scope"),
        ({"authorization_details": '[{"type": "payment_initiation"}]'}, "invalid_authorization_details"),
        ({"subject_token": "x"}, "invalid_request"),
        ({"subject_token_type": TXN}, "invalid_request"),
        ({"subject_token_type": JWT}, "invalid_request"),
    ],
)
def test_what_is_not_right_is_refused(at: Border, form: dict[str, Any], code: str) -> None:
    assert error(at.cross(at.chain.first(), **form)) == code
    assert AccessToken.of_every_kind.count() == 1


@pytest.mark.spec("draft-klrc-aiagent-auth", "10.4", "the limits of the first grant follow across domains")
def test_it_hangs_in_the_tree_and_needs_a_grant(at: Border) -> None:
    token = at.chain.first()
    assert at.cross(token).status_code == 200
    held = DelegationGrant.objects.get(resource=at.there)
    revoke_grant(held, by=BY, now=clock.now())
    assert not AccessToken.of_every_kind.filter(kind=TokenKind.JWT_GRANT, revoked_at=None).exists()
    assert error(at.cross(token)) == "invalid_target"


@pytest.mark.spec("draft-klrc-aiagent-auth", "10.6", "revoking the first grant ends what was said elsewhere")
def test_revoking_the_first_grant_ends_it(at: Border) -> None:
    assert at.cross(at.chain.first()).status_code == 200
    revoke_grant(DelegationGrant.objects.get(agent=at.chain.on.agent, resource=at.b.resource), by=BY, now=clock.now())
    assert not AccessToken.of_every_kind.filter(revoked_at=None).exists()


@pytest.mark.spec(DRAFT, "2.3", "a key that is proved is named, and a transaction token may cross too")
def test_a_transaction_crosses_and_a_key_is_named(at: Border, settings: Any) -> None:
    settings.TRUST_DOMAIN = "acme.example"
    key, token = Key(), at.chain.first()
    said = claims(at.cross(token, dpop=key.proof()))
    assert said["cnf"] == {"jkt": key.jkt}
    txn = to_txn(at.b, token).json()["access_token"]
    assert claims(at.cross(txn, subject_token_type=TXN))["aud"] == THERE.issuer
    assert error(at.cross(token, subject_token_type=ACCESS, requested_token_type="x")) == "invalid_request"
