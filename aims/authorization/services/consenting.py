"""What a person answers an agent that came through their browser: what is asked, what the policy says, yes and no.

A yes is a grant of theirs, and a code that stands on it; where the policy asks, it is a decision that they sign first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from aims.authorization.authorize import Requested, answer_uri, read
from aims.authorization.authorize_errors import ReferenceUnknown
from aims.authorization.authorize_events import ConsentAgreed, ConsentRefused
from aims.authorization.errors import (
    AccessDenied,
    described,
)
from aims.authorization.models import ApprovalRequest, Consent, DelegationGrant, PushedRequest
from aims.authorization.services.codes import Standing, issue_code
from aims.authorization.services.grants import GiveGrant, give_grant
from aims.authorization.services.opening import OpenRequest, Proposed, open_request
from aims.authorization.services.order import begin
from aims.authorization.services.pushing import facts_of
from aims.authorization.services.requests import locked
from aims.authorization.services.seeking import (
    Sought,
    Terms,
    Verdict,
    binding_of,
    judge,
    narrowed,
    remembered,
    sought_by,
)
from aims.authorization.states import OPEN, RequestState
from aims.identifier.models import Agent, AgentState
from aims.kit.errors import AimsError
from aims.people.models import User
from audit.write import record

DOOR = "authorize"


@dataclass(frozen=True, kw_only=True)
class SignIn:
    """Who is at the browser, and how they signed in. acr: ``phr``, or ``phrh`` where the key never leaves its device.

    session_hash: of their browser's session.
    """

    person: User
    at: datetime
    acr: str
    amr: tuple[str, ...]
    session_hash: str


def agree(row: PushedRequest, who: SignIn, terms: Terms, *, now: datetime) -> str | ApprovalRequest:
    """Take a person's yes: return where the browser goes with the code, or the decision that they have to sign first.

    Raises ReferenceUnknown (answered meanwhile), AccessDenied, AskDenied, TooManyOpen, GrantRefused and those of
    ``sought_by``; after any of these nothing has changed.
    """
    asked = read(row.parameters)
    requested = narrowed(asked, terms)
    with transaction.atomic():
        agent = _held(row)
        person = _present(who)
        sought = sought_by(agent, requested)
        verdict = judge(agent, person, sought, jkt=row.jkt, now=now)
        if verdict.must_sign:
            return _ask(row, agent, who, requested, sought, terms, is_narrowed=requested != asked, now=now)
        _take(row)
        grant = _give(agent, person, requested, sought, terms, approval=None, now=now) if sought.resource else None
        return _answered(row, agent, who, requested, verdict, grant, is_narrowed=requested != asked, now=now)


def repeat(row: PushedRequest, who: SignIn, grant: DelegationGrant, *, now: datetime) -> str:
    """Answer what a person agreed to before, without asking again; return where the browser goes. Raises as ``agree``."""
    requested = read(row.parameters)
    with transaction.atomic():
        agent = _held(row)
        person = _present(who)
        sought = sought_by(agent, requested)
        standing = remembered(agent, person, requested, sought, now=now)
        if standing is None or standing.pk != grant.pk:
            raise ReferenceUnknown
        verdict = judge(agent, person, sought, jkt=row.jkt, now=now, grant=standing)
        if verdict.must_sign:
            raise ReferenceUnknown
        _take(row)
        return _answered(row, agent, who, requested, verdict, standing, is_remembered=True, now=now)


def go_on(row: PushedRequest, who: SignIn, *, now: datetime) -> str | None:
    """Return where the browser goes once the decision has fallen; None while it is awaited. Raises as ``agree``."""
    assert row.approval is not None and row.terms is not None
    terms = Terms.from_dict(row.terms)
    requested = narrowed(read(row.parameters), terms)
    with transaction.atomic():
        agent = _held(row)
        approval = locked(row.approval)
        if RequestState(approval.state) in OPEN and approval.expires_at > now:
            return None
        until = approval.approved_until_at
        if approval.state != RequestState.APPROVED or until is None or until <= now:
            raise AccessDenied("The request was not approved.", detail=str(approval.state))
        person = _present(who)
        sought = sought_by(agent, requested)
        judge(agent, person, sought, jkt=row.jkt, now=now)  # may have become no; that it asks is what was answered
        _take(row)
        grant = _give(agent, person, requested, sought, terms, approval=approval, now=now)
        return _code(row, agent, who, requested, grant, approval, now=now)


def refuse(row: PushedRequest, error: AimsError, *, by: str, reason: str, now: datetime) -> str:
    """End a request with an error; return where the browser goes with it. Raises ReferenceUnknown if it was answered.

    by: the person's ref where they are known. reason: of ``ConsentRefused``.
    """
    requested = read(row.parameters)
    with transaction.atomic():
        _take(row)
        event = ConsentRefused(
            pushed=row.ref,
            code=error.code,
            reason=reason,
            policies=list(getattr(error, "policies", ())),
            request=row.approval.ref if row.approval else None,
        )
        subject = by if by.startswith("usr_") else None
        record(event, by=by, facts=facts_of(row, requested, decision="deny", subject=subject))
    return error_uri(requested, error)


def error_uri(requested: Requested, error: AimsError) -> str:
    """Return where the browser goes with an error. Spec: RFC 6749 §4.1.2.1, RFC 9207 §2."""
    return answer_uri(
        requested.redirect_uri,
        issuer=settings.ISSUER,
        state=requested.state,
        error=error.code,
        error_description=described(error.public),
    )


# -- the parts of a yes ------------------------------------------------------------------------------------


def _held(row: PushedRequest) -> Agent:
    begin(row.agent)
    agent = Agent.objects.select_related("owner").get(pk=row.agent_id)
    if agent.state != AgentState.ACTIVE:
        raise AccessDenied("The agent has been stopped.", detail="agent not active")
    return agent


def _present(who: SignIn) -> User:
    """Return the person, their row locked: who deactivates them waits for us, or we see it."""
    person = User.objects.select_for_update(no_key=True).get(pk=who.person.pk)
    if not person.is_active:
        raise AccessDenied(detail="person not active")
    return person


def _take(row: PushedRequest) -> None:
    """Use a request up: of two answers at once, one finds it gone."""
    if PushedRequest.objects.filter(pk=row.pk).delete()[0] != 1:
        raise ReferenceUnknown


def _ask(
    row: PushedRequest,
    agent: Agent,
    who: SignIn,
    requested: Requested,
    sought: Sought,
    terms: Terms,
    *,
    is_narrowed: bool,
    now: datetime,
) -> ApprovalRequest:
    assert sought.resource is not None
    command = OpenRequest(
        door=DOOR,
        agent=agent,
        subject=who.person,
        resource=sought.resource,
        scope=" ".join(requested.scope),
        wanted=sought.wanted,
        details=requested.details,
        binding_message=None,
        agent_says=None,
        requested_expiry_s=None,
        binding=binding_of(agent, row.jkt),
        proposed=Proposed(until_at=terms.until_at, budget=terms.budget),
    )
    request = open_request(command, now=now)
    waiting = PushedRequest.objects.filter(pk=row.pk, approval=None)
    until = request.expires_at + timedelta(seconds=request.use_within_s)
    held = {"person": who.person, "session_hash": who.session_hash, "terms": terms.to_dict(), "approval": request}
    if waiting.update(**held, expires_at=until) != 1:
        raise ReferenceUnknown
    row.approval = request
    verdict = Verdict(must_sign=True, version=request.policy_version)
    _record_yes(row, requested, verdict, None, who.person, is_narrowed=is_narrowed)
    return request


def _give(
    agent: Agent,
    person: User,
    requested: Requested,
    sought: Sought,
    terms: Terms,
    *,
    approval: ApprovalRequest | None,
    now: datetime,
) -> DelegationGrant:
    """Give exactly what was agreed to, in this person's name, to be passed on to nobody."""
    assert sought.resource is not None
    command = GiveGrant(
        from_person=person,
        agent=agent,
        resource=sought.resource,
        actions=tuple(dict.fromkeys(item.action.name for item in sought.wanted)),
        detail_types=tuple(dict.fromkeys(item.action.detail_type for item in sought.wanted if item.detail)),
        until_at=terms.until_at,
        budget=terms.budget,
        depth=0,
        approval=approval,
    )
    grant = give_grant(command, by=person.ref, now=now)
    Consent.objects.create(grant=grant, scope=" ".join(requested.scope), details=list(requested.details))
    return grant


