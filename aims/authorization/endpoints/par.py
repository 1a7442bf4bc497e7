"""The pushed authorization request endpoint. Spec: RFC 9126 §2, RFC 9449 §10.1."""

from __future__ import annotations

from django.http import HttpResponse

from aims.authentication.errors import InvalidDpopProof
from aims.authorization import authorize, fapi, target
from aims.authorization.errors import InvalidRequest, UnauthorizedClient
from aims.authorization.known_clients import KnownClient, client_for
from aims.authorization.pipeline import Call, Endpoint, answer, endpoint
from aims.authorization.services import pushing, seeking

CODE = "authorization_code"


@endpoint(Endpoint.PAR)
def par(call: Call) -> HttpResponse:
    """Answer with the reference under which the person's browser brings this request."""
    known = client_for(call.client.identifier)
    names_itself(call)
    is_no_reference(call)
    may_use_codes(known)
    redirects_where_it_may(call, known)
    parameters = authorize.parameters_of(call.form)
    requested = authorize.read(parameters)
    jkt = one_key(call, requested)
    call.resource = target.loggable((requested.resource,))
    assert call.client.agent is not None
    seeking.sought_by(call.client.agent, requested)  # what can't be had is refused before a person is troubled
    pushed = pushing.push(call.client, requested, parameters, jkt=jkt, now=call.now)
    return answer({"request_uri": pushed.request_uri, "expires_in": pushed.expires_in}, 201)


def names_itself(call: Call) -> None:
    """RFC 9126 §2.1: client_id is a parameter of the request; it is the client's own."""
    if call.value("client_id") not in (None, call.client.identifier):
        raise InvalidRequest("client_id is not the client that authenticated.")


def is_no_reference(call: Call) -> None:
    """RFC 9126 §2.1: the request must not contain request_uri."""
    if "request_uri" in call.form:
        raise InvalidRequest("A pushed request has no request_uri.")


def may_use_codes(known: KnownClient) -> None:
    """RFC 6749 §4.1.2.1: unauthorized_client."""
    if not known.may_use(CODE):
        raise UnauthorizedClient("This client has not registered to use authorization codes.")
    fapi.check_client(is_public=known.is_public)


def redirects_where_it_may(call: Call, known: KnownClient) -> None:
    """RFC 9126 §2.1, RFC 9700 §4.1.3: the redirect URI is there and registered, character by character."""
    uri = call.value("redirect_uri")
    if uri is None or not known.may_redirect_to(uri):
        raise InvalidRequest("redirect_uri is missing or not registered.")
    fapi.check_redirect(uri)


def one_key(call: Call, requested: authorize.Requested) -> str:
    """RFC 9449 §10.1: a key may be named in the body, or proved in the header, or both and then it is the same."""
    proved = call.client.jkt
    if proved and requested.jkt not in ("", proved):
        raise InvalidDpopProof("dpop_jkt is not the key of the DPoP proof.", reason="other_key")
    return proved or requested.jkt
