"""HTTP Message Signatures as WIMSE profiles them: reading one, the bytes that it covers, what it must cover. Pure.

Only what the profile allows is read: one signature, components without parameters. RFC 9421's other forms refuse.
Spec: RFC 9421 §2.5, §3.2, §4; RFC 9530 §2; draft-ietf-wimse-http-signature §3.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from aims.kit.errors import AimsError

TAG = "wimse-workload-to-workload"
LIFE_MAX_S = 300
SKEW_S = 30
NONCE_MAX = 255
COMPONENTS_MAX = 32
# §3.1: always, and whatever of these is in the message.
ALWAYS = ("@method", "@request-target")
IF_PRESENT = ("content-type", "content-digest", "authorization", "txn-token", "workload-identity-token")
_DIGESTS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
# RFC 8941 §3.1.1, §3.1.2, §3.3: of an inner list only strings, of parameters only what the profile uses.
_MEMBER = re.compile(r'([a-z*][a-z0-9_.*-]*)=\(( *(?:"[!#-\[\]-~]*"(?: +"[!#-\[\]-~]*")*)? *)\)((?:;.*)?)', re.ASCII)
_PARAMETER = re.compile(
    r';([a-z*][a-z0-9_.*-]*)(?:=(?:(-?\d{1,15})|"((?:[ !#-\[\]-~]|\\["\\])*)"|(\?[01])))?', re.ASCII
)
_BYTES = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):", re.ASCII)


class SignatureRefused(AimsError):
    """A signature that we don't accept. ``code`` names the rule."""

    code = "signature"
    public = "The HTTP message signature is not acceptable."

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"The HTTP message signature is not acceptable: {detail}.", detail=detail)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Signed:
    """One signature as it was sent. raw: the covered components and parameters exactly as received."""

    components: tuple[str, ...]
    parameters: Mapping[str, str | int | bool]
    raw: str
    signature: bytes


def read(signature_input: str | None, signature: str | None) -> Signed:
    """Return the one signature of a message. Raises SignatureRefused."""
    member = _MEMBER.fullmatch((signature_input or "").strip(" \t"))
    value = _BYTES.fullmatch((signature or "").strip(" \t"))
    if member is None or value is None or member[1] != value[1]:
        raise SignatureRefused("malformed", "there must be exactly one, in Signature-Input and in Signature")
    components = tuple(name[1:-1] for name in member[2].split())
    if len(set(components)) != len(components) or len(components) > COMPONENTS_MAX:
        raise SignatureRefused("components", "a component is covered twice, or there are too many")
    raw = (signature_input or "").strip(" \t").partition("=")[2]
    try:
        signed = base64.b64decode(value[2], validate=True)
    except ValueError as error:
        raise SignatureRefused("malformed", "its bytes are not base64") from error
    return Signed(components=components, parameters=_parameters(member[3]), raw=raw, signature=signed)


def base(signed: Signed, values: Mapping[str, str]) -> bytes:
    """Return the bytes that are signed. values: of each component by its name. Raises SignatureRefused. RFC 9421 §2.5."""
    if missing := [name for name in signed.components if name not in values]:
        raise SignatureRefused("components", f"{missing[0][:40]} is not there to be covered")
    lines = [f'"{name}": {values[name]}' for name in signed.components]
    try:
        return "\n".join([*lines, f'"@signature-params": {signed.raw}']).encode("ascii")
    except UnicodeEncodeError as error:
        raise SignatureRefused("components", "what it covers is not ASCII") from error


def check_profile(signed: Signed, *, present: Sequence[str], audience: str, now: datetime) -> tuple[str, int, int]:
    """Return nonce, created and expires of a signature that keeps to the profile. Raises SignatureRefused.

    present: the fields of the message, in lower case. audience: our address, by configuration.
    """
    parameters = signed.parameters
    if {"keyid", "alg"} & parameters.keys():  # §3.2: the WIT says both
        raise SignatureRefused("parameters", "keyid and alg must not be there")
    if unknown := parameters.keys() - {"created", "expires", "nonce", "tag", "wimse-aud", "wimse-sign-response"}:
        raise SignatureRefused("parameters", f"{min(unknown)[:40]} is not a parameter of the profile")
    if parameters.get("tag") != TAG:
        raise SignatureRefused("tag", f"its tag must be {TAG}")
    if parameters.get("wimse-aud") != audience:
        raise SignatureRefused("audience", "wimse-aud must be the address of this endpoint")
    if parameters.get("wimse-sign-response", False) is not False:
        raise SignatureRefused("sign_response", "this server does not sign its answers")
    wanted = {*ALWAYS, *(name for name in IF_PRESENT if name in present)}
    if missing := wanted - set(signed.components):
        raise SignatureRefused("components", f"{min(missing)} must be covered")
    if "content-digest" not in present:  # what we are sent has a body
        raise SignatureRefused("digest", "a body needs Content-Digest")
    return _nonce(parameters.get("nonce")), *_times(parameters, now=now)


def check_digest(field: str | None, body: bytes) -> None:
    """Raise SignatureRefused unless every digest that we know, and at least one, is that of the body. RFC 9530 §2."""
    known = 0
    for item in (field or "").split(","):
        found = _BYTES.fullmatch(item.strip(" \t"))
        if found is None:
            raise SignatureRefused("digest", "Content-Digest can't be read")
        if found[1] not in _DIGESTS:
            continue
        known += 1
        ours = base64.b64encode(_DIGESTS[found[1]](body).digest())
        if not hmac.compare_digest(ours, found[2].encode()):
            raise SignatureRefused("digest", "Content-Digest is not that of the body")
    if not known:
        raise SignatureRefused("digest", "Content-Digest has neither sha-256 nor sha-512")


def _parameters(raw: str) -> dict[str, str | int | bool]:
    parameters: dict[str, str | int | bool] = {}
    at = 0
    while at < len(raw):
        found = _PARAMETER.match(raw, at)
        if found is None or found[1] in parameters:
            raise SignatureRefused("malformed", "its parameters can't be read, or one is there twice")
        name, number, text, flag = found.groups()
        if number is not None:
            parameters[name] = int(number)
        elif text is not None:
            parameters[name] = re.sub(r"\\(.)", r"\1", text)
        else:
            parameters[name] = flag != "?0"
        at = found.end()
    return parameters


def _nonce(nonce: object) -> str:
    if not isinstance(nonce, str) or not 1 <= len(nonce) <= NONCE_MAX:
        raise SignatureRefused("nonce", "nonce must be a text of 1 to 255 characters")
    return nonce


def _times(parameters: Mapping[str, object], *, now: datetime) -> tuple[int, int]:
    created, expires = parameters.get("created"), parameters.get("expires")
    if type(created) is not int or type(expires) is not int:
        raise SignatureRefused("times", "created and expires are missing")
    at = now.timestamp()
    if not created - SKEW_S <= at < expires + SKEW_S:
        raise SignatureRefused("times", "it is not yet, or no longer, good")
    if not 0 <= created < expires or expires > at + LIFE_MAX_S + SKEW_S:
        raise SignatureRefused("times", "it must live for at most 300 seconds")
    return created, expires
