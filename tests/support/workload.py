"""A workload with a WIT: it proves its key by proof tokens and by signatures over the whole request."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django.conf import settings
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from aims.kit import clock, jose
from aims.kit.ids import b64url
from tests.support.domain import Domain
from tests.support.oauth_client import MEDIA_TYPE

TOKEN = "/oauth/token"


def hashed(value: str) -> str:
    return b64url(hashlib.sha256(value.encode()).digest())


@dataclass
class Workload:
    """A workload of a domain, with a key of its own."""

    domain: Domain
    name: str
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))

    @property
    def jwk(self) -> dict[str, Any]:
        public = self.key.as_dict(private=False)
        return {name: public[name] for name in ("kty", "crv", "x", "y")} | {"alg": "ES256"}

    def wit(self, **changed: Any) -> str:
        return self.domain.wit(self.name, changed.pop("jwk", self.jwk), **changed)

    def wpt(self, wit: str, *, typ: str = "wpt+jwt", path: str = TOKEN, key: Any = None, **changed: Any) -> str:
        claims = {
            "aud": settings.ISSUER + path,
            "exp": clock.epoch_s() + 60,
            "jti": uuid4().hex,
            "wth": hashed(wit),
        } | changed
        made = {name: value for name, value in claims.items() if value is not None}
        return jose.sign(made, key=key or self.key, typ=typ, kid="k", algorithm="ES256")

    def proved(self, wit: str | None = None, **changed: Any) -> dict[str, str]:
        """Return the headers of a request that a proof token proves."""
        wit = wit or self.wit()
        return {"HTTP_WORKLOAD_IDENTITY_TOKEN": wit, "HTTP_WORKLOAD_PROOF_TOKEN": self.wpt(wit, **changed)}

    def signed(self, form: dict[str, Any], **how: Any) -> dict[str, str]:
        """Return the headers of a form whose whole request is signed. how: what is written over the good parts."""
        wit, path = how.get("wit") or self.wit(), how.get("path", TOKEN)
        body = urlencode(form, doseq=True).encode()
        fields = {
            "content-type": MEDIA_TYPE,
            "content-digest": how.get("digest", digest(body)),
            "workload-identity-token": wit,
        } | how.get("fields", {})
        values = {"@method": how.get("method", "POST"), "@request-target": how.get("target", path)} | fields
        names = how.get("components", list(values))
        covered_names = " ".join(f'"{name}"' for name in names)
        raw = f"({covered_names}){self.parameters(path, **how)}"
        lines = [f'"{name}": {values[name]}' for name in names if name in values]
        covered = "\n".join([*lines, f'"@signature-params": {raw}']).encode()
        made = JWSRegistry.algorithms["ES256"].sign(covered, how.get("key", self.key))
        label = how.get("label", "wimse")
        return {
            "HTTP_WORKLOAD_IDENTITY_TOKEN": wit,
            "HTTP_CONTENT_DIGEST": fields["content-digest"],
            "HTTP_SIGNATURE_INPUT": f"{label}={raw}",
            "HTTP_SIGNATURE": f"{how.get('signature_label', label)}=:{base64.b64encode(made).decode()}:",
        }

    def parameters(self, path: str, **how: Any) -> str:
        now = clock.epoch_s()
        parameters = {
            "created": now,
            "expires": now + 60,
            "nonce": uuid4().hex,
            "tag": "wimse-workload-to-workload",
            "wimse-aud": settings.ISSUER + path,
        } | how.get("parameters", {})
        return "".join(
            f";{name}" if value is True else f";{name}={value}" if isinstance(value, int) else f';{name}="{value}"'
            for name, value in parameters.items()
            if value is not None
        )


def digest(body: bytes, name: str = "sha-256") -> str:
    made = hashlib.new(name.replace("-", ""), body).digest()
    return f"{name}=:{base64.b64encode(made).decode()}:"
