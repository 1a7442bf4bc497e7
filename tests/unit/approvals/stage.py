"""A request on the table: Ada's agent wants to pay, and Ada has a passkey on a software authenticator.

Everything is made by the rooms' own verbs; the log has numbered the enrolment, as it has within a second.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import transaction

from aims.authorization import cards
from aims.authorization.models import ApprovalRequest, DelegationGrant
from aims.authorization.services.requests import OpenRequest, open_request
from aims.authorization.wanted import Action, wanted
from aims.credentials.services import ensure_signing_keys
from aims.identifier.models import Agent, Resource
from aims.identifier.services import (
    ActionSpec,
    RegisterAgent,
    RegisterResource,
    register_agent,
    register_resource,
    register_trust_domain,
)
from aims.kit import clock
from aims.people.cose import ES256
from aims.people.models import Passkey, RoleHolding, User
from aims.people.options import Descriptor, creation_options, request_options
from aims.people.services.enrolment import keep
from aims.people.webauthn import verify_registration
from aims.policy import engine
from aims.policy.services import load_policy
from approvals import services
from approvals.models import Decision, PreparedContext, Receipt
from approvals.sheet import LOCALE
from audit.canonical import decode
from audit.models import InboxRow
from audit.sequencer import Sequencer
from tests.support.soft_authenticator import HostileAuthenticator

DETAIL = {
    "type": "payment_initiation",
    "instructedAmount": {"amount": "4200.00", "currency": "EUR"},
    "creditorName": "Nordwind GmbH",
    "creditorAccount": {"iban": "DE02120300000000202051"},
    "remittanceInformation": "Invoice 2026-1187",
}
LOG_KEY = Ed25519PrivateKey.generate()
DEFAULT_POLICY = (Path(engine.__file__).parent / "default.cedar").read_text()


@dataclass
class Stage:
    """The people, the agent and the authenticator of a test."""

    ada: User
    ben: User
    agent: Agent
    resource: Resource
    authenticator: HostileAuthenticator
    passkey: Passkey

    def open(self, **changes: Any) -> ApprovalRequest:
        """Open a request for the payment, as CIBA would."""
        action = Action(
            name="pay", title="Send a payment", detail_type="payment_initiation", reversibility="irreversible"
        )
        command = OpenRequest(
            door="ciba",
            agent=self.agent,
            subject=self.ada,
            resource=self.resource,
            scope="",
            wanted=wanted([DETAIL], scope=(), resource=self.resource.identifier, actions=[action]),
            details=(DETAIL,),
            binding_message=None,
            agent_says=changes.pop("agent_says", "The due date is today."),
            requested_expiry_s=changes.pop("requested_expiry_s", None),
            binding="none",
        )
        with transaction.atomic():
            return open_request(command, now=changes.pop("now", clock.now()))

    def prepare(
        self,
        request: ApprovalRequest,
        *,
        decision: str = "approve",
        session_key: str = "s1",
        now: datetime | None = None,
        person: User | None = None,
    ) -> PreparedContext:
        """Prepare a context as the page does, for Ada unless told."""
        return services.prepare(
            request,
            person=person or self.ada,
            session_key=session_key,
            decision=decision,
            card=cards.card(bytes(request.statement)),
            locale=LOCALE,
            now=now or clock.now(),
        )

    def sign(self, prepared: PreparedContext, passkey: Passkey | None = None) -> bytes:
        """Return the browser's answer to a prepared context, as the bytes it posts."""
        key = passkey or self.passkey
        options = request_options(
            challenge=bytes(prepared.challenge),
            rp_id=settings.RP_ID,
            allow=[Descriptor(bytes(key.credential_id), ())],
        )
        return json.dumps(self.authenticator.get(options)).encode()

    def approve(self, request: ApprovalRequest, **changes: Any) -> Any:
        """Prepare, sign and approve."""
        values: dict[str, Any] = {"person": self.ada, "session_key": "s1", "now": clock.now()} | changes
        if "response" not in values:
            values["response"] = self.sign(self.prepare(request))
        return services.approve(request, **values)


def person(name: str, *roles: str, since: datetime) -> User:
    """Return a person who has held these roles for a while."""
    made = User.objects.create(email=f"{name.lower()}@acme.example", name=name)
    for role in roles:
        RoleHolding.objects.create(person=made, role=role, since_at=since)
    return made


def enrol(owner: User, authenticator: HostileAuthenticator, *, at: datetime, is_in_the_log: bool = True) -> Passkey:
    """Register a passkey on the authenticator and keep it as the people's room does; let the log number it."""
    challenge = b"enrolment-challenge-of-32-bytes!"
    options = creation_options(
        challenge=challenge,
        rp_id=settings.RP_ID,
        rp_name="AIMS",
        user_handle=owner.ref.encode(),
        user_name=owner.email,
        user_display_name=owner.name,
        exclude=[],
    )
    answer = json.dumps(authenticator.create(options))
    made = verify_registration(answer, challenge=challenge, rp_id=settings.RP_ID, origins=settings.RP_ORIGINS)
    with transaction.atomic():
        passkey = keep(
            made, owner, name="Software key", vouched_by="cli:root", usable_from_at=at, is_recovery=False, now=at
        )
    if is_in_the_log:
        number_what_waits()
    return passkey


def number_what_waits() -> None:
    """Run the sequencer once, as it runs by itself beside every server."""
    Sequencer(key=LOG_KEY).run_once()


def build(*, algorithms: Collection[int] = (ES256,)) -> Stage:
    """Make everything but the request. algorithms: those of Ada's authenticator."""
    now = clock.now()
    before = now - timedelta(days=2)
    ada, ben = person("Ada", "approver", "owner", since=before), person("Ben", "auditor", since=before)
    ensure_signing_keys(before)
    load_policy(DEFAULT_POLICY, by="cli:root", now=before)
    register_trust_domain("acme.example", by="cli:root", now=before)
    agent = register_agent(
        RegisterAgent(
            identifier="spiffe://acme.example/agent/courier",
            name="Courier",
            purpose="Pays invoices",
            contact="ada@acme.example",
            owner=ada,
        ),
        by="cli:root",
        now=before,
    )
    resource = register_resource(
        RegisterResource(
            identifier="https://pay.example/",
            name="Payments API",
            kind="api",
            description="",
            actions=(
                ActionSpec(
                    name="pay", title="Send a payment", reversibility="irreversible", detail_type="payment_initiation"
                ),
            ),
        ),
        by="cli:root",
        now=before,
    )
    DelegationGrant.objects.create(
        from_person=ada,
        agent=agent,
        resource=resource,
        actions=["pay"],
        detail_types=["payment_initiation"],
        given_by="cli:root",
        given_at=before,
        until_at=now + timedelta(days=30),
    )
    authenticator = HostileAuthenticator(settings.ISSUER, settings.RP_ID, algorithms=algorithms)
    return Stage(ada, ben, agent, resource, authenticator, enrol(ada, authenticator, at=before))


__all__ = ["DETAIL", "Stage", "build", "enrol", "number_what_waits", "person"]


def entries(kind: str) -> list[dict[str, Any]]:
    """Return what was recorded under one type, oldest first."""
    found = [decode(bytes(row.payload)) for row in InboxRow.objects.order_by("pk")]
    return [entry for entry in found if entry["type"] == kind]


def refusals() -> list[str]:
    return [entry["data"]["reason"] for entry in entries("approvals.decision.refused")]


def nothing_happened(request: Any) -> None:
    request.refresh_from_db()
    assert request.state == "pending"
    assert not Decision.objects.exists()
    assert not Receipt.objects.exists()
