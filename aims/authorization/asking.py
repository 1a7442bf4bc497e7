"""From several policy decisions to one: what a request asks of people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from aims.policy.engine import Allow, Ask, Deny

SUBJECT = "subject"


@dataclass(frozen=True, kw_only=True)
class Asking:
    """The strictest of several answers. approvers: one set of names for each answer; who decides is in all of them.

    lifetime_s, use_within_s: None where policy sets none.
    """

    policies: tuple[str, ...]
    version: int
    hash: str
    approvers: tuple[frozenset[str], ...]
    quorum: int
    lifetime_s: int | None
    use_within_s: int | None
    exclude: frozenset[str]


def strictest(decisions: Sequence[Allow | Ask | Deny]) -> Asking | Deny:
    """Return one answer for several: a Deny wins, then everything asked adds up.

    Allow counts as asking the subject: this door always asks a person.
    """
    for decision in decisions:
        if isinstance(decision, Deny):
            return decision
    asked = [_asking(decision) for decision in decisions if not isinstance(decision, Deny)]
    assert asked, "a request for nothing is refused at the door"
    first, *others = asked
    for other in others:
        first = _joined(first, other)
    return first


def _asking(decision: Allow | Ask) -> Asking:
    base = Asking(
        policies=tuple(decision.policies),
        version=decision.version,
        hash=decision.hash,
        approvers=(frozenset({SUBJECT}),),
        quorum=1,
        lifetime_s=None,
        use_within_s=None,
        exclude=frozenset(),
    )
    if isinstance(decision, Allow):
        return base
    return replace(
        base,
        approvers=(frozenset(decision.approvers),),
        quorum=decision.quorum,
        lifetime_s=decision.lifetime_s,
        use_within_s=decision.use_within_s,
        exclude=frozenset(decision.exclude),
    )


def _joined(one: Asking, other: Asking) -> Asking:
    return replace(
        one,
        policies=tuple(dict.fromkeys(one.policies + other.policies)),
        approvers=tuple(dict.fromkeys(one.approvers + other.approvers)),
        quorum=max(one.quorum, other.quorum),
        lifetime_s=shortest(one.lifetime_s, other.lifetime_s),
        use_within_s=shortest(one.use_within_s, other.use_within_s),
        exclude=one.exclude | other.exclude,
    )


def shortest(*limits: int | None) -> int | None:
    """Return the smallest of the limits that are set."""
    return min(_set(limits), default=None)


def _set(limits: Iterable[int | None]) -> Iterable[int]:
    return (limit for limit in limits if limit is not None)
