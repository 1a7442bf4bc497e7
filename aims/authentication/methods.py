"""Which of the ways of client authentication a request uses, and that it is one, and the registered one."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.http import HttpRequest
from django.http.request import HttpHeaders
from django.utils.translation import gettext as _

from aims.authentication import jwt_svid, mtls, private_key_jwt, wimse, wit
from aims.authentication.certificate import certificate_of
from aims.authentication.client import PRIVATE_KEY_JWT, Client, MethodNotRegistered, Registered, Registrations
from aims.authentication.errors import InvalidClient, ManyMethods
from aims.kit.forms import Form, single

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SPIFFE_JWT = "spiffe_jwt"
# What an agent may register, and what the metadata names.
METHODS = (
    PRIVATE_KEY_JWT,
    SPIFFE_JWT,
    *mtls.METHODS,
    wimse.WIT_WPT,
    wimse.HTTP_SIGNATURE,
)
_OF_WIT = frozenset(HttpHeaders.to_wsgi_name(name) for name in (wit.HEADER, wit.PROOF_HEADER))
BY_CERTIFICATE: Collection[str] = mtls.METHODS.keys()


def authenticate(
    form: Form, request: HttpRequest, *, registered: Registrations, now: datetime, may_recall: bool, may_be_public: bool
) -> Client:
    """Return the client that this request authenticates. Raises InvalidClient, ManyMethods, FormRefused.

    Nothing is written: ``replay.spend`` the proof in the request's one write transaction, whether it grants or refuses.
    registered: what an agent may use. may_recall: an agent may come from this process's memory; see Client.is_recalled.
    may_be_public: a client that registered ``none`` may name itself.
    """
    client, method = _proved(
        form, request, registered=registered, now=now, may_recall=may_recall, may_be_public=may_be_public
    )
    terms = registered(client.agent, client.is_recalled) if client.agent else Registered()
    if terms.method == method:
        return client
    if client.is_recalled:  # what is remembered may grant, never refuse
        return authenticate(
            form, request, registered=registered, now=now, may_recall=False, may_be_public=may_be_public
        )
    raise MethodNotRegistered(client)


def _proved(
    form: Form, request: HttpRequest, *, registered: Registrations, now: datetime, may_recall: bool, may_be_public: bool
) -> tuple[Client, str]:
    """Return the client and the method that it used. Spec: RFC 6749 §2.3: one method a request."""
    has_assertion = "client_assertion" in form or "client_assertion_type" in form
    sent = request.META  # request.headers would spell every header anew, to find three
    has_wit, has_header = not _OF_WIT.isdisjoint(sent), "HTTP_AUTHORIZATION" in sent
    if has_assertion + has_wit + ("client_secret" in form) + has_header > 1:
        raise ManyMethods
    client_id = single(form, "client_id")
    if has_assertion:
        return _by_assertion(form, client_id, now=now, may_recall=may_recall)
    if has_wit:
        return wimse.authenticate(request, client_id=client_id, now=now)
    if "client_secret" in form or has_header:
        raise InvalidClient(_("Authenticate with private_key_jwt."), reason="no_assertion")
    return _by_certificate(request, client_id, registered=registered, now=now, may_be_public=may_be_public)


def _by_assertion(form: Form, client_id: str | None, *, now: datetime, may_recall: bool) -> tuple[Client, str]:
    kind, assertion = single(form, "client_assertion_type"), single(form, "client_assertion")
    if kind not in (ASSERTION_TYPE, jwt_svid.ASSERTION_TYPE):
        raise InvalidClient(_("Authenticate with private_key_jwt."), reason="no_assertion")
    if assertion is None:
        raise InvalidClient(_("client_assertion is missing."), reason="no_assertion")
    if kind == jwt_svid.ASSERTION_TYPE:
        return jwt_svid.authenticate(assertion, client_id=client_id, now=now), SPIFFE_JWT
    client = private_key_jwt.authenticate(assertion, client_id=client_id, now=now, may_recall=may_recall)
    return client, PRIVATE_KEY_JWT


def _by_certificate(
    request: HttpRequest, client_id: str | None, *, registered: Registrations, now: datetime, may_be_public: bool
) -> tuple[Client, str]:
    allowed = mtls.METHODS | (mtls.PUBLIC if may_be_public else {})
    client = mtls.authenticate(
        certificate_of(request), client_id=client_id, allowed=allowed, registered=registered, now=now
    )
    assert client.agent is not None
    return client, registered(client.agent, False).method
