"""The statement: the canonical bytes R of what is asked. The card is rendered from them, the person signs over them.

Pure. Spec: docs/formats.md; RFC 8785 for the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aims.kit.ids import tagged_hash
from audit.canonical import CanonicalError, decode, encode

TYP = "agent-approval-request"
VERSION = 1
MAX_USES = 1


class StatementRefused(Exception):
    """The bytes are not a statement: not canonical, another type or version, or not exactly its members."""


@dataclass(frozen=True, kw_only=True)
class PolicyRef:
    """The policy that asked. determined_by: ids of the policies that determined the answer."""

    id: str
    version: int
    hash: str
    determined_by: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Quorum:
    """Who has to agree. groups: whom the policy named, as it wrote them; exclude: refs of people who may not decide."""

    required: int
    groups: tuple[str, ...]
    distinct_humans: bool
    exclude: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TemplateRef:
    """The template that renders the card. hash: over its definition, so that a later wording is another template."""

    id: str
    version: int
    hash: str


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is asked, as signed. iat, exp: NumericDate. facts: snapshots shown on the card, with their time."""

    iss: str
    request_id: str
    client_id: str
    sub: str
    scope: str
    resource: str
    authorization_details: tuple[Mapping[str, Any], ...]
    binding_message: str | None
    agent_says: str | None
    facts: Mapping[str, Any]
    reversibility: str
    policy: PolicyRef
    quorum: Quorum
    use_within_s: int
    max_uses: int
    template: TemplateRef
    iat: int
    exp: int


def build(statement: Statement) -> bytes:
    """Return the canonical bytes R. Raises CanonicalError where a value is outside I-JSON (RFC 7493)."""
    members = asdict(statement) | {
        "typ": TYP,
        "v": VERSION,
        "authorization_details": list(statement.authorization_details),
        "facts": dict(statement.facts),
    }
    return encode(_with_lists(members))


def parse(raw: bytes) -> Statement:
    """Return the statement in R. Raises StatementRefused unless the bytes are exactly what ``build`` makes."""
    try:
        members = decode(raw)
        is_canonical = encode(members) == raw
    except CanonicalError as error:
        raise StatementRefused(str(error)) from error
    if not is_canonical:
        raise StatementRefused("the bytes are not in canonical form")
    if not isinstance(members, dict) or (
        members.pop("typ", None),
        members.pop("v", None),
    ) != (TYP, VERSION):
        raise StatementRefused("not a statement of this version")
    try:
        return _statement(members)
    except (TypeError, KeyError) as error:
        raise StatementRefused("not exactly the members of a statement") from error


def request_hash(raw: bytes) -> str:
    """Return the hash of R as contexts, receipts and log entries spell it; R's own ``typ`` is its tag."""
    return tagged_hash(raw)


def _statement(members: dict[str, Any]) -> Statement:
    policy, quorum = dict(members.pop("policy")), dict(members.pop("quorum"))
    policy["determined_by"] = tuple(policy["determined_by"])
    quorum |= {"groups": tuple(quorum["groups"]), "exclude": tuple(quorum["exclude"])}
    return Statement(
        policy=PolicyRef(**policy),
        quorum=Quorum(**quorum),
        template=TemplateRef(**members.pop("template")),
        authorization_details=tuple(members.pop("authorization_details")),
        **members,
    )


def _with_lists(value: Any) -> Any:
    # asdict keeps tuples; JSON knows lists only.
    if isinstance(value, dict):
        return {name: _with_lists(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_lists(member) for member in value]
    return value
