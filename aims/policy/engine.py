"""The policy engine: facts in, Allow, Ask or Deny out, each naming the policies that determined it. Pure.

Cedar decides; annotations on satisfied permits say who is asked. Whatever is doubtful is Deny.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from typing import Any

import cedarpy

from aims.kit.ids import tagged_hash
from aims.policy.errors import PolicyRefused

POLICY_MAX_BYTES = 256 * 1024
LIFETIME_MAX_S = 72 * 3600
USE_WITHIN_MAX_S = 3600
QUORUM_MAX = 1  # design: until quorum is built, one signature is all that can be asked for
SCHEMA = cedarpy.Schema.from_str("""
entity Agent = { state: String, owner: String, posture: String };
entity Resource;
action "use" appliesTo { principal: [Agent], resource: [Resource], context: {
  action: String, reversibility: String, detail_type: String, has_grant: Bool, binding: String,
  grant?: String, subject?: String, amount?: decimal, currency?: String
} };
""")
_OBLIGATIONS = frozenset({"ask", "quorum", "lifetime", "use_within", "exclude"})
_ANNOTATIONS = _OBLIGATIONS | {"id", "says"}
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}", re.ASCII)
_WHO = re.compile(r"subject|owner|group:[a-z0-9][a-z0-9_-]{0,63}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class PolicyFacts:
    """What the policy may look at. reversibility: from the registry. grant: ref of the covering grant.

    amount: decimal text. binding: how the token will be bound to a key: ``dpop``, ``mtls``, ``none`` (a bearer token).
    """

    agent: str
    agent_state: str
    owner: str
    posture: str
    subject: str | None
    resource: str
    action: str
    reversibility: str
    detail_type: str
    grant: str | None
    amount: str | None
    currency: str | None
    binding: str = "none"

    def to_dict(self) -> dict[str, str | None]:
        """Return the facts as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> PolicyFacts:
        """Return the facts that ``to_dict`` wrote."""
        return cls(**{item.name: value[item.name] for item in fields(cls) if item.name in value})


@dataclass(frozen=True, kw_only=True)
class Allow:
    policies: tuple[str, ...]
    version: int
    hash: str


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A person must say yes. approvers, exclude: ``subject``, ``owner``, ``group:<slug>``.

    None: the deployment's default.
    """

    policies: tuple[str, ...]
    version: int
    hash: str
    approvers: frozenset[str]
    quorum: int
    lifetime_s: int | None
    use_within_s: int | None
    exclude: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Deny:
    """No. reason: ``forbidden``, ``nothing_permits``, ``policy_error``, ``nobody_to_ask``, ``no_policy``."""

    policies: tuple[str, ...]
    version: int
    hash: str
    reason: str


Decision = Allow | Ask | Deny


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One policy of the set: its id, effect, own words and obligations."""

    id: str
    effect: str
    says: str
    ask: frozenset[str]
    quorum: int
    lifetime_s: int | None
    use_within_s: int | None
    exclude: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class CompiledPolicy:
    """A policy parsed once. rules: position (``policy0`` …) to rule."""

    version: int
    text: str
    hash: str
    rules: dict[str, Rule]
    handle: cedarpy.PolicySet = field(repr=False)


def compile(text: str, *, version: int = 0) -> CompiledPolicy:
    """Parse, type-check and read the annotations of a policy text. Raises PolicyRefused, saying what is wrong."""
    raw = text.encode()
    if len(raw) > POLICY_MAX_BYTES:
        raise PolicyRefused("The policy is longer than 256 KiB.")
    parsed = read(text)
    if parsed["templates"]:
        raise PolicyRefused("Policy templates (?principal, ?resource) are not supported.")
    rules = {place: _rule(place, body) for place, body in parsed["staticPolicies"].items()}
    _check_ids(rules.values())
    result = cedarpy.validate_policies(text, SCHEMA)
    if not result.validation_passed:
        raise PolicyRefused("The policy does not fit the schema: " + "; ".join(_named(e, rules) for e in result.errors))
    return CompiledPolicy(
        version=version,
        text=text,
        hash=tagged_hash(raw),
        rules=rules,
        handle=cedarpy.PolicySet.from_str(text),
    )


def evaluate(facts: PolicyFacts, *, policy: CompiledPolicy | None) -> Decision:
    """Return what the policy says about these facts. No policy, no permission."""
    if policy is None:
        return Deny(policies=(), version=0, hash="", reason="no_policy")
    result = cedarpy.is_authorized(_request(facts), policy.handle, _entities(facts), SCHEMA)
    rules = [policy.rules[place] for place in sorted(result.diagnostics.reasons) if place in policy.rules]
    # A forbid that fails to evaluate is silently skipped by Cedar, so any error at all is a no.
    if result.diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
        return _deny(rules, policy, "policy_error")
    if result.decision is not cedarpy.Decision.Allow or not rules:
        return _deny(rules, policy, "forbidden" if rules else "nothing_permits")
    asking = [rule for rule in rules if rule.ask]
    if not asking:
        return Allow(policies=_ids(rules), version=policy.version, hash=policy.hash)
    return _ask(rules, policy)


