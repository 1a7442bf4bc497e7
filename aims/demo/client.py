"""How the demo's processes speak OAuth: Authlib's session, and nothing of the console's own code."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import ECKey

from aims.demo.keys import Proving

ASSERTION_LIFETIME_S = 60
REQUEST_TIMEOUT_S = 30
LONG_POLL_S = 20
CIBA = "urn:openid:params:grant-type:ciba"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
TXN_TOKEN = "urn:ietf:params:oauth:token-type:txn_token"


class IssuerBoundAssertion(PrivateKeyJWT):  # type: ignore[misc]  # Authlib ships no types
    """``private_key_jwt`` with the issuer as only audience and a fresh, short-lived ``jti`` each time."""

    name = "private_key_jwt"

    def __init__(self, issuer: str) -> None:
        super().__init__(token_endpoint=issuer, alg="ES256")

    def sign(self, auth: Any, token_endpoint: str) -> Any:
        # Authlib writes the jti into the dictionary it is given: a shared one would repeat it.
        self.claims = {"exp": int(time.time()) + ASSERTION_LIFETIME_S}
        self.headers = {"alg": "ES256", "kid": auth.client_secret.kid}
        return super().sign(auth, token_endpoint)


@dataclass
class OAuthAnswer:
    """What an OAuth endpoint answered. ``retry_after_s``: how long it asks to wait."""

    status: int
    body: dict[str, Any]
    retry_after_s: int | None = None

    @property
    def error(self) -> str:
        return str(self.body.get("error", ""))


@dataclass
class Client:
    """An OAuth client that found its endpoints by discovery (RFC 8414). proving: a key for DPoP, None for who needs none."""

    issuer: str
    client_id: str
    key: ECKey
    proving: Proving | None = None
    metadata: dict[str, Any] = field(init=False)
    session: OAuth2Session = field(init=False)

    def __post_init__(self) -> None:
        answer = requests.get(f"{self.issuer}/.well-known/oauth-authorization-server", timeout=REQUEST_TIMEOUT_S)
        answer.raise_for_status()
        self.metadata = answer.json()
        if self.metadata["issuer"] != self.issuer:  # RFC 8414 §3.3
            raise ValueError("the metadata names another issuer")
        self.session = OAuth2Session(self.client_id, self.key, token_endpoint_auth_method="private_key_jwt")
        self.session.register_client_auth_method(IssuerBoundAssertion(self.issuer))

    def call(self, endpoint: str, form: dict[str, str], *, headers: dict[str, str] | None = None) -> OAuthAnswer:
        """Post a form with client authentication to an endpoint named as in the metadata."""
        answer = self._post(self.metadata[endpoint], form, headers or {})
        if self.proving and self.proving.learn(answer):  # RFC 9449 §8: once more, with the nonce
            answer = self._post(self.metadata[endpoint], form, headers or {})
        wait = answer.headers.get("Retry-After", "")
        return OAuthAnswer(answer.status_code, answer.json(), int(wait) if wait.isdigit() else None)

    def exchange(self, subject: str, kind: str, form: dict[str, str]) -> OAuthAnswer:
        """Exchange a token for one of our own. kind: of the token. form: what for. Spec: RFC 8693 §2.1."""
        said = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": kind}
        return self.call("token_endpoint", said | form)

    def _post(self, url: str, form: dict[str, str], headers: dict[str, str]) -> requests.Response:
        proof = {"DPoP": self.proving.proof("POST", url)} if self.proving else {}
        answer: requests.Response = self.session.post(
            url,
            data=form,
            headers={"Accept": "application/json", **headers, **proof},
            auth=self.session.client_auth("private_key_jwt"),
            withhold_token=True,
            allow_redirects=False,
            timeout=REQUEST_TIMEOUT_S,
        )
        return answer


def wait_for_token(client: Client, auth_req_id: str) -> OAuthAnswer:
    """Return the answer that ends the waiting: tokens, or why there are none. Spec: CIBA Core 1.0 §11."""
    while True:
        form = {"grant_type": CIBA, "auth_req_id": auth_req_id}
        answer = client.call("token_endpoint", form, headers={"Prefer": f"wait={LONG_POLL_S}"})
        if answer.error not in {"authorization_pending", "slow_down"}:
            return answer
        time.sleep(answer.retry_after_s or 5)
