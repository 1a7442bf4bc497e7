"""Receipts made from pure pieces: a statement, contexts, the software authenticator, a signing key. No database."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import ECKey

from aims.authorization.statement import PolicyRef, Quorum, Statement, TemplateRef, build
from aims.kit import jose
from aims.kit.ids import b64url, tagged_hash, unb64url
from aims.people.cose import ALGORITHMS
from approvals import context, receipts
from audit.canonical import encode
from tests.support.soft_authenticator import HostileAuthenticator

ISSUER = "http://localhost:8000"
RP_ID = "localhost"
OPENED = 1_795_000_000
SIGNED = OPENED + 41
HASH = "sha-256:" + "A" * 43

STATEMENT = Statement(
    iss=ISSUER,
    request_id="apr_1",
    client_id="spiffe://acme.example/agent/courier",
    sub="usr_ada",
    scope="pay",
    resource="https://pay.example/",
    authorization_details=({"type": "payment_initiation", "creditorName": "Société Générale"},),
    binding_message=None,
    agent_says="due today",
    facts={},
    reversibility="irreversible",
    policy=PolicyRef(id="default", version=14, hash=HASH, determined_by=("irreversible-asks",)),
    quorum=Quorum(required=1, groups=("subject",), distinct_humans=True, exclude=("usr_mallory",)),
    use_within_s=300,
    max_uses=1,
    template=TemplateRef(id="payment", version=1, hash=HASH),
    iat=OPENED,
    exp=OPENED + 300,
)


@dataclass
class Signer:
    """A person with a passkey on a software authenticator. ``lies`` make it sign something else."""

    ref: str
    authenticator: HostileAuthenticator = field(default_factory=lambda: HostileAuthenticator(ISSUER, RP_ID))

    def __post_init__(self) -> None:
        self.authenticator.create(
            {
                "rp": {"id": RP_ID},
                "user": {"id": b64url(self.ref.encode())},
                "pubKeyCredParams": [{"type": "public-key", "alg": each} for each in ALGORITHMS],
                "challenge": b64url(b"enrol"),
            }
        )

    def sign(self, statement: bytes, *, at: int = SIGNED, **members: Any) -> receipts.SignedYes:
        """Return a yes over the statement; ``members`` change the context before it is signed."""
        values: dict[str, Any] = {
            "request_hash": tagged_hash(statement),
            "decision": "approve",
            "approver": self.ref,
            "nonce": secrets.token_bytes(32),
            "rp_id": RP_ID,
            "locale": "en",
            "rendering_hash": HASH,
            "iat": OPENED + 10,
            "exp": OPENED + 300,
        }
        raw = context.build(context.Context(**values | members))
        answer = self.authenticator.get({"challenge": b64url(context.challenge_of(raw)), "rpId": RP_ID})["response"]
        credential = self.authenticator.credentials[0]
        return receipts.SignedYes(
            approver=self.ref,
            is_synced=False,
            auth_time=at,
            credential_id=credential.credential_id,
            cose_key=credential.cose_key,
            rp_id=RP_ID,
            origin=ISSUER,
            context=raw,
            authenticator_data=unb64url(answer["authenticatorData"]),
            client_data_json=unb64url(answer["clientDataJSON"]),
            signature=unb64url(answer["signature"]),
            enrolment=receipts.Enrolment(
                attestation_hash=HASH, client_data_hash=HASH, enrolled_at=OPENED - 9, vouched_by="cli:root", log_index=3
            ),
        )


class Issuer:
    """The console's receipt key, and the JWKS that a verifier pinned."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256")
        self.kid = self.key.thumbprint()
        self.jwks: dict[str, Any] = {
            "keys": [self.key.as_dict(private=False) | {"kid": self.kid, "alg": "ES256", "use": "sig"}]
        }

    def sign(self, claims: Mapping[str, Any], **header: str) -> str:
        names = {"typ": receipts.TYP, "kid": self.kid, "algorithm": "ES256"} | header
        return jose.sign(claims, key=self.key, **names)


def claims_of(*approvals: receipts.SignedYes, statement: bytes, **changes: Any) -> dict[str, Any]:
    made = receipts.claims(ref="rcp_1", statement=statement, approvals=approvals, issued_at=SIGNED + 1)
    return json.loads(encode(made)) | changes  # type: ignore[no-any-return]


def statement_with(**changes: Any) -> bytes:
    return build(replace(STATEMENT, **changes))


def log_with(entry: bytes) -> tuple[str, str]:
    """Return proof and verifier key of a log of two entries, written out by hand from the C2SP texts."""
    name, key = "aims.example/log/abc", Ed25519PrivateKey.generate()
    raw = b"\x01" + key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    leaf, other = (hashlib.sha256(b"\x00" + each).digest() for each in (entry, b"other"))
    root = hashlib.sha256(b"\x01" + leaf + other).digest()
    text = f"{name}\n2\n{_b64(root)}\n"
    note = f"{text}\n\u2014 {name} {_b64(key_id + key.sign(text.encode()))}\n"
    proof = f"c2sp.org/tlog-proof@v1\nindex 0\n{_b64(other)}\n\n{note}"
    return proof, f"{name}+{key_id.hex()}+{_b64(raw)}"


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
