"""Every kind of token that we issue, or are sent, at every place that takes one: each is taken in its own place only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from django.conf import settings
from django.test import Client as HttpClient
from pytest_django import Settings

from aims.credentials import queries as keys
from aims.credentials import services as credentials
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
from aims.kit import clock, jose
from aims.resource_server import access_token, jws, txn_token
from aims.resource_server.errors import Refused
from aims.resource_server.keys import keys_of
from tests.protocol.chaining.test_outgoing import Border, border
from tests.protocol.id_jag.test_id_jag import ask, id_token
from tests.support.chains import ACCESS, DOMAIN, TXN, TYPE, grant, make_chain, to_txn
from tests.support.foreign import present
from tests.support.oauth_client import BY, Machine

pytestmark = pytest.mark.django_db
API = "/api/v1/agents/"
# Where each kind is taken. An assertion of an agent about itself counts wherever it is asked for, once.
LAWFUL = {
    "access token": {"subject: access token", "introspection", "resource server"},
    "transaction token": {"subject: transaction token", "introspection of transactions", "header Txn-Token"},
    "ID token": {"subject: ID token"},
    "grant for elsewhere": set(),
    "ID-JAG": set(),
    "receipt": set(),
    "assertion": {"client assertion", "JWT grant", "subject: self-signed"},
}
PURPOSES = {
    "at+jwt": KeyPurpose.ACCESS_TOKEN,
    "txntoken+jwt": KeyPurpose.TXN_TOKEN,
    "JWT": KeyPurpose.ID_TOKEN,
    "authorization-grant+jwt": KeyPurpose.JWT_GRANT,
    "oauth-id-jag+jwt": KeyPurpose.ID_JAG,
    "approval-receipt+jwt": KeyPurpose.RECEIPT,
}


@pytest.fixture
def at(db: None, settings: Settings) -> Border:
    settings.TRUST_DOMAIN = DOMAIN
    made = border(make_chain("bc"))
    grant(made.chain.on, made.b.agent, made.b.resource)
    return made


def makers(at: Border) -> Mapping[str, Callable[[], str]]:
    """Return what makes a good token of each kind."""
    receipt = {"iss": settings.ISSUER, "aud": settings.ISSUER, "sub": at.b.machine.client_id}
    access = at.chain.first()
    return {
        "access token": lambda: access,
        "transaction token": lambda: str(to_txn(at.b, access).json()["access_token"]),
        "ID token": lambda: id_token(at),
        "grant for elsewhere": lambda: str(at.cross(access).json()["access_token"]),
        "ID-JAG": lambda: str(ask(at.b, id_token(at)).json()["access_token"]),
        "receipt": lambda: signing.current(KeyPurpose.RECEIPT).sign(receipt, "approval-receipt+jwt"),
        "assertion": lambda: at.b.machine.assertion(scope="accounts.read"),
    }


def places(at: Border) -> Mapping[str, Callable[[str], bool]]:
    """Return whether each place takes a token, for whoever would be right there."""
    b, server = at.b, Machine(at.b.resource.identifier)
    credentials.register_keys(b.resource.ref, server.jwks, by=BY, now=clock.now())
    held = keys_of(keys.published_jwks())
    onward = {"resource": at.chain.links[1].resource.identifier, "scope": "accounts.read"}
    common: dict[str, Any] = {"keys": held.get, "algorithms": jws.ALGORITHMS, "skew_s": 5}

    def introspects(token: str, **more: str) -> bool:
        return bool(server.post("/oauth/introspect", server.signed({"token": token} | more)).json()["active"])

    def passes(check: Callable[[], object]) -> bool:
        try:
            check()
        except Refused:
            return False
        return True

    def is_resource(token: str) -> bool:
        mine = common | {"issuer": settings.ISSUER, "identifier": b.resource.identifier}
        return passes(lambda: access_token.check(token, now=clock.now().timestamp(), **mine))

    def is_header(token: str) -> bool:
        mine = common | {"trust_domain": DOMAIN, "issuer": settings.ISSUER}
        return passes(lambda: txn_token.check([token], now=clock.now().timestamp(), **mine))

    def manages(token: str) -> bool:
        headers = {"authorization": f"Bearer {token}"}
        return bool(HttpClient().get(API, headers=headers).status_code == 200)

    def authenticates(token: str) -> bool:
        form = {"grant_type": "client_credentials", "client_assertion": token, **onward}
        return bool(b.machine.post("/oauth/token", b.machine.signed(form)).status_code != 401)

    def is_actor(token: str) -> bool:
        actor = {"actor_token": token, "actor_token_type": ACCESS}
        return is_fine(b.exchange(at.chain.first(), **onward, **actor))

    self_signed: dict[str, Any] = {"subject_token_type": TYPE + "self_signed", "resource": b.resource.identifier}
    return {
        "subject: access token": lambda token: is_fine(b.exchange(token, **onward)),
        "subject: transaction token": lambda token: is_fine(to_txn(b, token, subject_token_type=TXN)),
        "subject: self-signed": lambda token: is_fine(to_txn(b, token, **self_signed)),
        "subject: ID token": lambda token: is_fine(ask(b, token)),
        "actor": is_actor,
        "introspection": introspects,
        "introspection of transactions": lambda token: (
            introspects(token, token_type_hint=TXN) and not introspects(token)
        ),
        "JWT grant": lambda token: is_fine(
            present(b.machine, token, resource=b.resource.identifier, scope="accounts.read")
        ),
        "client assertion": authenticates,
        "management API": manages,
        "resource server": is_resource,
        "header Txn-Token": is_header,
    }


def is_fine(answer: Any) -> bool:
    assert answer.status_code in (200, 400, 401), answer.content
    return bool(answer.status_code == 200)


@pytest.mark.spec("RFC 8725", "3.11", "explicit types: a token of one kind is taken in no other's place")
def test_each_kind_is_taken_in_its_own_place_only(at: Border) -> None:
    made, takers = makers(at), places(at)
    taken = {kind: {name for name, takes in takers.items() if takes(make())} for kind, make in made.items()}
    assert taken == LAWFUL


@pytest.mark.spec("RFC 8725", "3.11", "with the claims of the right kind, signed by us, under another type or key")
def test_another_type_or_key_is_refused_whatever_the_claims_say(at: Border) -> None:
    held = {kind: make() for kind, make in makers(at).items()}
    takers, wrong = places(at), []
    for kind, place in (
        ("access token", "resource server"),
        ("transaction token", "header Txn-Token"),
        ("ID token", "subject: ID token"),
    ):
        parsed = jose.parse(held[kind], algorithms=jose.ALGORITHMS, typ=[typ.lower() for typ in PURPOSES])
        own = str(parsed.header["typ"])
        takes = takers[place]
        assert takes(held[kind]), place
        for typ, purpose in PURPOSES.items():
            if typ != own and takes(signing.current(purpose).sign(parsed.claims, typ)):
                wrong.append((place, typ))
    ours = signing.current(KeyPurpose.ACCESS_TOKEN).sign(
        jose.parse(held["ID token"], algorithms=jose.ALGORITHMS, typ=["jwt"]).claims, "JWT"
    )
    assert not takers["subject: ID token"](ours), "another of our keys"
    assert wrong == []
