"""Whose a refresh token is: of a client that authenticates its own, of a public client its key's and its certificate's.

Spec: RFC 8705 §4, §7.1; RFC 9449 §5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from aims.authorization.models import Application, AuthorizationCode, RefreshToken
from aims.authorization.services.clients import ClientSettings, configure_client
from aims.authorization.services.families import live_families
from aims.credentials import services as credentials
from aims.kit import clock
from tests.support.codes import CODE, REDIRECT, REFRESH, Agreed, agreed, claims, error, granted
from tests.support.domain import Domain, Shown
from tests.support.dpop import Key
from tests.support.oauth_client import BY, stage

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
PROXY = "10.0.0.7"


@dataclass
class Wallet:
    """Courier, and the certificates of its trust domain."""

    ada: Agreed
    domain: Domain

    def shown(self) -> Shown:
        return self.domain.svid(self.ada.on.courier.client_id)

    def is_public(self, **terms: Any) -> None:
        Application.objects.update(token_endpoint_auth_method="none", client_type="public", **terms)

    def signs_in_by_certificate(self) -> None:
        credentials.set_bundle(self.ada.on.agent.trust_domain, self.domain.bundle(), by=BY, now=clock.now())
        terms = ClientSettings(auth_method="spiffe_x509", redirect_uris=(REDIRECT,))
        configure_client(self.ada.on.agent, terms, by=BY, now=clock.now())

    def redeem(self, **proved: Any) -> Any:
        form = {"grant_type": CODE, "code": self.ada.code(), "redirect_uri": REDIRECT}
        return self.post(form | {"code_verifier": self.ada.verifier}, **proved)

    def refresh(self, token: str, **proved: Any) -> Any:
        return self.post({"grant_type": REFRESH, "refresh_token": token}, **proved)

    def post(
        self, form: dict[str, Any], *, shown: Shown | None = None, key: Key | None = None, signed: bool = False
    ) -> Any:
        machine = self.ada.on.courier
        form = machine.signed(form) if signed else form | {"client_id": machine.client_id}
        headers = {"DPoP": key.proof()} if key else {}
        return machine.post(
            "/oauth/token", form, headers=headers, REMOTE_ADDR=PROXY, **(shown.headers if shown else {})
        )


@pytest.fixture
def wallet(db: None, settings: Any) -> Wallet:
    settings.CLIENT_CERT_PROXIES = [PROXY]
    return Wallet(agreed(stage()), Domain())


@pytest.mark.spec(
    "RFC 8705", "7.1", "of a client that authenticates, a refresh token is bound to that and not to a key"
)
def test_a_client_that_signs_in_by_certificate_may_renew_it(wallet: Wallet) -> None:
    wallet.signs_in_by_certificate()
    first = granted(wallet.redeem(shown=wallet.shown()))
    renewed = wallet.shown()
    second = granted(wallet.refresh(first["refresh_token"], shown=renewed))
    assert claims(second["access_token"])["cnf"] != claims(first["access_token"])["cnf"]
    assert error(wallet.refresh(second["refresh_token"]), 401) == "invalid_client"
    strangers = Domain().svid(wallet.ada.on.courier.client_id)
    assert error(wallet.refresh(second["refresh_token"], shown=strangers), 401) == "invalid_client"
    granted(wallet.refresh(second["refresh_token"], shown=renewed))


@pytest.mark.spec("RFC 8705", "3", "each new access token is bound to the certificate that this request shows")
def test_an_assertion_refreshes_for_another_certificate(wallet: Wallet) -> None:
    Application.objects.update(tls_client_certificate_bound_access_tokens=True)
    first = granted(wallet.redeem(shown=wallet.shown(), signed=True))
    assert error(wallet.refresh(first["refresh_token"], signed=True)) == "invalid_request"  # it registered to show one
    other = wallet.shown()
    second = granted(wallet.refresh(first["refresh_token"], shown=other, signed=True))
    assert claims(second["access_token"])["cnf"].keys() == {"x5t#S256"}
    assert claims(second["access_token"])["cnf"] != claims(first["access_token"])["cnf"]


@pytest.mark.spec("RFC 8705", "4", "of a public client, a refresh token is bound to the certificate that it began with")
def test_a_public_client_refreshes_with_its_certificate_only(wallet: Wallet) -> None:
    wallet.is_public(tls_client_certificate_bound_access_tokens=True)
    mine = wallet.shown()
    first = granted(wallet.redeem(shown=mine))
    token = first["refresh_token"]
    assert error(wallet.refresh(token)) == "invalid_request"
    assert error(wallet.refresh(token, shown=wallet.shown())) == "invalid_grant"
    assert error(wallet.refresh(token, shown=wallet.shown(), key=Key())) == "invalid_grant"
    assert RefreshToken.objects.get().used_at is None
    second = granted(wallet.refresh(token, shown=mine))
    assert claims(second["access_token"])["cnf"] == claims(first["access_token"])["cnf"]


@pytest.mark.spec("RFC 9449", "5", "of a public client, a refresh token is bound to the key that it began with")
def test_a_public_client_refreshes_with_its_key_only(wallet: Wallet) -> None:
    wallet.is_public()
    key = Key()
    token = granted(wallet.redeem(key=key))["refresh_token"]
    for proved in ({}, {"key": Key()}, {"shown": wallet.shown()}, {"shown": wallet.shown(), "key": Key()}):
        assert error(wallet.refresh(token, **proved)) == "invalid_grant"
    granted(wallet.refresh(token, key=key))


@pytest.mark.spec("RFC 9449", "5", "a public client that began with both goes on with both")
def test_a_public_client_with_two_keys_needs_both(wallet: Wallet) -> None:
    wallet.is_public(tls_client_certificate_bound_access_tokens=True)
    mine, key = wallet.shown(), Key()
    first = granted(wallet.redeem(shown=mine, key=key))
    assert claims(first["access_token"])["cnf"].keys() == {"x5t#S256", "jkt"}
    token = first["refresh_token"]
    assert error(wallet.refresh(token, shown=mine)) == "invalid_grant"
    assert error(wallet.refresh(token, shown=wallet.shown(), key=key)) == "invalid_grant"
    granted(wallet.refresh(token, shown=mine, key=key))


@pytest.mark.spec(
    "RFC 8705", "7.1", "who has seen a used token of a public client, and not its certificate, ends nothing"
)
def test_a_thief_without_the_certificate_ends_nothing(wallet: Wallet) -> None:
    wallet.is_public(tls_client_certificate_bound_access_tokens=True)
    mine = wallet.shown()
    used = granted(wallet.redeem(shown=mine))["refresh_token"]
    granted(wallet.refresh(used, shown=mine))
    assert error(wallet.refresh(used, shown=wallet.shown())) == "invalid_grant"
    assert live_families(now=clock.now()).count() == 1
    assert error(wallet.refresh(used, shown=mine)) == "invalid_grant"
    assert not live_families(now=clock.now()).exists()


@pytest.mark.spec("RFC 6749", "5.2", "another client that authenticates has no use for a refresh token")
def test_a_refresh_token_is_of_one_client(wallet: Wallet) -> None:
    token = granted(wallet.redeem(signed=True))["refresh_token"]
    code = AuthorizationCode.objects.get()
    assert (code.jkt, code.x5t_s256) == ("", "")  # authentication is what binds it
    assert error(wallet.refresh(token), 401) == "invalid_client"  # no public client: it has registered a method
    granted(wallet.refresh(token, signed=True))