def _ask(rules: Sequence[Rule], policy: CompiledPolicy) -> Decision:
    """Add up the obligations of all satisfied permits; nobody left to ask is a no."""
    exclude = frozenset().union(*(rule.exclude for rule in rules))
    approvers = frozenset().union(*(rule.ask for rule in rules)) - exclude
    if not approvers:
        return _deny(rules, policy, "nobody_to_ask")
    return Ask(
        policies=_ids(rules),
        version=policy.version,
        hash=policy.hash,
        approvers=approvers,
        quorum=max(rule.quorum for rule in rules),
        lifetime_s=_shortest(rule.lifetime_s for rule in rules),
        use_within_s=_shortest(rule.use_within_s for rule in rules),
        exclude=exclude,
    )


def _deny(rules: Sequence[Rule], policy: CompiledPolicy, reason: str) -> Deny:
    return Deny(policies=_ids(rules), version=policy.version, hash=policy.hash, reason=reason)


def _ids(rules: Iterable[Rule]) -> tuple[str, ...]:
    return tuple(sorted(rule.id for rule in rules))


def _shortest(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)


def _request(facts: PolicyFacts) -> dict[str, Any]:
    context: dict[str, Any] = {
        "action": facts.action,
        "reversibility": facts.reversibility,
        "detail_type": facts.detail_type,
        "has_grant": facts.grant is not None,
        "binding": facts.binding,
    }
    for name in ("grant", "subject", "currency"):
        if (value := getattr(facts, name)) is not None:
            context[name] = value
    if facts.amount is not None:
        context["amount"] = {"__extn": {"fn": "decimal", "arg": _decimal(facts.amount)}}
    return {
        "principal": {"type": "Agent", "id": facts.agent},
        "action": {"type": "Action", "id": "use"},
        "resource": {"type": "Resource", "id": facts.resource},
        "context": context,
    }


def _decimal(text: str) -> str:
    """Return the amount as Cedar spells it; what is no number, or too fine, stays as it is and Cedar refuses it."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    if not value.is_finite():
        return text
    plain = f"{value:f}"
    return plain if "." in plain else f"{plain}.0"


def _entities(facts: PolicyFacts) -> list[dict[str, Any]]:
    attrs = {"state": facts.agent_state, "owner": facts.owner, "posture": facts.posture}
    return [
        {"uid": {"type": "Agent", "id": facts.agent}, "attrs": attrs, "parents": []},
        {"uid": {"type": "Resource", "id": facts.resource}, "attrs": {}, "parents": []},
    ]


def read(text: str) -> dict[str, Any]:
    """Return what Cedar's grammar makes of a text. Raises PolicyRefused."""
    try:
        parsed: dict[str, Any] = json.loads(cedarpy.policies_to_json_str(text))
    except ValueError as error:
        raise PolicyRefused(f"The policy does not parse: {error}.") from error
    return parsed


def _named(error: cedarpy.ValidationError, rules: dict[str, Rule]) -> str:
    rule = rules.get(error.policy_id)
    return error.error.replace(error.policy_id, rule.id) if rule else error.error


def _check_ids(rules: Iterable[Rule]) -> None:
    seen: set[str] = set()
    for rule in rules:
        if rule.id in seen:
            raise PolicyRefused(f"Two policies have the id {rule.id!r}.")
        seen.add(rule.id)


def _rule(place: str, body: dict[str, Any]) -> Rule:
    """Read the annotations of one policy; one that we don't know might be a duty that we would not keep."""
    notes: dict[str, str] = {name: value or "" for name, value in body.get("annotations", {}).items()}
    name = notes.get("id", "")
    if not _ID.fullmatch(name):
        raise PolicyRefused(f'{place}: every policy needs an @id("…") of a-z, 0-9, ".", "-" and "_".')
    if unknown := sorted(notes.keys() - _ANNOTATIONS):
        raise PolicyRefused(f"{name}: @{unknown[0]} is not an annotation that we know.")
    duties = sorted(notes.keys() & _OBLIGATIONS)
    if body["effect"] == "forbid" and duties:
        raise PolicyRefused(f"{name}: @{duties[0]} has no meaning on a forbid.")
    if duties and "ask" not in notes:
        raise PolicyRefused(f"{name}: @{duties[0]} needs an @ask.")
    return Rule(
        id=name,
        effect=body["effect"],
        says=notes.get("says", ""),
        ask=_people(name, "ask", notes),
        quorum=_number(name, "quorum", notes, QUORUM_MAX) or 1,
        lifetime_s=_number(name, "lifetime", notes, LIFETIME_MAX_S),
        use_within_s=_number(name, "use_within", notes, USE_WITHIN_MAX_S),
        exclude=_people(name, "exclude", notes),
    )


def _people(rule: str, note: str, notes: dict[str, str]) -> frozenset[str]:
    if note not in notes:
        return frozenset()
    names = [part.strip() for part in notes[note].split(",")]
    for name in names:
        if not _WHO.fullmatch(name):
            raise PolicyRefused(f'{rule}: @{note} names "subject", "owner" or "group:<slug>", not {name!r}.')
    return frozenset(names)


def _number(rule: str, note: str, notes: dict[str, str], most: int) -> int | None:
    """Return a whole number from 1 to ``most``; lifetimes in seconds."""
    if note not in notes:
        return None
    text = notes[note]
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= most:
        limit = "one signature, until quorum is built" if note == "quorum" else f"1 to {most}"
        raise PolicyRefused(f"{rule}: @{note} takes {limit}, not {text!r}.")
    return int(text)