def _answered(
    row: PushedRequest,
    agent: Agent,
    who: SignIn,
    requested: Requested,
    verdict: Verdict,
    grant: DelegationGrant | None,
    *,
    is_narrowed: bool = False,
    is_remembered: bool = False,
    now: datetime,
) -> str:
    _record_yes(row, requested, verdict, grant, who.person, is_narrowed=is_narrowed, is_remembered=is_remembered)
    return _code(row, agent, who, requested, grant, None, now=now)


def _code(
    row: PushedRequest,
    agent: Agent,
    who: SignIn,
    requested: Requested,
    grant: DelegationGrant | None,
    approval: ApprovalRequest | None,
    *,
    now: datetime,
) -> str:
    standing = Standing(
        agent=agent,
        person=who.person,
        grant=grant,
        request=approval,
        resource=requested.resource,
        scope=" ".join(requested.scope),
        details=requested.details,
        auth_time=who.at,
        acr=who.acr,
        amr=who.amr,
        nonce=requested.nonce,
        jkt=row.jkt,
    )
    code = issue_code(standing, redirect_uri=requested.redirect_uri, code_challenge=requested.code_challenge, now=now)
    return answer_uri(requested.redirect_uri, issuer=settings.ISSUER, state=requested.state, code=code)


def _record_yes(
    row: PushedRequest,
    requested: Requested,
    verdict: Verdict,
    grant: DelegationGrant | None,
    person: User,
    *,
    is_narrowed: bool = False,
    is_remembered: bool = False,
) -> None:
    event = ConsentAgreed(
        pushed=row.ref,
        grant=grant.ref if grant else None,
        request=row.approval.ref if row.approval else None,
        is_narrowed=is_narrowed,
        is_remembered=is_remembered,
        policy_version=verdict.version,
        policies=list(verdict.policies),
    )
    decision = "ask" if verdict.must_sign else "allow"
    record(event, by=person.ref, facts=facts_of(row, requested, decision=decision, subject=person.ref))
