"""The CIBA door: who is asked, and the request that opens. Spec: CIBA Core 1.0 §7."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import TypeVar

from django.conf import settings
from django.db import transaction

from aims.authentication.client import Client
from aims.authentication.replay import Proof, spend
from aims.authorization import queries
from aims.authorization.backchannel import REFUSED, Asked
from aims.authorization.errors import InvalidRequest, InvalidTarget
from aims.authorization.models import BackchannelRequest
from aims.authorization.request_errors import AskDenied, UnknownUserId
from aims.authorization.request_events import RequestRefused
from aims.authorization.services.opening import OpenRequest, open_request
from aims.authorization.services.order import begin
from aims.authorization.services.policy import POSTURE_UNKNOWN
from aims.authorization.services.subjects import person_of
from aims.authorization.signed_requests import Unpacked
from aims.authorization.wanted import Action, WantedRefused, wanted
from aims.credentials import queries as credentials
from aims.credentials.models import KeyPurpose
from aims.identifier.models import Agent, Resource
from aims.kit.errors import AimsError
from aims.kit.ids import digest, new_secret
from aims.kit.jose import Header, JoseKey, JoseRefused, decode
from aims.kit.seal import seal
from aims.people.models import User
from audit.write import Facts, record

DOOR = "ciba"
INTERVAL_S = 5
HINT_PAST_EXP_S = 30 * 86400
SEAL_PURPOSE = "authorization.backchannel.delivery"
NOBODY = -1  # no primary key: the related-people query runs for unknown people too

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The answer of the endpoint. Spec: CIBA Core 1.0 §7.3."""

    auth_req_id: str
    expires_in: int
    interval: int


def once(client: Client, verb: Callable[[], T], refused: Callable[[AimsError], None]) -> T:
    """Run a verb in the one write transaction that also spends the client's proof; a refusal spends it too.

    refused: records the refusal, in the same transaction, after what the verb wrote was rolled back.
    Raises whatever the verb raised, ProofReplayed and DpopReplayed.
    """
    with transaction.atomic():
        begin(client.agent)
        spend(*client.proofs)
        try:
            with transaction.atomic():
                return verb()
        except AimsError as error:
            refusal = error
            refused(error)
    raise refusal


def ask(client: Client, agent: Agent, asked: Asked, signed: Unpacked | None, *, mode: str, now: datetime) -> Accepted:
    """Open an approval request by CIBA and return its id. Call it in a transaction.

    With a DPoP key, only that key will redeem it.

    Raises InvalidRequest (a signed request used twice), InvalidTarget, UnknownUserId, AskDenied, TooManyOpen and
    those of RFC 9396.
    """
    if signed is not None:
        _spend_request(client, signed, now=now)
    resource = Resource.objects.filter(identifier=asked.resource, retired_at=None).first()
    if resource is None:
        raise InvalidTarget
    actions = [
        Action(row.name, row.title, row.detail_type, row.reversibility) for row in resource.actions.order_by("pk")
    ]
    try:
        items = wanted(asked.details, scope=asked.scope, resource=resource.identifier, actions=actions)
    except WantedRefused as error:
        raise REFUSED[error.code](error.public) from error
    command = OpenRequest(
        door=DOOR,
        agent=agent,
        subject=_subject(agent, asked, now=now),
        resource=resource,
        scope=" ".join(asked.scope),
        wanted=items,
        details=asked.details,
        binding_message=asked.binding_message,
        agent_says=asked.agent_says,
        requested_expiry_s=asked.requested_expiry_s,
        binding=client.binding,
    )
    return _open(command, asked, signed, mode=mode, jkt=client.jkt, now=now)


def record_refusal(agent: Agent, error: AimsError, *, resource: str | None = None) -> None:
    """Record that an authenticated agent was not let ask."""
    policies = list(error.policies) if isinstance(error, AskDenied) else []
    facts = Facts(
        agent=agent.identifier,
        subject=None,
        resource=resource,
        action=None,
        decision="deny",
        txn=None,
        posture=POSTURE_UNKNOWN,
        remediation=None,
    )
    record(RequestRefused(door=DOOR, code=error.code, policies=policies), by=agent.identifier, facts=facts)


def _open(
    command: OpenRequest, asked: Asked, signed: Unpacked | None, *, mode: str, jkt: str, now: datetime
) -> Accepted:
    request = open_request(command, now=now)
    auth_req_id = new_secret()  # §7.3: 256 bits, of A-Z a-z 0-9 - _
    BackchannelRequest.objects.create(
        request=request,
        auth_req_id_hash=digest(auth_req_id),
        mode=mode,
        interval_s=INTERVAL_S,
        jkt=jkt,
        signed_request=signed.raw if signed else None,
        sealed_delivery=_sealed(auth_req_id, asked.notification_token) if asked.notification_token else None,
    )
    # It ends with the signed second: counted from the second in which it was received.
    lifetime_s = ceil((request.expires_at - request.opened_at).total_seconds())
    return Accepted(auth_req_id=auth_req_id, expires_in=lifetime_s, interval=INTERVAL_S)


def _sealed(auth_req_id: str, token: str) -> bytes:
    return seal(json.dumps({"auth_req_id": auth_req_id, "token": token}).encode(), purpose=SEAL_PURPOSE)


def _spend_request(client: Client, signed: Unpacked, *, now: datetime) -> None:
    # Its own tag: the jti of an assertion and of a request are two things.
    jti_hash = hashlib.sha256(b"signed-request\0" + signed.jti.encode()).hexdigest()
    proof = Proof(
        client_ref=client.ref,
        jti_hash=jti_hash,
        issued_at=now,  # a request is only ever spent with its commit waited for, so it is never forgotten
        expires_at=datetime.fromtimestamp(signed.expires_at_s, UTC),
        agent=client.identifier,
    )
    try:
        spend(proof)
    except AimsError as error:
        raise InvalidRequest("The signed request was used before.") from error


def _subject(agent: Agent, asked: Asked, *, now: datetime) -> User:
    if asked.id_token_hint is not None:
        person = person_of(_hinted(agent, asked.id_token_hint, now=now), agent)
    else:
        hint = asked.login_hint or ""
        by = {"email__iexact": hint} if "@" in hint else {"ref": hint}
        person = User.objects.filter(**by).only("pk").first()
    related = queries.related_person(agent, person.pk if person else NOBODY, at=now)
    if related is None:
        raise UnknownUserId
    return related


def _hinted(agent: Agent, token: str, *, now: datetime) -> str:
    # §7.1: an ID token that we issued to this client; it may have expired a while ago.
    try:
        claims = decode(token, keys=_our_key, algorithms=frozenset({"ES256"}), typ=(None, "jwt")).claims
    except JoseRefused as error:
        raise InvalidRequest("id_token_hint is not an ID token of this issuer.") from error
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if claims.get("iss") != settings.ISSUER or agent.identifier not in audiences:
        raise InvalidRequest("id_token_hint was not issued to this client.")
    exp = claims.get("exp")
    if not isinstance(exp, int) or exp + HINT_PAST_EXP_S < now.timestamp():
        raise InvalidRequest("id_token_hint is too old. Send login_hint.")
    return str(claims.get("sub"))


def _our_key(header: Header) -> JoseKey | None:
    found = credentials.own_key(str(header.get("kid")), KeyPurpose.ID_TOKEN)
    return found.key() if found else None
