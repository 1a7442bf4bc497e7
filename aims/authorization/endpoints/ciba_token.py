"""The CIBA grant at the token endpoint. Spec: CIBA Core 1.0 §10.1, §11."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpResponse

from aims.authentication.client import Client
from aims.authorization import queries
from aims.authorization.errors import InvalidGrant, InvalidRequest, Outdated, UnauthorizedClient
from aims.authorization.pipeline import Call, answer
from aims.authorization.services import polling, redemption, redemption_row
from aims.authorization.services.backchannel import once, record_refusal
from aims.identifier.models import Agent
from aims.kit.errors import AimsError
from aims.kit.forms import Form, single

CIBA = queries.CIBA
AUTH_REQ_ID_MAX = 256


def handle(call: Call) -> HttpResponse:
    """Answer a poll; its verb spends the proof and settles its refusals: a poll in vain is no entry."""
    _raise_if_in_time(call)
    if redeemed := _redeemed(call):
        return answer(redeemed)
    if call.is_recalled:
        raise Outdated  # nothing was written: once more, with what the database says now
    call.is_settling = True
    return answer(ciba_token(call.client, call.form, now=call.now))


def _raise_if_in_time(call: Call) -> None:
    """Answer what most polls are: in time, and nobody has decided. Whatever else it is, the checks below say."""
    agent, auth_req_id = call.client.agent, call.value("auth_req_id")
    pending = None
    if agent and auth_req_id and len(auth_req_id) <= AUTH_REQ_ID_MAX:
        pending = polling.answer_in_time(call.client, agent, auth_req_id, now=call.now)
    if pending:
        call.is_settling = True
        raise pending


def _redeemed(call: Call) -> dict[str, Any] | None:
    """Return the token response where all is as it was when the person said yes; None: nothing was written."""
    agent, auth_req_id = call.client.agent, call.value("auth_req_id")
    if agent and auth_req_id and len(auth_req_id) <= AUTH_REQ_ID_MAX:
        return redemption_row.redeem(call.client, agent, auth_req_id, now=call.now)
    return None


def ciba_token(client: Client, form: Form, *, now: datetime) -> dict[str, Any]:
    """Return the token response. Raises the errors of §11; each of them has spent the client's proof."""
    agent = client.agent
    if agent is None:
        raise UnauthorizedClient
    try:
        auth_req_id = _auth_req_id(agent, form)
    except AimsError as error:
        return _refuse(client, agent, error)
    return redemption.redeem(client, agent, auth_req_id, now=now)


def _auth_req_id(agent: Agent, form: Form) -> str:
    application = queries.client_of(agent)
    # §10.1: a push client may not come here; so may nobody who did not register the grant.
    if not polling.may_poll(application):
        raise UnauthorizedClient
    auth_req_id = single(form, "auth_req_id")
    if auth_req_id is None:
        raise InvalidRequest("auth_req_id is missing.")
    if len(auth_req_id) > AUTH_REQ_ID_MAX:
        raise InvalidGrant
    return auth_req_id


def _refuse(client: Client, agent: Agent, error: AimsError) -> dict[str, Any]:
    def refuse() -> dict[str, Any]:
        raise error

    return once(client, refuse, lambda trouble: record_refusal(agent, trouble))
