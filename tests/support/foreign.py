"""Another domain's authorization server: it signs for real, and is trusted by the room's own verbs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from django.conf import settings
from joserfc.jwk import ECKey

from aims.authorization.services.trust import TrustServer, trust_server
from aims.authorization.trust_models import ForeignServer
from aims.credentials import services as credentials
from aims.kit import clock, jose
from tests.support.oauth_client import BY, PAY, Machine, Stage

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
PROFILES = ("chaining", "id-jag")
ISSUER = "https://idp.other.example"


@dataclass
class Foreign:
    """A server of elsewhere, which knows Ada as ``ada@there`` and Courier as ``courier-there``."""

    issuer: str = ISSUER
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    def grant(self, *, typ: str | None = "authorization-grant+jwt", **changed: Any) -> str:
        """Return a word of this server about Ada; None leaves a claim out."""
        now = clock.epoch_s()
        said = {
            "iss": self.issuer,
            "sub": "ada@there",
            "aud": settings.ISSUER,
            "client_id": "courier-there",
            "jti": uuid4().hex,
            "iat": now,
            "exp": now + 60,
            "scope": "accounts.read",
            "resource": PAY,
        }
        claims = {name: value for name, value in (said | changed).items() if value is not None}
        return jose.sign(claims, key=self.key, typ=str(typ), kid=self.key.thumbprint(), algorithm="ES256")

    def jag(self, **changed: Any) -> str:
        return self.grant(**({"typ": "oauth-id-jag+jwt"} | changed))


def trusting(on: Stage, foreign: Foreign, **changed: Any) -> ForeignServer:
    """Trust a server with everything, its keys given by hand."""
    terms: dict[str, Any] = {
        "issuer": foreign.issuer,
        "name": "Other",
        "accepts": PROFILES,
        "receives": PROFILES,
        "scopes": ("accounts.read", "accounts.list"),
        "subjects": {"ada@there": on.ada},
        "clients": {"courier-there": on.agent},
    }
    server, _changed = trust_server(TrustServer(**(terms | changed)), by=BY, now=clock.now())
    jwks = {"keys": [foreign.key.as_dict(private=False)]}
    credentials.register_keys(server.ref, jwks, by=BY, now=clock.now())
    return server


def present(who: Machine, assertion: str, *, dpop: str | None = None, **form: Any) -> Any:
    """Present an assertion at the token endpoint."""
    base = {"grant_type": JWT_BEARER, "assertion": assertion}
    sent = {name: value for name, value in (base | form).items() if value is not None}
    return who.post("/oauth/token", who.signed(sent), **({"headers": {"DPoP": dpop}} if dpop else {}))
