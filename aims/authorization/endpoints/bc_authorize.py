"""The backchannel authentication endpoint. Spec: CIBA Core 1.0 §7. In the order of approvals: who, may they, what, whom."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from aims.authentication.client import Client
from aims.authentication.errors import UseDpopNonce
from aims.authorization import queries
from aims.authorization.authenticating import authenticated
from aims.authorization.backchannel import Asked, from_form, read
from aims.authorization.binding import with_key
from aims.authorization.errors import InvalidRequest, UnauthorizedClient
from aims.authorization.models import Application
from aims.authorization.services import backchannel
from aims.authorization.services.tokens import refuse
from aims.authorization.signed_requests import SignedRequestRefused, Unpacked, token_of, unpack
from aims.credentials import queries as credentials
from aims.identifier.models import Agent
from aims.kit.errors import AimsError
from aims.kit.forms import Form
from aims.kit.jose import Header, JoseKey

MODES = frozenset({"poll", "ping"})


def bc_authorize(request: HttpRequest, *, form: Form, now: datetime) -> HttpResponse:
    """Answer an authentication request: the ``auth_req_id``, or one error of §13."""
    client = authenticated(form, request, now=now)
    if client.agent is None:
        refuse(client, endpoint="bc_authorize", code=UnauthorizedClient.code, reason="", policies=(), resource=None)
        raise UnauthorizedClient
    accepted = _accepted(client, client.agent, form, request, now=now)
    return JsonResponse(
        {"auth_req_id": accepted.auth_req_id, "expires_in": accepted.expires_in, "interval": accepted.interval}
    )


def _accepted(client: Client, agent: Agent, form: Form, request: HttpRequest, *, now: datetime) -> backchannel.Accepted:
    # What takes time (a signature) is checked before the transaction; its refusal still spends the assertion.
    trouble: AimsError | None = None
    bound = client
    try:
        bound = with_key(client, request, now=now)
        mode, asked, signed = _read(client, agent, form, now=now)
    except UseDpopNonce:
        raise  # nothing was consumed
    except AimsError as error:
        trouble = error

    def open_it() -> backchannel.Accepted:
        if trouble is not None:
            raise trouble
        return backchannel.ask(bound, agent, asked, signed, mode=mode, now=now)

    return backchannel.once(bound, open_it, lambda error: backchannel.record_refusal(agent, error))


def _read(client: Client, agent: Agent, form: Form, *, now: datetime) -> tuple[str, Asked, Unpacked | None]:
    application = queries.client_of(agent)
    if not application.allows_grant_type(queries.CIBA):
        raise UnauthorizedClient
    mode = application.backchannel_token_delivery_mode
    if mode not in MODES:
        raise UnauthorizedClient
    signed = _signed(client, application, form, now=now)
    asked = read(signed.parameters if signed else from_form(form), is_ping=mode == "ping")
    return mode, asked, signed


def _signed(client: Client, application: Application, form: Form, *, now: datetime) -> Unpacked | None:
    algorithm = application.backchannel_authentication_request_signing_alg
    token = token_of(form)
    if token is None:
        if algorithm:  # §4: who registered to sign, signs; a stripped signature must not count as a choice
            raise InvalidRequest("This client has registered to sign its requests.")
        return None

    def key(header: Header) -> JoseKey | None:
        found = credentials.key_for(client.ref, header.get("kid"), str(header["alg"]))
        return found.key() if found else None

    try:
        return unpack(
            form,
            token,
            client_id=client.identifier,
            algorithm=algorithm,
            issuer=settings.ISSUER,
            keys=key,
            now_s=int(now.timestamp()),
        )
    except SignedRequestRefused as error:
        raise InvalidRequest(f"The signed request is refused: {error}.") from error
