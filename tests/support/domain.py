"""A trust domain of its own: an authority that signs certificates, JWT-SVIDs and WITs for real."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.conf import settings
from joserfc.jwk import ECKey

from aims.kit import clock, jose
from aims.kit.ids import b64url

Extensions = Sequence[tuple[x509.ExtensionType, bool]]
USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip
CA: Extensions = ((x509.BasicConstraints(ca=True, path_length=None), True),)


def usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in names for name in USAGES})


def named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def uris(*values: str) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName([x509.UniformResourceIdentifier(value) for value in values]), False


@dataclass
class Shown:
    """A certificate, its key, and what leads to an authority."""

    leaf: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def der(self) -> bytes:
        return self.leaf.public_bytes(Encoding.DER)

    @property
    def headers(self) -> dict[str, str]:
        """As a proxy hands it on: RFC 9440 §2.2, §2.3."""
        shown = {"HTTP_CLIENT_CERT": _bytes(self.leaf)}
        return shown | ({"HTTP_CLIENT_CERT_CHAIN": ", ".join(map(_bytes, self.chain))} if self.chain else {})


@dataclass
class Domain:
    """A trust domain. key: of tokens; authority: of certificates."""

    name: str = "acme.example"
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    authority_key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    authority: x509.Certificate = field(init=False)

    def __post_init__(self) -> None:
        authority = (*CA, (usage("key_cert_sign", "crl_sign"), True))
        self.authority = self.made(named(self.name), self.authority_key, authority, days=30)

    def made(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extensions: Extensions,
        *,
        issuer: Shown | None = None,
        days: float = 1,
        begins: timedelta = timedelta(hours=-1),
    ) -> x509.Certificate:
        now: datetime = clock.now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.leaf.subject if issuer else named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + timedelta(days=days))
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(issuer.key if issuer else self.authority_key, hashes.SHA256())

    def svid(self, *ids: str, more: Extensions | None = None, **terms: Any) -> Shown:
        """Return an X.509-SVID. more: instead of what a good one has besides its URI."""
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        good = ((x509.BasicConstraints(False, None), True), (usage("digital_signature"), True), (purposes, False))
        extensions = (*(good if more is None else more), *((uris(*ids),) if ids else ()))
        issuer = terms.get("issuer")
        return Shown(self.made(named("workload"), key, extensions, **terms), key, (issuer.leaf,) if issuer else ())

    def intermediate(self, *, ca: bool = True) -> Shown:
        key = ec.generate_private_key(ec.SECP256R1())
        good = (*CA, (usage("key_cert_sign"), True))
        bad = ((x509.BasicConstraints(False, None), True), (usage("digital_signature"), True))
        return Shown(self.made(named(f"{self.name} below"), key, good if ca else bad), key)

    def token(self, claims: dict[str, Any], *, typ: str, header: dict[str, Any] | None = None, **how: Any) -> str:
        key, kid, alg = how.get("key", self.key), how.get("kid", self.key.thumbprint()), how.get("alg", "ES256")
        made = {name: value for name, value in claims.items() if value is not None}
        if header is None:
            return jose.sign(made, key=key, typ=typ, kid=kid, algorithm=alg)
        return signed_with({"alg": alg, "typ": typ, "kid": kid} | header, made, key=key)

    def jwt_svid(self, subject: str, *, typ: str = "JWT", header: dict[str, Any] | None = None, **changed: Any) -> str:
        now = clock.epoch_s()
        claims = {"sub": subject, "aud": settings.ISSUER, "iat": now, "exp": now + 120} | changed
        return self.token(claims, typ=typ, header=header)

    def wit(
        self,
        subject: str,
        jwk: dict[str, Any],
        *,
        typ: str = "wit+jwt",
        header: dict[str, Any] | None = None,
        **changed: Any,
    ) -> str:
        now = clock.epoch_s()
        claims = {"sub": subject, "iat": now, "exp": now + 3600, "cnf": {"jwk": jwk}} | changed
        return self.token(claims, typ=typ, header=header)

    def bundle(self, **members: Any) -> dict[str, Any]:
        """Return its trust bundle."""
        public = self.key.as_dict(private=False)
        kid = self.key.thumbprint()
        wit = {name: public[name] for name in ("kty", "crv", "x", "y")}
        authority = {
            "kty": "EC",
            "use": "x509-svid",
            "x5c": [base64.b64encode(self.authority.public_bytes(Encoding.DER)).decode()],
        }
        # One kid names one key of a bundle, so the workload tokens have a bundle entry of their own.
        keys = [authority, {**wit, "kid": kid, "use": members.pop("use", "jwt-svid")}]
        return {"keys": keys, "spiffe_sequence": 1, "spiffe_refresh_hint": 300} | members


def signed_with(header: dict[str, Any], claims: dict[str, Any], *, key: Any) -> str:
    """Return a compact JWS with exactly this header; a member that is None is left out."""
    import json

    from joserfc.jws import JWSRegistry

    kept = {name: value for name, value in header.items() if value is not None}
    parts = [b64url(json.dumps(part, separators=(",", ":")).encode()) for part in (kept, claims)]
    signing_input = ".".join(parts).encode()
    signature = JWSRegistry.algorithms[header["alg"]].sign(signing_input, key)
    return f"{signing_input.decode()}.{b64url(signature)}"


def _bytes(certificate: x509.Certificate) -> str:
    return f":{base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()}:"
