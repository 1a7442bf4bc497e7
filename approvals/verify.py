"""Checks a receipt offline: no database, no network, no Django, and another WebAuthn library than the server's.

Failure of any step is "not verified", never a warning. What it cannot know: whether the approval was used, whether
a key was ended since, who was in a group, and what eyes saw. Spec: docs/formats.md, "Verifying a receipt".
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from fido2 import cbor
from fido2.cose import CoseKey
from fido2.webauthn import AuthenticatorData
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from aims.kit.ids import tagged_hash
from approvals import logproof
from approvals.context import challenge_of
from approvals.reading import Members, NotVerified, bytes_of, int_in, object_of, text_in
from approvals.receipts import TYP
from audit.canonical import decode, encode

ALGORITHMS = ("ES256", "EdDSA")
RECEIPT_MAX_BYTES = 256 * 1024
CLIENT_DATA_MAX_BYTES = 4 * 1024
REQUEST_TYP = "agent-approval-request"
CONTEXT_TYP = "agent-approval-context"
NONCE_MIN_BYTES = 16
RSA_MIN_BITS = 2048
_FLAG = AuthenticatorData.FLAG


@dataclass(frozen=True)
class Verified:
    """What the evidence shows. ``included`` is None where no log proof was given: it is then not shown."""

    ref: str
    request: Members
    approvers: tuple[str, ...]
    approved_until: int
    receipt_hash: str
    included: logproof.Included | None


@dataclass(frozen=True)
class LogEvidence:
    """The bundle that travels with a receipt: the decision's entry, its proof, and the log's verifier key."""

    entry: bytes
    proof: str
    vkey: str


def verify_receipt(
    receipt: str,
    *,
    jwks: Members,
    origins: Collection[str] | None = None,
    log: LogEvidence | None = None,
) -> Verified:
    """Return what the receipt proves; raises NotVerified naming the first step that fails.

    jwks: the pinned keys of the issuer. origins: where approvals are given; by default the origin of ``iss``.
    """
    receipt = receipt.strip()
    claims = _signed_claims(receipt, jwks)
    statement, asked = _statement(claims)
    approvals = _approvals(claims)
    allowed = frozenset(origins if origins is not None else [_origin_of(str(asked.get("iss")))])
    for approval in approvals:
        verify_approval(
            approval,
            statement=statement,
            origins=allowed,
            at=int_in(approval, "auth_time", "claims"),
        )
    check_quorum(claims, asked, approvals)
    _complete(claims, asked, approvals)
    included = _in_log(log, receipt=receipt, request_hash=tagged_hash(statement)) if log else None
    return Verified(
        ref=text_in(claims, "jti", "claims"),
        request=asked,
        approvers=tuple(approval["approver"] for approval in approvals),
        approved_until=int_in(claims, "approved_until", "claims"),
        receipt_hash=tagged_hash(receipt.encode()),
        included=included,
    )


def verify_approval(approval: Members, *, statement: bytes, origins: Collection[str], at: int) -> Members:
    """Return the context that was signed; raises NotVerified. ``at``: NumericDate at which the server received it."""
    raw, context = _context(approval, statement=statement, at=at)
    client_data = _client_data(approval, challenge=challenge_of(raw), origins=origins)
    authenticator_data = _authenticator_data(approval, rp_id=context["rp_id"])
    _signature(approval, authenticator_data + hashlib.sha256(client_data).digest())
    return context


# -- 1 jws -------------------------------------------------------------------------------------------


def _signed_claims(receipt: str, jwks: Members) -> Members:
    if len(receipt) > RECEIPT_MAX_BYTES or receipt.count(".") != 2:
        raise NotVerified("jws", "not a compact JWS, or too large")
    header_part, claims_part, signature_part = receipt.split(".")
    header = object_of("jws", bytes_of("jws", header_part))
    bytes_of("jws", signature_part)
    if header.keys() != {"alg", "typ", "kid"}:
        raise NotVerified("jws", "the header must hold alg, typ and kid, nothing else")
    if header["alg"] not in ALGORITHMS or header["typ"] != TYP:
        raise NotVerified("jws", "alg or typ is not that of a receipt")
    _check_jws(receipt, alg=header["alg"], key=_key(jwks, header))
    return object_of("jws", bytes_of("jws", claims_part))


def _key(jwks: Members, header: Members) -> Any:
    found = [key for key in jwks.get("keys", []) if key.get("kid") == header["kid"]]
    if len(found) != 1:
        raise NotVerified("jws", "the kid names no key, or several, of the pinned set")
    if found[0].get("alg", header["alg"]) != header["alg"] or found[0].get("use", "sig") != "sig":
        raise NotVerified("jws", "the key is for another algorithm or use")
    try:
        key = JWKRegistry.import_key(dict(found[0]))
    except (JoseError, ValueError) as error:
        raise NotVerified("jws", "the key cannot be read") from error
    if key.thumbprint() != header["kid"]:
        raise NotVerified("jws", "the kid is not the key's RFC 7638 thumbprint")
    return key


def _check_jws(receipt: str, *, alg: str, key: Any) -> None:
    try:
        jws.deserialize_compact(receipt, key, algorithms=[alg])
    except (JoseError, ValueError) as error:
        raise NotVerified("jws", "the signature is wrong") from error


# -- 2 claims, 3 statement -----------------------------------------------------------------------------


def _approvals(claims: Members) -> Sequence[Members]:
    approvals = claims.get("approvals")
    if claims.get("decision") != "approve":
        raise NotVerified("claims", "the receipt is not of an approval")
    if not isinstance(approvals, list) or not approvals or not all(isinstance(each, dict) for each in approvals):
        raise NotVerified("claims", "approvals is not a list of objects")
    return approvals


def _statement(claims: Members) -> tuple[bytes, Members]:
    raw = bytes_of("statement", text_in(claims, "request_jcs", "statement"))
    asked = canonical_request(raw)
    if claims.get("request_hash") != tagged_hash(raw):
        raise NotVerified("statement", "request_hash is not the hash of request_jcs")
    same = {"iss": "iss", "sub": "sub", "client_id": "client_id", "aud": "resource"}
    for claim, member in same.items():
        if claims.get(claim) != asked.get(member):
            raise NotVerified("statement", f"{claim} differs from what was signed")
    return raw, asked


def canonical_request(raw: bytes) -> Members:
    """Return what R says; raises NotVerified unless it is canonical and a request."""
    asked = object_of("statement", raw)
    if encode(asked) != raw:
        raise NotVerified("statement", "the request is not canonical JSON (RFC 8785)")
    if asked.get("typ") != REQUEST_TYP or asked.get("v") != 1:
        raise NotVerified("statement", "not an approval request, or of another version")
    return asked


# -- 4 context -----------------------------------------------------------------------------------------


def _context(approval: Members, *, statement: bytes, at: int) -> tuple[bytes, Members]:
    raw = bytes_of("context", text_in(approval, "context_jcs", "context"))
    context = object_of("context", raw)
    asked = canonical_request(statement)
    if encode(context) != raw or context.get("typ") != CONTEXT_TYP or context.get("v") != 1:
        raise NotVerified("context", "not a canonical approval context of version 1")
    if context.get("request_hash") != tagged_hash(statement):
        raise NotVerified("context", "another request was signed")
    # Read from the signed bytes, never from what the receipt claims.
    if context.get("decision") != "approve":
        raise NotVerified("context", "the signed decision is not a yes")
    if len(bytes_of("context", text_in(context, "nonce", "context"))) < NONCE_MIN_BYTES:
        raise NotVerified("context", "the nonce is too short to be unpredictable")
    _approver(approval, context, asked)
    _window(context, asked, at)
    return raw, context


def _approver(approval: Members, context: Members, asked: Members) -> None:
    approver = text_in(context, "approver", "context")
    if approval.get("approver", approver) != approver:
        raise NotVerified("context", "the approver is not the one who signed")
    if approval.get("rp_id", context.get("rp_id")) != text_in(context, "rp_id", "context"):
        raise NotVerified("context", "rp_id differs from what was signed")
    if approver in asked.get("quorum", {}).get("exclude", []) or approver == asked.get("client_id"):
        raise NotVerified("context", "the approver was excluded by the request")


def _window(context: Members, asked: Members, at: int) -> None:
    for what in (context, asked):
        starts, ends = int_in(what, "iat", "context"), int_in(what, "exp", "context")
        if not starts <= at < ends:
            raise NotVerified(
                "context",
                "signed outside the time that the request and the context allow",
            )
    if not int_in(asked, "iat", "context") <= context["iat"] < context["exp"] <= int_in(asked, "exp", "context"):
        raise NotVerified("context", "the context does not lie within the life of the request")


# -- 5 challenge, origin ---------------------------------------------------------------------------------


def _client_data(approval: Members, *, challenge: bytes, origins: Collection[str]) -> bytes:
    raw = bytes_of("client-data", text_in(approval, "clientDataJSON", "client-data"))
    if len(raw) > CLIENT_DATA_MAX_BYTES:
        raise NotVerified("client-data", "too large")
    client_data = object_of("client-data", raw)
    if client_data.get("type") != "webauthn.get":
        raise NotVerified("client-data", "not an assertion")
    signed = bytes_of("challenge", text_in(client_data, "challenge", "challenge"))
    if not hmac.compare_digest(signed, challenge):
        raise NotVerified("challenge", "the passkey signed another context")
    if bytes_of("challenge", text_in(approval, "challenge", "challenge")) != challenge:
        raise NotVerified("challenge", "the receipt names another challenge")
    _origin(client_data, approval, origins)
    return raw


def _origin(client_data: Members, approval: Members, origins: Collection[str]) -> None:
    origin = text_in(client_data, "origin", "origin")
    if origin not in origins or approval.get("origin", origin) != origin:
        raise NotVerified("origin", "signed on a page that is not the issuer's")
    if client_data.get("crossOrigin", False) is not False or "topOrigin" in client_data:
        raise NotVerified("origin", "signed inside a page of somebody else")


# -- 6 authenticator, 7 signature ------------------------------------------------------------------------


def _authenticator_data(approval: Members, *, rp_id: str) -> bytes:
    raw = bytes_of("authenticator", text_in(approval, "authenticatorData", "authenticator"))
    try:
        data = AuthenticatorData(raw)
    except Exception as error:  # the library raises whatever its parsers meet
        raise NotVerified("authenticator", "authenticatorData cannot be read") from error
    flags = data.flags
    if data.rp_id_hash != hashlib.sha256(rp_id.encode()).digest():
        raise NotVerified("authenticator", "made for another relying party")
    if not flags & _FLAG.UP or not flags & _FLAG.UV:
        raise NotVerified("authenticator", "the person was not present, or not verified")
    if flags & _FLAG.BS and not flags & _FLAG.BE:
        raise NotVerified("authenticator", "backed up but not eligible for it")
    if flags & _FLAG.AT:
        raise NotVerified("authenticator", "attested data in an assertion")
    if "remoteClientDataJSON" in (data.extensions or {}):
        raise NotVerified("authenticator", "signed from a remote desktop")
    return raw


def _signature(approval: Members, message: bytes) -> None:
    signature = bytes_of("signature", text_in(approval, "signature", "signature"))
    try:
        numbers = cbor.decode(bytes_of("signature", text_in(approval, "cose_key", "signature")))
        if not isinstance(numbers, dict):
            raise NotVerified("signature", "cose_key is not a COSE_Key")
        if not _may_sign(numbers):
            raise NotVerified("signature", "the passkey is none of ES256, EdDSA and RS256, or not what it says")
        CoseKey.parse(numbers).verify(message, signature)
    except NotVerified:
        raise
    except InvalidSignature as error:
        raise NotVerified("signature", "the passkey's signature is wrong") from error
    except Exception as error:  # the library raises whatever its parsers meet
        raise NotVerified("signature", "the passkey's key cannot be read") from error


def _may_sign(numbers: Mapping[Any, Any]) -> bool:
    """Return whether algorithm, type and curve of a COSE_Key agree on one with which approvals are signed."""
    match (numbers.get(3), numbers.get(1), numbers.get(-1)):
        case (-7, 2, 1) | (-8, 1, 6):
            return True
        case (-257, 3, bytes() as modulus):
            return int.from_bytes(modulus, "big").bit_length() >= RSA_MIN_BITS
    return False


# -- 8 quorum, 9 evidence ----------------------------------------------------------------------------------


def check_quorum(claims: Members, asked: Members, approvals: Sequence[Members]) -> None:
    """Raise NotVerified unless enough distinct people signed, each with a key of their own.

    The rule stands in the signed request; what the receipt says about it is only compared.
    """
    rule = asked.get("quorum")
    if not isinstance(rule, dict):
        raise NotVerified("quorum", "the request names no quorum")
    required = int_in(rule, "required", "quorum")
    people = {approval["approver"] for approval in approvals}
    keys = {approval["cose_key"] for approval in approvals}
    credentials = {approval.get("credential_id") for approval in approvals}
    if not len(people) == len(keys) == len(credentials) == len(approvals):
        raise NotVerified("quorum", "one person or one key counted twice")
    if required < 1 or len(approvals) < required:
        raise NotVerified("quorum", f"{len(approvals)} of {required} signatures")
    said = claims.get("quorum")
    if not isinstance(said, dict) or said.get("required") != required or said.get("satisfied") != len(approvals):
        raise NotVerified("quorum", "the receipt says something else than the request")


def _complete(claims: Members, asked: Members, approvals: Sequence[Members]) -> None:
    for approval in approvals:
        _enrolment(approval, asked)
        context = decode(bytes_of("context", approval["context_jcs"]))
        text_in(context, "locale", "context")
        text_in(context, "rendering_hash", "context")
    last = max(int_in(approval, "auth_time", "claims") for approval in approvals)
    until = last + int_in(asked, "use_within_s", "statement")
    if int_in(claims, "approved_until", "claims") != until:
        raise NotVerified("claims", "approved_until is not the last signature plus use_within_s")
    if int_in(claims, "iat", "claims") < last:
        raise NotVerified("claims", "issued before the last signature")
    if claims.get("policy") != {name: asked.get("policy", {}).get(name) for name in ("id", "version", "hash")}:
        raise NotVerified("claims", "policy differs from what was signed")


def _enrolment(approval: Members, asked: Members) -> None:
    enrolment = approval.get("enrolment")
    if not isinstance(enrolment, dict):
        raise NotVerified("enrolment", "nothing says how the key came to its person")
    for name in ("attestation_hash", "client_data_hash", "vouched_by"):
        text_in(enrolment, name, "enrolment")
    if int_in(enrolment, "log_index", "enrolment") < 0:
        raise NotVerified("enrolment", "log_index is no place in a log")
    # Keys count for a decision only if they were held before the request was opened.
    if int_in(enrolment, "enrolled_at", "enrolment") > int_in(asked, "iat", "enrolment"):
        raise NotVerified("enrolment", "the key was enrolled after the request was opened")


# -- 10 log --------------------------------------------------------------------------------------------------


def _in_log(log: LogEvidence, *, receipt: str, request_hash: str) -> logproof.Included:
    try:
        included = logproof.check(log.entry, proof=log.proof, vkey=log.vkey)
    except logproof.ProofRefused as error:
        raise NotVerified("log", str(error)) from error
    recorded = _strings(object_of("log", log.entry))
    if not {request_hash, tagged_hash(receipt.encode())} <= recorded:
        raise NotVerified("log", "the entry is of another decision")
    return included


def _strings(entry: Any) -> set[str]:
    if isinstance(entry, dict):
        return set().union(*(_strings(value) for value in entry.values()))
    return {entry} if isinstance(entry, str) else set()


def _origin_of(issuer: str) -> str:
    parts = urlsplit(issuer)
    return f"{parts.scheme}://{parts.netloc}"
