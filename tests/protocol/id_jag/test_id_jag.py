"""Identity assertions, given and taken. draft-ietf-oauth-identity-assertion-authz-grant."""

from __future__ import annotations

from typing import Any

import pytest

from aims.authorization.models import AccessToken, PairwiseSubject, TokenKind
from aims.credentials import queries as keys
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
from aims.kit import clock, jose
from aims.people.models import User
from tests.protocol.chaining.test_outgoing import THERE, Border, border
from tests.support.chains import JAG, TYPE, Link, claims, entries, error, make_chain
from tests.support.dpop import Key
from tests.support.foreign import Foreign, present, trusting
from tests.support.oauth_client import PAY, Stage, stage

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
DRAFT = "draft-ietf-oauth-identity-assertion-authz-grant"
OTHER = Foreign()
ID_TOKEN = TYPE + "id_token"


@pytest.fixture
def on(db: None) -> Stage:
    made = stage()
    trusting(made, OTHER)
    return made


@pytest.fixture
def at(db: None) -> Border:
    return border(make_chain("bc"))


def id_token(at: Border, *, purpose: KeyPurpose = KeyPurpose.ID_TOKEN, typ: str = "JWT", **changed: Any) -> str:
    """An ID token of ours for b about Ada."""
    now = clock.epoch_s()
    row, _is_new = PairwiseSubject.objects.get_or_create(person=at.chain.on.ada, agent=at.b.agent)
    said = {
        "iss": "http://localhost:8000",
        "sub": row.sub,
        "aud": at.b.machine.client_id,
        "iat": now,
        "exp": now + 300,
        "acr": "phr",
        "amr": ["hwk"],
        "auth_time": now - 9,
        "txn": "txn_1",
    }
    return signing.current(purpose).sign({k: v for k, v in (said | changed).items() if v is not None}, typ)


def ask(who: Link, token: str, **form: Any) -> Any:
    base: dict[str, Any] = {
        "audience": THERE.issuer,
        "scope": "accounts.read",
        "requested_token_type": JAG,
        "subject_token_type": ID_TOKEN,
        "resource": "https://api.other.example/",
    }
    return who.exchange(token, **(base | form))


@pytest.mark.spec(DRAFT, "4.3", "what an ID-JAG says, and how it is handed out")
def test_an_id_token_becomes_an_assertion_for_elsewhere(at: Border) -> None:
    key = Key()
    answer = ask(at.b, id_token(at), dpop=key.proof())
    said, body = claims(answer), answer.json()
    assert (body["token_type"], body["issued_token_type"], "refresh_token" in body) == ("N_A", JAG, False)
    assert body["expires_in"] <= 300
    assert (said["aud"], said["client_id"], said["scope"]) == (THERE.issuer, "b-there", "accounts.read")
    assert (said["resource"], said["acr"], said["cnf"]) == ("https://api.other.example/", "phr", {"jkt": key.jkt})
    assert said["sub"] not in (at.chain.on.ada.ref, PairwiseSubject.objects.get().sub)
    assert "email" not in said
    header = jose.parse(body["access_token"], algorithms=jose.ALGORITHMS, typ=("oauth-id-jag+jwt",)).header
    assert keys.own_key(str(header["kid"]), KeyPurpose.ID_JAG) is not None
    assert AccessToken.of_every_kind.get().kind == TokenKind.ID_JAG
    (entry,) = entries("authorization.foreign_grant.issued")
    assert (entry["data"]["profile"], entry["data"]["parent"]) == ("id-jag", None)


@pytest.mark.spec(DRAFT, "4.3", "an address is told only where that was agreed on")
def test_an_address_is_told_where_agreed(at: Border) -> None:
    trusting(at.chain.on, THERE, subjects={}, clients={"b-there": at.b.agent}, tells_email=True)
    said = claims(ask(at.b, id_token(at)))
    assert (said["email"], "email_verified" in said) == (at.chain.on.ada.email, False)


@pytest.mark.spec(DRAFT, "4.3", "the ID token is ours, for this client, and good")
@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"aud": "spiffe://acme.example/c"}, "invalid_grant"),
        ({"aud": ["spiffe://acme.example/b", "x"]}, "invalid_grant"),
        ({"aud": None}, "invalid_grant"),
        ({"iss": "https://other.example"}, "invalid_request"),
        ({"exp": 1}, "invalid_request"),
        ({"sub": "nobody"}, "invalid_request"),
        ({"typ": "at+jwt"}, "invalid_request"),
        ({"typ": "oauth-id-jag+jwt"}, "invalid_request"),
        ({"purpose": KeyPurpose.ACCESS_TOKEN}, "invalid_request"),
    ],
)
def test_another_id_token_is_refused(at: Border, changed: dict[str, Any], code: str) -> None:
    assert error(ask(at.b, id_token(at, **changed))) == code
    assert not AccessToken.of_every_kind.exists()


