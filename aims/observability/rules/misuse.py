"""Rules about authority that is used as it was not meant. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aims.observability.rules.seen import Hit, Rule, Seen, State, Zone, kept, within
from aims.observability.rules.seen import gettext_noop as _

_REFUSED, _REPORT_REFUSED = "authorization.token.refused", "observability.report.refused"
_CODE_AGAIN, _REFRESH_AGAIN = "authorization.code.reused", "authorization.refresh_token.reused"
_ISSUED, _EXCHANGED, _USED = "authorization.token.issued", "authorization.token.exchanged", "authorization.token.used"
_REPORTED, _ASKED = "observability.event.reported", "authorization.request.opened"
_GIVEN, _NARROWED, _ROLE = "authorization.grant.given", "authorization.grant.narrowed", "people.role.given"
_YES = "approvals.decision.approved"
_POWERS = frozenset({"admin", "approver"})
_PLACES_MAX = 200  # of one agent


def _replay(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    if entry.type in (_CODE_AGAIN, _REFRESH_AGAIN):
        yield Hit(
            key=entry.text("code"), indexes=(entry.index,), agent=entry.agent, person=entry.subject, txn=entry.txn
        )
        return
    is_replay = entry.text("reason") == "replayed" or entry.text("code") == "jti_reused"
    if not is_replay:
        return
    who = entry.agent or entry.by
    marks = kept(state, "replays")
    recent = within(marks.get(who, [0, []])[1], since_s=entry.at_s - limits["within_s"])
    recent.append([entry.at_s, entry.index])
    if len(recent) < limits["refusals"]:
        marks[who] = [entry.at_s, recent]
        return
    marks.pop(who, None)
    yield Hit(key=who, indexes=tuple(mark[1] for mark in recent), agent=entry.agent)


def _deputy(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    if entry.txn is None:
        return
    known = kept(state, "txns")
    _, subject, pairs = known.get(entry.txn, [entry.at_s, None, {}])
    pair = f"{entry.agent} {entry.resource}"
    about = {"agent": entry.agent, "resource": entry.resource, "txn": entry.txn}
    if entry.type in (_ISSUED, _EXCHANGED):
        if subject is not None and entry.subject is not None and subject[0] != entry.subject:
            found = (subject[1], entry.index)
            yield Hit(key=f"{entry.agent} {entry.subject}", indexes=found, person=entry.subject, **about)
        pairs = pairs | {pair: entry.index}
        subject = subject or ([entry.subject, entry.index] if entry.subject else None)
        known[entry.txn] = [entry.at_s, subject, pairs]
        return
    is_deed = entry.type == _USED or (entry.text("kind") == "action.executed" and entry.text("side") == "resource")
    if is_deed and entry.txn in known and pair not in pairs:
        yield Hit(key=pair, indexes=(*sorted(pairs.values())[:3], entry.index), **about)


def _own_power(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    if entry.type in (_GIVEN, _NARROWED) and entry.agent is not None and entry.by == entry.agent:
        grant = entry.text("grant")
        yield Hit(key=grant, indexes=(entry.index,), agent=entry.agent, resource=entry.resource, grant=grant)
    if entry.type == _ROLE and entry.by == entry.text("person"):
        yield Hit(key=entry.by, indexes=(entry.index,), person=entry.by)


def _fresh_power(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    given = kept(state, "given")
    if entry.type == _ROLE and entry.text("role") in _POWERS:
        given[entry.text("person")] = [entry.at_s, entry.index]
    elif entry.type == _YES and entry.by in given:
        since_s, index = given.pop(entry.by)
        if entry.at_s - since_s <= limits["within_s"]:
            found = (index, entry.index)
            yield Hit(key=entry.by, indexes=found, person=entry.by, agent=entry.agent, txn=entry.txn)


def _asked_until_let(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    if entry.agent is None:
        return
    refused, widened = kept(state, "refused"), kept(state, "widened")
    if entry.type == _REFUSED and entry.text("code") != "interaction_required":
        recent = within(refused.get(entry.agent, [0, []])[1], since_s=entry.at_s - limits["within_s"])
        refused[entry.agent] = [entry.at_s, [*recent, [entry.at_s, entry.index]][-limits["refusals"] * 2 :]]
    elif entry.type == _GIVEN:
        recent = within(refused.get(entry.agent, [0, []])[1], since_s=entry.at_s - limits["within_s"])
        if len(recent) >= limits["refusals"]:
            found = [*(mark[1] for mark in recent), entry.index]
            widened[f"{entry.agent} {entry.resource}"] = [entry.at_s, found, entry.text("grant")]
    elif entry.type == _ISSUED and (held := widened.pop(f"{entry.agent} {entry.resource}", None)):
        refused.pop(entry.agent, None)
        if entry.at_s - held[0] <= limits["within_s"]:
            shown = (*held[1], entry.index)
            yield Hit(
                key=f"{entry.agent} {entry.resource}", indexes=shown, agent=entry.agent, resource=entry.resource,
                grant=held[2] or None, txn=entry.txn,
            )  # fmt: skip


def _unusual(entry: Seen, state: State, limits: Mapping[str, int], zone: Zone) -> Iterable[Hit]:
    if entry.agent is None:
        return
    known, fresh = kept(state, "known"), kept(state, "fresh")
    if entry.type == _ASKED:
        new = fresh.get(entry.agent)
        is_recent = new is not None and entry.at_s - new[0] <= limits["within_s"]
        if new is not None and is_recent and entry.text("reversibility") == "irreversible":
            del fresh[entry.agent]
            found = (new[1], entry.index)
            yield Hit(key=f"{entry.agent} {new[2]}", indexes=found, agent=entry.agent, resource=new[2], txn=entry.txn)
        return
    tool = entry.text("tool")
    place = f"tool:{tool}" if tool else entry.resource
    if place is None:
        return
    _, count, places = known.get(entry.agent, [entry.at_s, 0, []])
    if place not in places:
        if count >= limits["history"]:
            fresh[entry.agent] = [entry.at_s, entry.index, place]
        places = [*places, place][-_PLACES_MAX:]
    known[entry.agent] = [entry.at_s, count + 1, places]


RULES = (
    Rule(
        id="replay",
        version=1,
        title=_("Proofs shown twice"),
        says=_(
            "An assertion, a proof of possession or a report came again and again, or a code was used a second time."
        ),
        severity="high",
        limits={"refusals": 5, "within_s": 600},
        types=frozenset({_REFUSED, _REPORT_REFUSED, _CODE_AGAIN, _REFRESH_AGAIN}),
        watch=_replay,
    ),
    Rule(
        id="confused-deputy",
        version=1,
        title=_("Authority used elsewhere than it was for"),
        says=_(
            "In one transaction an agent acted at a resource, or for a person, for which it was given nothing there."
        ),
        severity="high",
        limits={},
        types=frozenset({_ISSUED, _EXCHANGED, _USED, _REPORTED}),
        watch=_deputy,
    ),
    Rule(
        id="own-power",
        version=1,
        title=_("Gave itself more power"),
        says=_("An agent gave or changed a permission of its own, or a person gave themselves a role."),
        severity="high",
        limits={},
        types=frozenset({_GIVEN, _NARROWED, _ROLE}),
        watch=_own_power,
    ),
    Rule(
        id="fresh-power",
        version=1,
        title=_("A new role, used at once"),
        says=_("Somebody was made admin or approver, and signed a yes soon after."),
        severity="medium",
        limits={"within_s": 3_600},
        types=frozenset({_ROLE, _YES}),
        watch=_fresh_power,
    ),
    Rule(
        id="asked-until-let",
        version=1,
        title=_("Asked until it was let"),
        says=_("An agent was refused several times, then given a permission, and used it at once."),
        severity="medium",
        limits={"refusals": 3, "within_s": 1_800},
        types=frozenset({_REFUSED, _GIVEN, _ISSUED}),
        watch=_asked_until_let,
    ),
    Rule(
        id="unusual-sequence",
        version=1,
        title=_("Somewhere new, then something irreversible"),
        says=_(
            "An agent with a history used a tool or resource for the first time, and soon asked for what can't be undone."
        ),
        severity="medium",
        limits={"history": 20, "within_s": 600},
        types=frozenset({_ISSUED, _EXCHANGED, _REPORTED, _ASKED}),
        watch=_unusual,
    ),
)
