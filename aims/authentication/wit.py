"""Workload Identity Tokens, and the tokens that prove them. Pure, but for the words of its refusals.

A WIT says whose key a key is; alone it proves nothing, and it is never a bearer token.
Spec: draft-ietf-wimse-workload-creds §3; draft-ietf-wimse-wpt §3; WIT-SVID §2, §3 for ``spiffe://`` names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from aims.authentication.claims import Life, check_jti, is_for_us, life_of, numeric_date
from aims.authentication.errors import InvalidClient
from aims.authentication.jwt_svid import SVID_ALGORITHMS
from aims.authentication.keys import parsed
from aims.identifier.uri import IdentifierRefused, WorkloadIdentifier, parse_agent
from aims.kit.ids import b64url
from aims.kit.jose import ALGORITHMS, JoseKey, JoseRefused, Unverified, algorithms_of, import_public

HEADER, PROOF_HEADER = "Workload-Identity-Token", "Workload-Proof-Token"
TXN_TOKEN = "Txn-Token"
WIT_AHEAD_MAX = timedelta(hours=24)  # §3.1: refreshed in the order of hours
SKEW = timedelta(seconds=30)
OTHER_TOKENS_MAX = 16
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Wit:
    """A WIT whose form is right and whose signature nobody has checked. key, algorithm: of the proof that must come along."""

    raw: str
    token: Unverified
    identifier: WorkloadIdentifier
    key: JoseKey
    algorithm: str


def one_token(header: str | None, name: str) -> str:
    """Return the one JWT of a header; a repeated header arrives joined with a comma. Raises InvalidClient."""
    if header is None or not _COMPACT.fullmatch(header):
        raise InvalidClient(_("%(name)s must be exactly one JWT.") % {"name": name}, reason="header")
    return header


def read_wit(raw: str, *, now: datetime) -> Wit:
    """Return a WIT that counts now, its signature not checked. Raises InvalidClient."""
    token = parsed(raw, algorithms=ALGORITHMS, typ=("wit+jwt",))
    subject = token.claims.get("sub")
    try:
        identifier = parse_agent(subject if isinstance(subject, str) else "")
    except IdentifierRefused as error:
        raise InvalidClient(_("sub must be a workload identifier."), reason="subject") from error
    _check_life(token.claims, now=now)
    key, algorithm = _confirmed(token.claims)
    if identifier.scheme == "spiffe":
        _check_svid(token, algorithm)
    return Wit(raw=raw, token=token, identifier=identifier, key=key, algorithm=algorithm)


def read_proof(
    raw: str, wit: Wit, *, target: str, headers: Mapping[str, str], now: datetime
) -> tuple[Unverified, str, Life]:
    """Return a WPT that is for this WIT, target and request, its jti and its life; its signature is not checked.

    target: our address from the configuration; Host says nothing. Raises InvalidClient.
    """
    token = parsed(raw, algorithms=ALGORITHMS, typ=("wpt+jwt",))
    if token.header["alg"] != wit.algorithm:  # §3: string-equal, EdDSA and Ed25519 are two
        raise InvalidClient(_("The proof's alg must be that of the WIT's key."), reason="algorithm")
    claims = token.claims
    if not is_for_us(claims.get("aud"), target=target):
        raise InvalidClient(_("aud must be the address of this endpoint."), reason="audience")
    life = life_of(claims, needs_iat=False, now=now)
    if claims.get("wth") != hashed(wit.raw):
        raise InvalidClient(_("wth does not match the workload identity token."), reason="wth")
    jti = check_jti(claims.get("jti"))
    # §3.2: a token that is there must be named, and one that is named must be there.
    authorization = headers.get("Authorization")
    access_token = authorization.partition(" ")[2] if authorization is not None else None
    _check_hash(claims.get("ath"), access_token, "ath")
    _check_hash(claims.get("tth"), headers.get(TXN_TOKEN), "tth")
    _check_others(claims.get("oth"), headers)
    return token, jti, life


def hashed(value: str) -> str:
    """Return how a proof names a token: SHA-256, base64url."""
    return b64url(hashlib.sha256(value.encode()).digest())


def _check_life(claims: Mapping[str, Any], *, now: datetime) -> None:
    issued, expires, not_before = (numeric_date(claims, name) for name in ("iat", "exp", "nbf"))
    if expires is None or datetime.fromtimestamp(expires, UTC) <= now - SKEW:
        raise InvalidClient(_("exp is missing or has passed."), reason="expired")
    if datetime.fromtimestamp(expires, UTC) > now + WIT_AHEAD_MAX + SKEW:
        raise InvalidClient(_("A workload identity token lives for 24 hours at most."), reason="expires_late")
    if any(at is not None and datetime.fromtimestamp(at, UTC) > now + SKEW for at in (issued, not_before)):
        raise InvalidClient(_("iat or nbf is in the future."), reason="not_before")


def _confirmed(claims: Mapping[str, Any]) -> tuple[JoseKey, str]:
    """Return the workload's public key and the one algorithm of its proofs. Spec: RFC 7800 §3.2."""
    cnf = claims.get("cnf")
    jwk = cnf.get("jwk") if isinstance(cnf, dict) else None
    algorithm = jwk.get("alg") if isinstance(jwk, dict) else None
    if not isinstance(jwk, dict) or not isinstance(algorithm, str):
        raise InvalidClient(_("cnf.jwk, with its alg, is missing."), reason="cnf")
    try:
        key = import_public(jwk)
    except JoseRefused as error:
        raise InvalidClient(error.public, reason="cnf") from error
    if algorithm not in ALGORITHMS or algorithm not in algorithms_of(key):
        raise InvalidClient(_("The alg of cnf.jwk is not one of ours, or does not fit the key."), reason="cnf")
    return key, algorithm


def _check_svid(token: Unverified, algorithm: str) -> None:
    """WIT-SVID §2, §3: narrower than WIMSE."""
    if not token.header.get("kid") or {str(token.header["alg"]), algorithm} - SVID_ALGORITHMS:
        raise InvalidClient(_("A WIT-SVID has a kid, and neither of its keys is EdDSA."), reason="svid")
    if "aud" in token.claims:
        raise InvalidClient(_("A WIT-SVID has no aud."), reason="svid")


def _check_hash(claimed: object, value: str | None, name: str) -> None:
    if (claimed is None) != (value is None) or (value is not None and claimed != hashed(value)):
        raise InvalidClient(_("%(name)s does not match the request.") % {"name": name}, reason=name)


def _check_others(claimed: object, headers: Mapping[str, str]) -> None:
    """draft-ietf-wimse-wpt §3.2: what is named and can't be checked refuses."""
    if claimed is None:
        return
    if not isinstance(claimed, dict) or len(claimed) > OTHER_TOKENS_MAX:
        raise InvalidClient(_("oth must be an object."), reason="oth")
    for name, value in claimed.items():
        found = headers.get(name) if name == name.lower() else None
        if found is None or value != hashed(found.strip(" \t")):
            raise InvalidClient(_("An entry of oth does not match the request."), reason="oth")
