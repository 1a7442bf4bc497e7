"""The CIBA grant at the token endpoint. Spec: CIBA Core 1.0 §10.1, §11."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aims.authentication.client import Client
from aims.authorization.models import Application
from aims.authorization.request_errors import InvalidGrant, InvalidRequest, UnauthorizedClient
from aims.authorization.services import redemption
from aims.authorization.services.backchannel import once, record_refusal
from aims.identifier.models import Agent
from aims.kit.errors import AimsError
from aims.kit.forms import Form, single

CIBA = "urn:openid:params:grant-type:ciba"
WAIT_MAX_S = 25
AUTH_REQ_ID_MAX = 256
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*([0-9]{1,4})(?:$|[,;\s])", re.ASCII)


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


def wait_s(headers: Mapping[str, str]) -> int:
    """Return how long the client would have its poll held: at most 25 s, 0 if not at all. Spec: RFC 7240 §4.3."""
    found = _WAIT.search(headers.get("Prefer", ""))
    return min(int(found[1]), WAIT_MAX_S) if found else 0


def _auth_req_id(agent: Agent, form: Form) -> str:
    application = Application.objects.filter(agent=agent).first()
    # §10.1: a push client may not come here; so may nobody who did not register the grant.
    if application is None or not application.allows_grant_type(CIBA):
        raise UnauthorizedClient
    if application.backchannel_token_delivery_mode not in {"poll", "ping"}:
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
