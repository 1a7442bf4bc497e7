"""Clients that publish what they are. draft-ietf-oauth-client-id-metadata-document.

The outside server is the one thing that is played: it answers through the fetcher's own type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache

from aims.authorization.client_errors import ClientAddressRefused, DocumentRefused
from aims.authorization.client_models import ClientRegistration
from aims.authorization.known_clients import Standing, client_for
from aims.authorization.registration_states import RegistrationState
from aims.authorization.services import admission, documents, registrations, trust_rules
from aims.credentials.queries import keys_of
from aims.identifier.models import Agent
from aims.identifier.services import RegisterAgent, register_agent
from aims.identifier.uri import IdentifierRefused
from aims.kit import clock
from aims.kit.fetch import Fetched, FetchRefused
from aims.people.errors import TooManyAttempts
from aims.people.models import User
from audit.models import InboxRow
from tests.protocol.registration.desk import jwks_of, new_key
from tests.support.cast import Acting
from tests.support.oauth_client import BY, Machine

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
URL = "https://nimble.example/oauth/client.json"
CALLBACK = "https://nimble.example/callback"
DRAFT = "draft-ietf-oauth-client-id-metadata-document"


@dataclass
class Site:
    """A web server with one metadata document. asked: how often it was."""

    url: str = URL
    members: dict[str, Any] = field(default_factory=lambda: {"redirect_uris": [CALLBACK], "client_name": "Nimble"})
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    status: int = 200
    body: bytes | None = None
    trouble: Exception | None = None
    asked: int = 0

    def get(self, url: str) -> Fetched:
        self.asked += 1
        if self.trouble:
            raise self.trouble
        document = {"client_id": self.url} | self.members
        body = json.dumps(document).encode() if self.body is None else self.body
        return Fetched(status=self.status, headers=self.headers, body=body)

    def seen(self, *, at: datetime | None = None, address: str = "198.51.100.7") -> ClientRegistration:
        return documents.look_up(self.url, address=address, now=at or clock.now(), get=self.get)


@pytest.fixture(autouse=True)
def _nobody_asked_yet() -> None:
    cache.clear()


@pytest.fixture
def site() -> Site:
    return Site()


def admitted(row: ClientRegistration, owner: User) -> Agent:
    command = admission.AdmitClient(owner=owner, name="Nimble", purpose="Sorts mail", contact="ops@acme.example")
    return admission.admit(row, command, by=BY, now=clock.now())


def later(**time: int) -> datetime:
    return clock.now() + timedelta(**time)


@pytest.mark.spec(DRAFT, "4", "a published client is known by what its document says, and waits")
def test_a_published_client_waits(site: Site) -> None:
    row, known = site.seen(), client_for(URL)
    assert (row.kind, row.state, row.client_id) == ("document", RegistrationState.QUARANTINED, URL)
    assert (known.standing, known.host, known.calls_itself) == (Standing.WAITING, "nimble.example", "Nimble")


@pytest.mark.spec(
    "draft-ietf-wimse-identifier", "3", "an admitted one has its address as identifier, its host as trust domain"
)
def test_its_address_is_its_identifier(site: Site, ada: User) -> None:
    agent = admitted(site.seen(), ada)
    known = client_for(URL)
    assert (agent.identifier, agent.trust_domain.name) == (URL, "nimble.example")
    assert known.standing is Standing.KNOWN and known.is_public and known.redirect_uris == (CALLBACK,)


@pytest.mark.spec(DRAFT, "3", "https, a host, a path, and nothing else")
@pytest.mark.parametrize(
    "url",
    [
        "http://nimble.example/client.json",
        "https://nimble.example",
        "https://nimble.example/",
        "https://nimble.example/client.json#x",
        "https://nimble.example/client.json?v=1",
        "https://user@nimble.example/client.json",
        "https://nimble.example:8443/client.json",
        "https://nimble.example/a/../client.json",
        "https://nimble.example/./client.json",
        "https://nimble.example/%2e%2e/client.json",
        "https://Nimble.example/client.json",
        "HTTPS://nimble.example/client.json",
        "https://127.0.0.1/client.json",
        "https://[::1]/client.json",
        "https://169.254.169.254/latest/meta-data",
        "https://nimble.example/client json",
        "https://nimble.example\\@evil.example/client.json",
        "https://nimble.example/" + "x" * 2048,
        "https:///client.json",
    ],
)
def test_an_address_that_names_no_client_is_never_fetched(url: str) -> None:
    site = Site(url=url)
    with pytest.raises(ClientAddressRefused):
        site.seen()
    assert site.asked == 0 and not ClientRegistration.objects.exists()


@pytest.mark.spec(DRAFT, "6.5", "special-use addresses are refused, whatever name leads there")
def test_a_name_that_leads_inside_is_not_fetched() -> None:
    with pytest.raises(DocumentRefused, match="not a public address"):
        documents.look_up("https://localhost/client.json", address="198.51.100.7", now=clock.now())


BAD: list[tuple[str, dict[str, Any]]] = [
    ("not found", {"status": 404}),
    ("a redirect", {"status": 302}),
    ("no content", {"status": 204}),
    ("a page", {"headers": {"content-type": "text/html"}}),
    ("no kind", {"headers": {}}),
    ("no JSON", {"body": b"hello"}),
    ("empty", {"body": b""}),
    ("a list", {"body": b"[]"}),
    ("a member twice", {"body": b'{"client_id":"x","client_id":"https://nimble.example/oauth/client.json"}'}),
    ("no client_id", {"members": {"client_id": None}}),
    ("another client_id", {"members": {"client_id": "https://nimble.example/oauth/other.json"}}),
    ("only alike", {"members": {"client_id": "https://nimble.example:443/oauth/client.json"}}),
    ("a secret", {"members": {"client_secret": "x"}}),
    ("the end of a secret", {"members": {"client_secret_expires_at": 0}}),
    ("a method with a secret", {"members": {"token_endpoint_auth_method": "client_secret_basic"}}),
    ("another", {"members": {"token_endpoint_auth_method": "client_secret_jwt"}}),
    ("no redirect URI", {"members": {"redirect_uris": []}}),
    ("a symmetric key", {"members": {"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}}),
    ("a private key", {"members": {"jwks": {"keys": [new_key().as_dict(private=True)]}}}),
    ("keys inside", {"members": {"jwks_uri": "http://10.0.0.1/jwks"}}),
    ("keys twice", {"members": {"jwks": jwks_of(new_key()), "jwks_uri": "https://nimble.example/jwks"}}),
    ("a key method without keys", {"members": {"token_endpoint_auth_method": "private_key_jwt"}}),
    ("down", {"trouble": FetchRefused("unreachable", "it does not answer as it should")}),
    ("too large", {"trouble": FetchRefused("too_large", "the answer is larger than 5120 bytes")}),
]


@pytest.mark.spec(DRAFT, "4.1", "a document that is not there, or not right, is no client, and is not kept")
@pytest.mark.parametrize("given", [pytest.param(given, id=name) for name, given in BAD])
def test_a_document_that_is_wrong_is_no_client(given: dict[str, Any]) -> None:
    members = {"redirect_uris": [CALLBACK]} | given.get("members", {})
    site = Site(**{**given, "members": members})
    with pytest.raises(DocumentRefused):
        site.seen()
    assert not ClientRegistration.objects.exists() and client_for(URL).standing is Standing.UNKNOWN
    Site().seen()  # an error is not remembered
    assert client_for(URL).standing is Standing.WAITING


@pytest.mark.spec(DRAFT, "4.4", "cache headers count within our own bounds")
@pytest.mark.parametrize(
    ("control", "fresh"),
    [
        ("", timedelta(hours=1)),
        ("max-age=7200", timedelta(hours=2)),
        ("public, max-age=1", timedelta(minutes=5)),
        ("max-age=999999999", timedelta(hours=24)),
        ("no-store", timedelta(minutes=5)),
        ("max-age=7200, no-cache", timedelta(minutes=5)),
        ("max-age=-5", timedelta(hours=1)),
        ("s-max-age=5", timedelta(hours=1)),
    ],
)
def test_how_long_a_document_is_fresh(control: str, fresh: timedelta) -> None:
    assert documents.freshness({"cache-control": control}) == fresh


@pytest.mark.spec(DRAFT, "4.4", "what is fresh is not fetched, and what is not is asked for once a minute")
def test_a_document_is_fetched_when_it_is_due(site: Site) -> None:
    site.seen()
    site.seen(at=later(minutes=59))
    assert site.asked == 1
    site.trouble = FetchRefused("unreachable", "it is down")
    with pytest.raises(DocumentRefused):
        site.seen(at=later(minutes=61))
    site.seen(at=later(minutes=61, seconds=30))
    assert site.asked == 2


@pytest.mark.spec(DRAFT, "6.5", "a stranger can't make us fetch whatever they like, as often as they like")
def test_new_addresses_are_counted() -> None:
    now = clock.now()
    sites = [Site(url=f"https://many{number}.example/client.json", status=404) for number in range(11)]
    for site in sites[: documents.NEW_PER_MINUTE_SOURCE]:
        with pytest.raises(DocumentRefused):
            site.seen(at=now)
    with pytest.raises(TooManyAttempts):
        sites[-1].seen(at=now)
    assert sites[-1].asked == 0


@pytest.mark.spec(DRAFT, "4", "an admitted client stays one while its server is down")
def test_an_admitted_client_outlives_its_server(site: Site, ada: User) -> None:
    admitted(site.seen(), ada)
    site.trouble = FetchRefused("unreachable", "it is down")
    site.seen(at=later(hours=2))
    assert client_for(URL).standing is Standing.KNOWN


@pytest.mark.spec(DRAFT, "6.3", "a change of what was admitted waits for an admin, and stops the agent")
@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uris": ["https://evil.example/"]},
        {"redirect_uris": [CALLBACK, "https://nimble.example/other"]},
        {"grant_types": ["authorization_code", "refresh_token"]},
        {"token_endpoint_auth_method": "private_key_jwt", "jwks": jwks_of(new_key())},
    ],
)
def test_a_changed_document_waits_again(site: Site, ada: User, change: dict[str, Any]) -> None:
    agent = admitted(site.seen(), ada)
    site.members |= change
    row = site.seen(at=later(hours=2))
    agent.refresh_from_db()
    assert (row.state, agent.state, client_for(URL).standing) == ("quarantined", "suspended", Standing.WAITING)
    assert agent.application.redirect_uris == CALLBACK
    admitted(row, ada)
    agent.refresh_from_db()
    assert (agent.state, client_for(URL).standing) == ("active", Standing.KNOWN)


@pytest.mark.spec(DRAFT, "6.3", "keys rotate with the document: recorded, and the agent's version rises")
def test_its_keys_rotate_with_its_document(site: Site, ada: User) -> None:
    old, new = new_key(), new_key()
    site.members |= {"jwks": jwks_of(old)}
    agent = admitted(site.seen(), ada)
    version = agent.version
    site.members |= {"jwks": jwks_of(new)}
    row = site.seen(at=later(hours=2))
    agent.refresh_from_db()
    assert (row.state, agent.state) == ("admitted", "active") and agent.version > version
    assert [key.thumbprint for key in keys_of(agent.ref)] == [new.thumbprint()]
    assert any(b"credentials.keys" in bytes(entry.payload) for entry in InboxRow.objects.all())


@pytest.mark.spec(DRAFT, "4.1", "private_key_jwt is enforced: the key authenticates, and nothing else does")
def test_its_key_authenticates_it(site: Site, ada: User) -> None:
    key = new_key()
    site.members |= {"jwks": jwks_of(key), "grant_types": ["authorization_code", "client_credentials"]}
    admitted(site.seen(), ada)
    unknown = Machine(URL, new_key()).token(resource="https://pay.example/")
    assert (unknown.status_code, unknown.json()["error"]) == (401, "invalid_client")
    known = Machine(URL, key).token(resource="https://nowhere.example/")
    assert (known.status_code, known.json()["error"]) == (400, "invalid_target")
    nothing = Machine(URL).post("/oauth/token", {"grant_type": "client_credentials", "client_id": URL})
    assert nothing.status_code == 401


@pytest.mark.spec(DRAFT, "4.1", "a key that it publishes and somebody else holds is not taken")
def test_somebody_elses_key_is_not_taken(site: Site, ada: User, courier: Acting) -> None:
    key = new_key()
    site.members |= {"jwks": jwks_of(key)}
    agent = admitted(site.seen(), ada)
    site.members |= {"jwks": jwks_of(courier.machine.key)}
    with pytest.raises(DocumentRefused):
        site.seen(at=later(hours=2))
    assert [each.thumbprint for each in keys_of(agent.ref)] == [key.thumbprint()]


@pytest.mark.spec("RFC 7591", "5", "a rule by host admits what that host publishes, and nothing beside it")
def test_a_rule_by_host_admits_what_it_publishes(ada: User) -> None:
    trust_rules.add_rule("document_host", "nimble.example", owner=ada, by=BY, now=clock.now())
    assert Site().seen().state == RegistrationState.ADMITTED
    beside = "https://nimble.example.evil.example/client.json"
    assert Site(url=beside).seen().state == RegistrationState.QUARANTINED


@pytest.mark.spec("RFC 7591", "5", "what was forgotten waits anew when it is shown again")
def test_a_forgotten_client_waits_anew(site: Site) -> None:
    site.seen()
    registrations.expire_due(now=later(days=15))
    assert client_for(URL).standing is Standing.UNKNOWN
    assert site.seen(at=later(days=16)).state == RegistrationState.QUARANTINED


@pytest.mark.spec("draft-ietf-wimse-aims", "6", "nobody types such an identifier in")
def test_an_https_identifier_comes_from_a_document_only(ada: User) -> None:
    command = RegisterAgent(identifier=URL, name="Fake", purpose="x", contact="a@b.example", owner=ada)
    with pytest.raises(IdentifierRefused):
        register_agent(command, by=BY, now=clock.now())
