"""Who calls the management API: an agent with one of our own access tokens, and nobody else.

Spec: RFC 6750 §2.1, §3.1; RFC 8705 §3; RFC 9068 §4; RFC 9449 §7.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, MethodNotAllowed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from aims.authentication.replay import spend
from aims.authorization.endpoints import challenges
from aims.authorization.errors import InvalidToken
from aims.authorization.models import AccessToken
from aims.authorization.presenting import NoToken, Presented, presented
from aims.authorization.tokens import TYP
from aims.console.events import CallRefused
from aims.console.management import audience
from aims.credentials.models import KeyPurpose
from aims.credentials.queries import own_key
from aims.identifier.models import AgentState
from aims.kit import clock
from aims.kit.errors import AimsError
from aims.kit.ids import digest
from aims.kit.jose import JoseRefused, parse, verify
from aims.people.models import User
from aims.people.queries import person_by_ref
from aims.resource_server.metadata import well_known_url
from audit.write import NOBODY, Facts, record

ALGORITHMS = frozenset({"ES256"})  # what we sign access tokens with


@dataclass(frozen=True, kw_only=True)
class Caller:
    """The agent behind a call. client_id: its identifier, which entries name as the one who did it.

    person: on whose behalf the token was issued, None where the agent acts for itself: it reads no more than they may.
    """

    client_id: str
    scopes: frozenset[str]
    jti: str
    person: User | None
    is_authenticated: bool = True


class Rejected(AuthenticationFailed):
    """A token that opens nothing. cause: why, for the challenge and the problem document."""

    def __init__(self, cause: AimsError) -> None:
        self.cause = cause
        super().__init__(code=cause.code)


class OwnAccessToken(BaseAuthentication):
    """RFC 6750 §2.1, RFC 9449 §7.1: a token in the Authorization header; cookies and query parameters are not looked at."""

    def authenticate(self, request: Request) -> tuple[Caller, Caller] | None:
        """Return the caller, None where nobody tried. Raises Rejected; InvalidRequest where two tokens came."""
        now = clock.now()
        try:
            caller = caller_of(presented(request._request, now=now), now=now)
        except NoToken:
            return None
        except AimsError as error:
            challenges.note(request._request, error)
            if challenges.status_of(error) != 401:
                raise
            raise Rejected(error) from error
        return caller, caller

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge for who sent no token; it names no error. Spec: RFC 6750 §3."""
        return challenge(request, NoToken())


def challenge(request: Request, error: AimsError, *, scope: str = "") -> str:
    """Return ``WWW-Authenticate`` of a refusal. Spec: RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1."""
    return challenges.challenges(request._request, error, scope=scope, metadata_url=well_known_url(audience()))


class HasManageScope(BasePermission):
    """A view declares ``manage_scope``, ``read_scope`` or both; a view that declares none is open to nobody.

    takes_signatures: what comes without a token there is signed in itself, and its verb looks at that.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the token carries a scope of this view; a refusal is recorded. Raises MethodNotAllowed."""
        caller = request.auth
        if not isinstance(caller, Caller):
            return getattr(view, "takes_signatures", False)
        if request.method not in view.allowed_methods:
            raise MethodNotAllowed(str(request.method))  # no scope would do
        if caller.scopes & scopes_of(view, request.method):
            return True
        refused(request, caller, code="insufficient_scope")
        return False


def scopes_of(view: Any, method: str | None) -> set[str]:
    """Return the scopes of which a call needs one."""
    names = {getattr(view, "manage_scope", None)}
    if method in SAFE_METHODS:
        names.add(getattr(view, "read_scope", None))
    return {name for name in names if name}


def caller_of(shown: Presented, *, now: datetime) -> Caller:
    """Return who may call with this token now: ours, for this API, neither expired nor revoked, its agent active.

    Both are checked, the signature and the row: a token is nothing without its row, and a row is found only by it.
    One that is bound to a key or a certificate needs it; a proof is used up by the call that it lets in, whatever the
    scope allows then. Raises InvalidToken, DpopReplayed. Spec: RFC 9068 §4, RFC 8705 §3, RFC 9449 §7.1.
    """
    row = _live(shown.token, now=now)
    assert row.agent is not None
    shown.check_holds(jkt=row.jkt, x5t_s256=row.x5t_s256)
    if shown.key:
        with transaction.atomic():
            spend(shown.key.proof)
    scopes, person = frozenset(row.scope.split()), _person_of(row)
    return Caller(client_id=row.agent.identifier, scopes=scopes, jti=str(row.jti), person=person)


def _person_of(row: AccessToken) -> User | None:
    """Return the person on whose behalf a token was issued. Raises InvalidToken for who was shut out or is unknown."""
    if not row.subject_ref or "://" in row.subject_ref:
        return None  # the agent itself, or another one that it works for: their subject is an identifier
    person = person_by_ref(row.subject_ref)
    if person is None or not person.is_active:
        raise InvalidToken
    return person


def _live(token: str, *, now: datetime) -> AccessToken:
    claims = _claims(token)
    if claims is None or claims.get("iss") != settings.ISSUER or claims.get("aud") != audience():
        raise InvalidToken
    expires = claims.get("exp")
    if isinstance(expires, bool) or not isinstance(expires, int | float) or expires <= now.timestamp():
        raise InvalidToken
    rows = AccessToken.objects.select_related("agent").filter(
        token_checksum=digest(token), audience=audience(), expires__gt=now, revoked_at=None
    )
    row = rows.filter(agent__state=AgentState.ACTIVE, jti=claims.get("jti")).first()
    if row is None or row.agent is None or row.agent.identifier != claims.get("client_id"):
        raise InvalidToken
    return row


def refused(request: Request, caller: Caller, *, code: str) -> None:
    """Record that a known caller asked for what it may not do, in a transaction of its own."""
    match = request._request.resolver_match
    event = CallRefused(
        method=str(request.method), endpoint=str(match.url_name) if match else "", code=code, jti=caller.jti
    )
    facts = vars(NOBODY) | {"agent": caller.client_id, "resource": audience(), "decision": "deny"}
    with transaction.atomic():
        record(event, by=caller.client_id, facts=Facts(**facts))


def _claims(token: str) -> Any:
    try:
        unverified = parse(token, algorithms=ALGORITHMS, typ=(TYP,))
        key = own_key(str(unverified.header.get("kid")), KeyPurpose.ACCESS_TOKEN)
        return None if key is None else verify(unverified, key=key.key()).claims
    except JoseRefused:
        return None
