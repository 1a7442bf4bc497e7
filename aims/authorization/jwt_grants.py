"""What a JWT authorization grant says: ours for another domain, and another's for us. Pure.

Spec: RFC 7523 §2.1, draft-ietf-oauth-identity-chaining, draft-ietf-oauth-identity-assertion-authz-grant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

GRANT_TYP = "authorization-grant+jwt"  # draft-ietf-oauth-rfc7523bis
JAG_TYP = "oauth-id-jag+jwt"
GRANT_LIFETIME_S = 60
JAG_LIFETIME_S = 300
RESOURCES_MAX = 8


class GrantMalformed(ValueError):
    """A member of the grant is not of its shape."""


@dataclass(frozen=True, kw_only=True)
class GrantFacts:
    """What our grant will say. subject, client_id: by the names that the other server knows. resources: there.

    signed_in: acr, amr, auth_time of the ID token. email: empty where the other server need not know.
    """

    subject: str
    client_id: str
    audience: str
    scope: str
    authorization_details: Sequence[Mapping[str, Any]]
    resources: Sequence[str]
    cnf: Mapping[str, str] | None
    signed_in: Mapping[str, Any]
    email: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Carried:
    """What another's grant carries. scope, resources, details: None where it says nothing. jkt: empty without ``cnf``."""

    client_id: str | None
    scope: tuple[str, ...] | None
    resources: tuple[str, ...] | None
    details: tuple[Mapping[str, Any], ...] | None
    jkt: str
    email: str


def claims_of(facts: GrantFacts, *, issuer: str, jti: str, now: datetime) -> dict[str, Any]:
    """Return the claims: what the other side needs to decide, and nothing of how the call came here."""
    claims: dict[str, Any] = {
        "iss": issuer,
        "sub": facts.subject,
        "aud": facts.audience,
        "client_id": facts.client_id,
        "jti": jti,
        "iat": int(now.timestamp()),
        "exp": int(facts.expires_at.timestamp()),
        "scope": facts.scope,
        "authorization_details": [dict(detail) for detail in facts.authorization_details],
        "resource": facts.resources[0] if len(facts.resources) == 1 else list(facts.resources),
        "cnf": dict(facts.cnf or {}),
        "email": facts.email,  # and no email_verified: nobody here has verified it
    }
    return {name: value for name, value in (claims | dict(facts.signed_in)).items() if value}


def expiry(*, now: datetime, lifetime_s: int, ends: Sequence[datetime]) -> datetime:
    """Return when it ends, on a whole second."""
    return min(now + timedelta(seconds=lifetime_s), *ends).replace(microsecond=0)


def carried(claims: Mapping[str, Any]) -> Carried:
    """Return what another's grant carries. Raises GrantMalformed."""
    scope, resource, details = (claims.get(name) for name in ("scope", "resource", "authorization_details"))
    resources = [resource] if isinstance(resource, str) else resource
    if not (scope is None or isinstance(scope, str)):
        raise GrantMalformed("scope is a text")
    if not (resources is None or _are(resources, str)) or len(resources or ()) > RESOURCES_MAX:
        raise GrantMalformed(f"resource is a text or a list of up to {RESOURCES_MAX}")
    if not (details is None or _are(details, dict)):
        raise GrantMalformed("authorization_details is a list of objects")
    client_id, email = claims.get("client_id"), claims.get("email")
    if not (client_id is None or isinstance(client_id, str)):
        raise GrantMalformed("client_id is a text")
    return Carried(
        client_id=client_id,
        scope=None if scope is None else tuple(scope.split()),
        resources=None if resources is None else tuple(resources),
        details=None if details is None else tuple(details),
        jkt=_jkt(claims.get("cnf")),
        # Only an address that the other side has verified tells who somebody is.
        email=email if isinstance(email, str) and claims.get("email_verified") is True else "",
    )


def _jkt(cnf: object) -> str:
    """Return the key that must be proved. What we can't check is not passed over (RFC 7800 §3.1)."""
    if cnf is None:
        return ""
    if not isinstance(cnf, Mapping) or cnf.keys() != {"jkt"} or not isinstance(cnf["jkt"], str) or not cnf["jkt"]:
        raise GrantMalformed("cnf names a key by jkt")
    return str(cnf["jkt"])


def _are(value: object, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, kind) for each in value)
