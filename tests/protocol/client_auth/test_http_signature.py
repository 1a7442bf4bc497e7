"""An agent signs its whole request with the key of its WIT. Spec: draft-ietf-wimse-http-signature, RFC 9421, RFC 9530."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.conf import settings as configured
from joserfc.jwk import ECKey

from aims.authorization.models import AccessToken
from aims.kit import clock
from tests.protocol.client_auth.conftest import READ, Town, refusal
from tests.support.workload import Workload, digest

pytestmark = [pytest.mark.django_db, pytest.mark.urls("aims.authorization.urls")]
DRAFT = "draft-ietf-wimse-http-signature"
INVALID = (401, "invalid_client")
ALL = ["@method", "@request-target", "content-type", "content-digest", "workload-identity-token"]


@pytest.fixture
def work(town: Town) -> Workload:
    town.trusts(town.domain.bundle(use="wit-svid"))
    town.registers("wimse_http_signature")
    return Workload(domain=town.domain, name=town.me)


@pytest.mark.spec(DRAFT, "3", "a signature over the request with the token's key authenticates the workload")
def test_a_signed_request_authenticates(town: Town, work: Workload) -> None:
    assert town.post(READ, **work.signed(READ)).status_code == 200
    assert AccessToken.objects.get().agent == town.on.agent
    turned = work.signed(READ, components=ALL[::-1], label="mine", digest=digest(urlencode(READ).encode(), "sha-512"))
    assert town.post(READ, **turned).status_code == 200


@pytest.mark.spec(DRAFT, "3.1", "method, target and what is there of type, digest and token are covered")
@pytest.mark.parametrize("left_out", ALL)
def test_what_must_be_covered_is(town: Town, work: Workload, left_out: str) -> None:
    signed = work.signed(READ, components=[name for name in ALL if name != left_out])
    assert refusal(town.post(READ, **signed)) == INVALID


@pytest.mark.spec(DRAFT, "3.1", "a transaction token that is there is covered too")
def test_a_transaction_token_is_covered(town: Town, work: Workload) -> None:
    assert refusal(town.post(READ, **work.signed(READ), HTTP_TXN_TOKEN="a.b.c")) == INVALID
    covered = work.signed(READ, fields={"txn-token": "a.b.c"})
    assert refusal(town.post(READ, **covered, HTTP_TXN_TOKEN="a.b.d")) == INVALID
    assert refusal(town.post(READ, **covered)) == INVALID  # it is not there
    assert town.post(READ, **covered, HTTP_TXN_TOKEN="a.b.c").status_code == 200


@pytest.mark.spec(DRAFT, "3.2", "each rule of the parameters refuses")
@pytest.mark.parametrize(
    "parameters",
    [
        {"keyid": "k"},
        {"alg": "ecdsa-p256-sha256"},
        {"created": None},
        {"created": 99_999_999_999},
        {"created": "1"},
        {"expires": None},
        {"expires": 1_000},
        {"expires": 99_999_999_999},
        {"nonce": None},
        {"nonce": ""},
        {"nonce": "n" * 256},
        {"nonce": 7},
        {"tag": None},
        {"tag": "web-bot-auth"},
        {"wimse-aud": None},
        {"wimse-aud": configured.ISSUER},
        {"wimse-aud": "https://testserver/oauth/token"},
        {"wimse-aud": f"{configured.ISSUER}/oauth/revoke"},
        {"wimse-sign-response": True},
        {"wimse-sign-response": "x"},
        {"wimse-req-nonce": "x"},
        {"other": "x"},
    ],
)
def test_other_parameters_are_refused(town: Town, work: Workload, parameters: dict[str, Any]) -> None:
    assert refusal(town.post(READ, **work.signed(READ, parameters=parameters))) == INVALID


@pytest.mark.spec("RFC 9530", "2", "the digest is that of the body which came")
def test_another_body_is_refused(town: Town, work: Workload) -> None:
    wider = READ | {"scope": "accounts.read drafts.write"}
    assert refusal(town.post(wider, **work.signed(READ))) == INVALID
    body = urlencode(READ).encode()
    wrong = [
        digest(b"another"),
        "md5=:AAAA:",
        "sha-256=AAAA",
        "",
        f"{digest(body)}, {digest(b'another', 'sha-512')}",
        digest(body).replace("sha-256", "sha-512"),
    ]
    for made in wrong:
        assert refusal(town.post(READ, **work.signed(READ, digest=made))) == INVALID, made
    assert town.post(READ, **work.signed(READ, digest=f"md5=:AAAA:, {digest(body)}")).status_code == 200


@pytest.mark.spec("RFC 9421", "3.2", "another method, target, key or token than the one that was signed is refused")
@pytest.mark.parametrize(
    "how",
    [{"method": "GET"}, {"target": "/oauth/revoke"}, {"target": "/oauth/token?"}, {"key": ECKey.generate_key("P-256")}],
)
def test_what_was_not_signed_is_refused(town: Town, work: Workload, how: dict[str, Any]) -> None:
    assert refusal(town.post(READ, **work.signed(READ, **how))) == INVALID


@pytest.mark.spec("RFC 9421", "4", "there is one signature, in the form that the profile has")
@pytest.mark.parametrize(
    "wrong",
    [
        {"HTTP_SIGNATURE": ""},
        {"HTTP_SIGNATURE": "wimse=:AAAA:"},
        {"HTTP_SIGNATURE": "wimse=AAAA"},
        {"HTTP_SIGNATURE": "other=:AAAA:"},
        {"HTTP_SIGNATURE": "wimse=:AAAA:, other=:AAAA:"},
        {"HTTP_SIGNATURE_INPUT": ""},
        {"HTTP_SIGNATURE_INPUT": "wimse"},
        {"HTTP_SIGNATURE_INPUT": 'wimse=("@method";req)'},
        {"HTTP_SIGNATURE_INPUT": 'wimse=("@method" "@method")'},
        {"HTTP_SIGNATURE_INPUT": 'wimse=("@method");created=1;created=2'},
        {"HTTP_SIGNATURE_INPUT": "wimse=(" + '"a" ' * 40 + ")"},
    ],
)
def test_another_form_is_refused(town: Town, work: Workload, wrong: dict[str, str]) -> None:
    assert refusal(town.post(READ, **work.signed(READ) | wrong)) == INVALID


@pytest.mark.spec(DRAFT, "3.2", "two signatures at once are refused, and a signature without its token is none")
def test_a_second_signature_is_refused(town: Town, work: Workload) -> None:
    signed = work.signed(READ)
    twice = signed | {name: f"{signed[name]}, x{signed[name]}" for name in ("HTTP_SIGNATURE", "HTTP_SIGNATURE_INPUT")}
    assert refusal(town.post(READ, **twice)) == INVALID
    alone = {name: value for name, value in signed.items() if name != "HTTP_WORKLOAD_IDENTITY_TOKEN"}
    assert refusal(town.post(READ, **alone)) == INVALID


@pytest.mark.spec(DRAFT, "3.2", "a nonce counts once")
def test_a_signature_counts_once(town: Town, work: Workload) -> None:
    signed = work.signed(READ)
    assert town.post(READ, **signed).status_code == 200
    assert refusal(town.post(READ, **signed)) == INVALID
    same = work.signed(READ, parameters={"nonce": "chosen"})
    assert town.post(READ, **same).status_code == 200
    again = work.signed(READ, parameters={"nonce": "chosen", "expires": clock.epoch_s() + 90})
    assert refusal(town.post(READ, **again)) == INVALID


@pytest.mark.spec(DRAFT, "3", "who registered proof tokens does not sign, and the other way round")
def test_the_registered_method_counts(town: Town, work: Workload) -> None:
    assert refusal(town.post(READ, **work.proved())) == INVALID
    town.registers("wimse_wit_wpt")
    assert refusal(town.post(READ, **work.signed(READ))) == INVALID