@pytest.mark.spec(DRAFT, "4.3", "for one server that we speak to, by a grant; other tokens are no proof of a sign-in")
@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"audience": None}, "invalid_target"),
        ({"audience": "https://idp.unknown.example"}, "invalid_target"),
        ({"audience": [THERE.issuer, "x"]}, "invalid_target"),
        ({"scope": "unknown"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"actor_token": "x", "actor_token_type": TYPE + "access_token"}, "invalid_request"),
        ({"subject_token_type": TYPE + "access_token"}, "invalid_request"),
        ({"subject_token_type": TYPE + "refresh_token"}, "invalid_request"),
        ({"subject_token_type": TYPE + "saml2"}, "invalid_request"),
    ],
)
def test_what_is_not_right_is_refused(at: Border, form: dict[str, Any], code: str) -> None:
    assert error(ask(at.b, id_token(at), **form)) == code
    c = at.chain.links[1]
    PairwiseSubject.objects.get_or_create(person=at.chain.on.ada, agent=c.agent, defaults={"sub": "c"})
    assert error(ask(c, id_token(at, aud=c.machine.client_id, sub="c"))) == "invalid_target"


@pytest.mark.spec(DRAFT, "5", "an ID-JAG is for one hop, and never for whoever issued it")
def test_we_give_no_token_for_our_own_assertion(at: Border) -> None:
    jag = ask(at.b, id_token(at)).json()["access_token"]
    assert error(present(at.b.machine, jag, resource=PAY, scope="accounts.read")) == "invalid_grant"
    said = dict(jose.parse(jag, algorithms=jose.ALGORITHMS, typ=("oauth-id-jag+jwt",)).claims)
    said["aud"] = "http://localhost:8000"
    ours = signing.current(KeyPurpose.ID_JAG).sign(said, "oauth-id-jag+jwt")
    assert error(present(at.b.machine, ours, resource=PAY, scope="accounts.read")) == "invalid_grant"


@pytest.mark.spec(DRAFT, "4.4", "it may be presented again until it expires; no refresh token")
def test_a_trusted_assertion_becomes_a_token(on: Stage) -> None:
    jag = OTHER.jag()
    for _each in range(2):
        answer = present(on.courier, jag)
        assert (claims(answer)["sub"], "refresh_token" in answer.json()) == (on.ada.ref, False)
    assert entries("authorization.foreign_grant.accepted")[0]["data"]["profile"] == "id-jag"


@pytest.mark.spec(DRAFT, "4.4", "a verified address tells who it is, where that was agreed on")
@pytest.mark.parametrize(
    ("matches", "email", "verified", "status"),
    [
        (True, "ada@acme.example", True, 200),
        (True, "Ada@Acme.example", True, 200),
        (True, "ada@acme.example", False, 400),
        (True, "ada@acme.example", "true", 400),
        (True, "nobody@acme.example", True, 400),
        (False, "ada@acme.example", True, 400),
    ],
)
def test_an_address_tells_who_it_is(on: Stage, matches: bool, email: str, verified: object, status: int) -> None:
    trusting(on, OTHER, matches_email=matches, subjects={})
    word: dict[str, Any] = {"sub": "00u1", "email": email, "email_verified": verified}
    assert present(on.courier, OTHER.jag(**word)).status_code == status
    assert error(present(on.courier, OTHER.grant(**word))) == "invalid_grant"
    assert User.objects.count() == 1


@pytest.mark.spec(DRAFT, "4.4.1", "typ, audience, client and key")
@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://b.example"},
        {"aud": ["http://localhost:8000", "https://b.example"]},
        {"client_id": None},
        {"client_id": "somebody-else"},
        {"jti": None},
        {"exp": 1},
        {"sub": "nobody@there"},
        {"cnf": {"jkt": "x"}},
        {"iss": "https://idp.unknown.example"},
    ],
)
def test_an_assertion_that_is_not_right_is_refused(on: Stage, changed: dict[str, Any]) -> None:
    assert error(present(on.courier, OTHER.jag(**changed))) == "invalid_grant"


@pytest.mark.spec(DRAFT, "4.4", "each profile has to be trusted by itself")
def test_each_profile_is_trusted_by_itself(on: Stage) -> None:
    trusting(on, OTHER, accepts=("chaining",))
    assert error(present(on.courier, OTHER.jag())) == "invalid_grant"
    trusting(on, OTHER, accepts=("id-jag",))
    assert error(present(on.courier, OTHER.grant())) == "invalid_grant"
    assert present(on.courier, OTHER.jag(aud=["http://localhost:8000"])).status_code == 200
