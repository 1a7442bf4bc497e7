"""The card page as values: what stands above the seal, what below, and what the browser's passkey call needs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from aims.authorization import cards
from aims.authorization.models import ApprovalRequest
from aims.people.models import Passkey, User
from aims.people.options import request_options
from aims.people.queries import descriptors
from aims.policy import queries as policies
from approvals.models import Decision, PreparedContext
from approvals.queries import Standing, state_at

# The card's words are English until its templates are translated; the context says which language was shown.
LOCALE = "en"
_NUMBER_KINDS = frozenset({"money", "count"})
_MONO_KINDS = frozenset({"mono", "commit", "iban", "raw"})
_MONO_SUB_KINDS = frozenset({"resource", "agent", "person"})
_LINES_KINDS = frozenset({"names", "long"})
_ASKED = {"subject": gettext_noop("the person it is for"), "owner": gettext_noop("the agent's owner")}
# state -> what happened, what it means now
_OVER = {
    "approved": (gettext_noop("Approved"), gettext_noop("The agent may use it until %(until)s.")),
    "redeemed": (gettext_noop("Approved and used"), gettext_noop("The agent has taken its token; it works once.")),
    "denied": (gettext_noop("Denied"), gettext_noop("The agent was told no. Nothing was done.")),
    "expired": (
        gettext_noop("Expired"),
        gettext_noop("Nobody decided in time. If it is still wanted, the agent has to ask again."),
    ),
    "cancelled": (gettext_noop("Withdrawn"), gettext_noop("The agent or an admin took it back. Nothing to do.")),
    "superseded": (
        gettext_noop("Overtaken by policy"),
        gettext_noop("The policy changed while this waited. The agent has to ask again under the new one."),
    ),
}


@dataclass(frozen=True)
class Fact:
    """One row above the seal. lines: the value, hidden characters not yet marked; kind: number, mono or text."""

    label: str
    lines: tuple[str, ...]
    sub: str
    kind: str
    is_mono_sub: bool


@dataclass(frozen=True)
class Line:
    """One row of the list, as ``components/item.html`` takes it, which makes hidden characters visible."""

    ref: str
    title: str
    sub: str
    agent: str
    tone: str
    at: datetime | None
    side: str
    is_done: bool


@dataclass(frozen=True)
class Outcome:
    """What to say of a request that this reader can't decide any more, or not yet finish. tone: as notices have it."""

    title: str
    text: str
    tone: str


def facts_of(card: cards.Card) -> list[Fact]:
    """Return the rows of the card in their order, each value split only where it is a list or a long text."""
    return [
        Fact(
            label=row.label,
            lines=tuple(row.value.split("\n")) if row.kind in _LINES_KINDS else (row.value,),
            sub=row.sub,
            kind="number" if row.kind in _NUMBER_KINDS else "mono" if row.kind in _MONO_KINDS else "text",
            is_mono_sub=row.kind in _MONO_SUB_KINDS,
        )
        for row in card.rows
    ]


def line_of(request: ApprovalRequest, *, person: User, now: datetime) -> Line:
    """Return the request as one row of the list."""
    state = state_at(request, now)
    is_waiting = state in ("pending", "partly_approved")
    mine = next((one for one in request.decisions.all() if one.person_id == person.pk), None)
    done = is_waiting is False or mine is not None
    return Line(
        ref=request.ref,
        title=request.headline,
        sub=_what_happened(request, state, mine, person) if done else _who(request, person),
        agent=request.agent.name,
        tone="no" if request.reversibility == "irreversible" else "info",
        at=None if done else request.expires_at,
        side="",
        is_done=done,
    )


def _who(request: ApprovalRequest, person: User) -> str:
    names = {"agent": request.agent.name, "subject": request.subject.name}
    who = _("%(agent)s for you") % names if request.subject_id == person.pk else _("%(agent)s for %(subject)s") % names
    if request.required > 1:
        agreed = sum(one.decision == "approve" for one in request.decisions.all())
        return f"{who} · " + _("%(agreed)d of %(required)d agreed") % {"agreed": agreed, "required": request.required}
    return who


def _what_happened(request: ApprovalRequest, state: str, mine: Decision | None, person: User) -> str:
    if mine is not None:
        said = _("You approved") if mine.decision == "approve" else _("You denied")
        return f"{said} · {_('used')}" if state == "redeemed" else said
    other = next(iter(request.decisions.all()), None)
    if other is not None and state in ("approved", "redeemed", "denied"):
        return _("%(name)s decided") % {"name": other.person.name}
    return _(_OVER[state][0]) if state in _OVER else _who(request, person)


def outcome_of(request: ApprovalRequest, standing: Standing, person: User) -> Outcome | None:
    """Return what to say instead of the buttons; None while the reader can decide."""
    if standing.may_decide:
        return None
    if standing.state in _OVER:
        title, text = (_(words) for words in _OVER[standing.state])
        tone = {"approved": "yes", "redeemed": "yes", "denied": "danger"}.get(standing.state, "info")
        return Outcome(title + _by(standing, person), text % {"until": _moment(request.approved_until_at)}, tone)
    if standing.mine is not None:
        left = request.required - standing.yeses
        text = ngettext("%(n)d more signature is needed.", "%(n)d more signatures are needed.", left) % {"n": left}
        return Outcome(_("You have signed"), text, "waiting")
    return Outcome(
        _("Not yours to decide"), _("You can read this request; the people whom policy names decide."), "info"
    )


def _moment(at: datetime | None) -> str:
    return "" if at is None else date_format(localtime(at), "H:i:s")


def _by(standing: Standing, person: User) -> str:
    if standing.last is None or standing.state not in ("approved", "redeemed", "denied"):
        return ""
    if standing.last.person_id == person.pk:
        return " " + _("by you")
    return " " + _("by %(name)s") % {"name": standing.last.person.name}


def why_of(card: cards.Card) -> dict[str, Any]:
    """Return why a person is asked: what the policies that decided say, and whom they name."""
    policy, quorum = card.statement.policy, card.statement.quorum
    return {
        "policies": policies.words_of(policy.version, policy.hash, policy.determined_by),
        "asked": [_(_ASKED[name]) if name in _ASKED else name.removeprefix("group:") for name in quorum.groups],
        "version": policy.version,
        "required": quorum.required,
    }


def options_for(prepared: PreparedContext, passkeys: Sequence[Passkey]) -> str:
    """Return the options of ``navigator.credentials.get`` as JSON."""
    allow = descriptors(passkeys)
    return json.dumps(request_options(challenge=bytes(prepared.challenge), rp_id=settings.RP_ID, allow=allow))
