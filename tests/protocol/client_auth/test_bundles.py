"""Trust bundles: given or fetched, newer only, and never from a private address. Spec: SPIFFE Trust Domain and Bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from aims.credentials import services as credentials
from aims.credentials.errors import BundleRefused
from aims.credentials.models import TrustBundle
from aims.credentials.queries import bundle_of
from aims.credentials.services.bundles import refresh_bundles
from aims.identifier.models import TrustDomain
from aims.identifier.services import register_trust_domain
from aims.kit import clock
from aims.kit.fetch import FetchRefused
from audit.models import InboxRow
from tests.support.domain import Domain
from tests.support.oauth_client import BY

pytestmark = pytest.mark.django_db
URL = "https://bundles.acme.example/acme.json"
SPEC = "SPIFFE Trust Domain and Bundle"


@pytest.fixture
def acme(db: None) -> TrustDomain:
    return register_trust_domain("acme.example", by=BY, now=clock.now())


def given(acme: TrustDomain, document: object) -> bool:
    return credentials.set_bundle(acme, document, by=BY, now=clock.now())


def answering(*answers: object) -> Callable[[str], bytes]:
    left = list(answers)

    def get(url: str) -> bytes:
        answer = left.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return json.dumps(answer).encode()

    return get


def swept(at: datetime, *answers: object) -> int:
    return refresh_bundles(now=at, get=answering(*answers))


def entries(word: bytes) -> int:
    return sum(word in bytes(row.payload) for row in InboxRow.objects.all())


@pytest.mark.spec(SPEC, "4.1.2", "a sequence never goes back, nor away, nor stands still under another content")
@pytest.mark.parametrize("sequence", [6, 7, None])
def test_the_sequence_never_goes_back(acme: TrustDomain, sequence: int | None) -> None:
    domain = Domain()
    assert given(acme, domain.bundle(spiffe_sequence=7))
    assert not given(acme, domain.bundle(spiffe_sequence=7))
    with pytest.raises(BundleRefused):
        given(acme, Domain().bundle(spiffe_sequence=sequence))
    assert given(acme, Domain().bundle(spiffe_sequence=8))
    credentials.drop_bundle(acme, by=BY)
    assert bundle_of("acme.example") is None
    assert given(acme, domain.bundle(spiffe_sequence=1))  # begun anew, by an admin's hand
    assert entries(b"credentials.trust_bundle.changed") == 3


@pytest.mark.spec(SPEC, "4", "what is no bundle is refused, and what we hold stays")
@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "{}",
        {},
        {"keys": {}},
        {"keys": ["x"]},
        {"keys": [], "spiffe_sequence": -1},
        {"keys": [], "spiffe_sequence": True},
        {"keys": [], "spiffe_sequence": "2"},
        {"keys": [], "spiffe_sequence": 2**63},
        {"keys": [], "spiffe_refresh_hint": 1.5},
        {"keys": [{"use": "x509-svid", "kty": "EC", "x5c": ["!"]}], "spiffe_sequence": 2},
        {"keys": [{"use": "x509-svid", "kty": "EC", "x5c": ["AAAA"]}], "spiffe_sequence": 2},
        {"keys": [{"use": "jwt-svid", "kty": "EC", "d": "AA", "kid": "k"}], "spiffe_sequence": 2},
        {"keys": [{"use": "jwt-svid", "kty": "EC", "crv": "P-256"}], "spiffe_sequence": 2},
        {"keys": [{"use": "other"}] * 101, "spiffe_sequence": 2},
    ],
)
def test_what_is_no_bundle_is_refused(acme: TrustDomain, wrong: object) -> None:
    given(acme, Domain().bundle())
    before = bundle_of("acme.example")
    with pytest.raises(BundleRefused):
        given(acme, wrong)
    assert bundle_of("acme.example") == before


@pytest.mark.spec(SPEC, "4.2.2", "a certificate that is no CA's is no authority, and one kid is one key")
def test_an_authority_is_a_ca(acme: TrustDomain) -> None:
    import base64

    domain = Domain()
    leaf = base64.b64encode(domain.svid("spiffe://acme.example/a").der).decode()
    with pytest.raises(BundleRefused):
        given(acme, {"keys": [{"use": "x509-svid", "kty": "EC", "x5c": [leaf]}]})
    twice = domain.bundle()
    twice["keys"].append(twice["keys"][1] | {"use": "wit-svid"})
    with pytest.raises(BundleRefused):
        given(acme, twice)


@pytest.mark.spec(SPEC, "4.2", "a key of another kind or use is passed over, and the rest counts")
def test_unknown_keys_are_passed_over(acme: TrustDomain) -> None:
    document = Domain().bundle()
    document["keys"] += [{"kty": "EC"}, {"use": "x509-svid", "kty": "EC"}, {"use": "jwt-svid", "kty": "XX", "kid": "x"}]
    given(acme, document)
    bundle = bundle_of("acme.example")
    assert bundle is not None
    assert (len(bundle.authorities), len(bundle.jwt_keys)) == (1, 1)


@pytest.mark.spec("SPIFFE Federation", "5.2.1", "it is fetched from the configured address, as often as it hints")
def test_a_bundle_is_fetched_when_it_is_due(acme: TrustDomain) -> None:
    now, domain = clock.now(), Domain()
    assert credentials.set_bundle_endpoint(acme, URL, by=BY, now=now)
    assert swept(now, domain.bundle()) == 1
    assert bundle_of("acme.example") is not None
    assert swept(now + timedelta(seconds=299)) == 0
    fresh = Domain().bundle(spiffe_sequence=2, spiffe_refresh_hint=1)
    assert swept(now + timedelta(seconds=301), fresh) == 1
    assert swept(now + timedelta(seconds=340)) == 0  # not more often than once a minute
    held = TrustBundle.objects.get()
    assert (held.sequence, held.failure) == (2, "")


@pytest.mark.spec("SPIFFE Federation", "5.2.3", "where it can't be had what we hold stays, and that is said once")
def test_a_failure_keeps_what_we_hold(acme: TrustDomain) -> None:
    now, domain = clock.now(), Domain()
    given(acme, domain.bundle(spiffe_sequence=5))
    credentials.set_bundle_endpoint(acme, URL, by=BY, now=now)
    for minutes, answer in enumerate(
        [FetchRefused("unreachable", "x"), FetchRefused("unreachable", "x"), Domain().bundle()]
    ):
        assert swept(now + timedelta(minutes=6 * minutes), answer) == 0
    held = TrustBundle.objects.get()
    assert (held.sequence, held.failure) == (5, "sequence")
    assert entries(b"credentials.trust_bundle.not_fetched") == 2
    assert swept(now + timedelta(hours=1), domain.bundle(spiffe_sequence=5)) == 1
    assert TrustBundle.objects.get().failure == ""


@pytest.mark.spec("SPIFFE Federation", "5.1", "the address is https, and public")
@pytest.mark.parametrize("url", ["http://a.example/b", "ftp://a.example/", "https://u@a.example/", "https://", "x"])
def test_another_address_is_refused(acme: TrustDomain, url: str) -> None:
    with pytest.raises(FetchRefused):
        credentials.set_bundle_endpoint(acme, url, by=BY, now=clock.now())


@pytest.mark.spec("SPIFFE Federation", "5.1", "a private address is never asked")
@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "localhost"])
def test_a_private_address_is_never_asked(acme: TrustDomain, host: str) -> None:
    now = clock.now()
    credentials.set_bundle_endpoint(acme, f"https://{host}/bundle", by=BY, now=now)
    assert refresh_bundles(now=now) == 0
    assert TrustBundle.objects.get().failure == "private_address"


def test_an_address_that_was_taken_away_meanwhile_gives_nothing(acme: TrustDomain) -> None:
    now = clock.now()
    credentials.set_bundle_endpoint(acme, URL, by=BY, now=now)

    def get(url: str) -> bytes:
        credentials.set_bundle_endpoint(acme, "", by=BY, now=now)
        return json.dumps(Domain().bundle()).encode()

    assert refresh_bundles(now=now, get=get) == 0
    assert bundle_of("acme.example") is None


def test_what_the_log_holds_is_hashes(acme: TrustDomain) -> None:
    given(acme, Domain().bundle())
    credentials.set_bundle_endpoint(acme, URL, by=BY, now=clock.now())
    said: Any = b"".join(bytes(row.payload) for row in InboxRow.objects.all())
    assert b"bundles.acme.example" not in said
    assert b"x5c" not in said
