"""Decisions: the happy path, and everything that must not become a yes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, transaction

from aims.authorization.request_errors import NotYours
from aims.credentials.queries import published_jwks
from aims.kit import clock
from aims.kit.ids import tagged_hash, unb64url
from aims.people.models import Passkey
from approvals import errors
from approvals.context import parse
from approvals.models import Decision, PreparedContext, Receipt
from approvals.services.evidence import receipt_of
from approvals.verify import verify_receipt
from audit.canonical import decode
from audit.read import EVERYTHING, entry_bytes
from tests.support.soft_authenticator import Lies
from tests.unit.approvals import stage as stages
from tests.unit.approvals.stage import Stage, entries, nothing_happened, refusals

pytestmark = pytest.mark.django_db


@pytest.fixture
def stage() -> Stage:
    return stages.build()


def claims_of(receipt: Receipt) -> dict[str, Any]:
    """Return what the receipt says."""
    return dict(decode(unb64url(receipt.jws.split(".")[1])))


# -- yes -------------------------------------------------------------------------------------------------


def test_a_signed_yes_becomes_a_receipt_that_verifies_offline(stage: Stage) -> None:
    request = stage.open()
    decision = stage.approve(request)
    request.refresh_from_db()
    receipt = Receipt.objects.get(request=request)
    assert (request.state, request.receipt_ref, request.receipt_hash) == ("approved", receipt.ref, receipt.hash)
    assert decision.is_signed
    assert decision.passkey == stage.passkey
    verified = verify_receipt(receipt.jws, jwks=published_jwks(), origins=settings.RP_ORIGINS)
    assert verified.approvers == (stage.ada.ref,)
    assert verified.receipt_hash == receipt.hash
    assert request.approved_until_at is not None
    assert verified.approved_until == int(request.approved_until_at.timestamp())


def test_a_yes_is_recorded_with_request_and_receipt_hash(stage: Stage) -> None:
    request = stage.open()
    stage.approve(request)
    receipt = Receipt.objects.get()
    [changed], [signed] = entries("authorization.request.approved"), entries("approvals.decision.approved")
    for entry in (changed, signed):
        assert entry["data"]["request_hash"] == request.request_hash
        assert entry["data"]["receipt_hash"] == receipt.hash
        assert (entry["by"], entry["decision"]) == (stage.ada.ref, "approve")
    assert (signed["data"]["count"], signed["data"]["required"]) == (1, 1)


def test_a_yes_spends_its_context_and_counts_the_key(stage: Stage) -> None:
    request = stage.open()
    stage.approve(request)
    stage.passkey.refresh_from_db()
    assert stage.passkey.sign_count == 1
    assert stage.passkey.last_used_at is not None
    assert not PreparedContext.objects.filter(decision="approve").exists()


# -- what was prepared ------------------------------------------------------------------------------------


def test_a_reload_gets_the_same_context(stage: Stage) -> None:
    request = stage.open()
    assert stage.prepare(request).challenge == stage.prepare(request).challenge


def test_sessions_and_decisions_have_contexts_of_their_own(stage: Stage) -> None:
    request = stage.open()
    challenges = {
        bytes(stage.prepare(request, decision=decision, session_key=key).challenge)
        for decision in ("approve", "deny")
        for key in ("s1", "s2")
    }
    assert len(challenges) == 4


def test_a_context_that_is_about_to_end_is_replaced(stage: Stage) -> None:
    request = stage.open(requested_expiry_s=3600)
    first = stage.prepare(request)
    later = stage.prepare(request, now=clock.now() + timedelta(seconds=570))
    assert bytes(first.challenge) != bytes(later.challenge)
    assert PreparedContext.objects.count() == 1


def test_a_context_ends_with_its_request(stage: Stage) -> None:
    request = stage.open(requested_expiry_s=30)
    assert stage.prepare(request).expires_at == request.expires_at
    assert stage.prepare(request).challenge == stage.prepare(request).challenge


def test_the_context_names_the_stored_bytes_and_what_was_shown(stage: Stage) -> None:
    request = stage.open()
    said = parse(bytes(stage.prepare(request).context))
    assert said.request_hash == tagged_hash(bytes(request.statement))
    assert (said.approver, said.decision, said.rp_id) == (stage.ada.ref, "approve", settings.RP_ID)


# -- what must not become a yes ----------------------------------------------------------------------------


def test_a_replayed_assertion_is_refused(stage: Stage) -> None:
    request, other = stage.open(), stage.open()
    response = stage.sign(stage.prepare(request))
    stage.approve(request, response=response)
    with pytest.raises(errors.ContextUnknown):
        stage.approve(other, response=response)
    nothing = Decision.objects.filter(request=other)
    assert not nothing.exists()


def test_a_second_yes_by_the_same_person_is_refused(stage: Stage) -> None:
    request = stage.open()
    stage.approve(request)
    with pytest.raises(errors.AlreadyYours):
        stage.approve(request)
    assert Decision.objects.count() == 1


def test_an_assertion_of_another_session_is_refused(stage: Stage) -> None:
    request = stage.open()
    with pytest.raises(errors.ContextUnknown):
        stage.approve(request, session_key="stolen")
    nothing_happened(request)
    assert refusals() == ["context_unknown"]
    assert PreparedContext.objects.count() == 1


def test_a_denial_cannot_be_presented_as_a_yes(stage: Stage) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request, decision="deny"))
    with pytest.raises(errors.WrongDecision):
        stage.approve(request, response=response)
    nothing_happened(request)


def test_an_expired_context_is_refused(stage: Stage) -> None:
    request = stage.open(requested_expiry_s=3600)
    response = stage.sign(stage.prepare(request))
    with pytest.raises(errors.ContextExpired):
        stage.approve(request, response=response, now=clock.now() + timedelta(minutes=11))
    nothing_happened(request)


def test_a_request_that_was_changed_after_it_was_shown_is_refused(stage: Stage) -> None:
    request = stage.open()
    response = stage.sign(stage.prepare(request))
    request.statement = bytes(request.statement).replace(b"4200.00", b"9200.00")
    request.save(update_fields=["statement"])
    with pytest.raises(errors.ContextUnknown):
        stage.approve(request, response=response)
    nothing_happened(request)


def test_who_may_not_decide_cannot_even_with_a_genuine_key(stage: Stage) -> None:
    request = stage.open()
    stages.enrol(stage.ben, stage.authenticator, at=request.opened_at - timedelta(days=1))
    with pytest.raises(NotYours):
        stage.approve(request, person=stage.ben)
    nothing_happened(request)
    assert refusals() == ["not_eligible"]


def test_a_key_in_cool_down_signs_in_but_does_not_approve(stage: Stage) -> None:
    request = stage.open()
    Passkey.objects.update(usable_from_at=clock.now() + timedelta(hours=24))
    with pytest.raises(errors.PasskeyCoolingDown, match="passkey_cooling_down"):
        stage.approve(request)
    nothing_happened(request)


def test_an_ended_key_does_not_approve(stage: Stage) -> None:
    request = stage.open()
    Passkey.objects.update(ended_at=clock.now())
    with pytest.raises(errors.PasskeyEnded):
        stage.approve(request)
    nothing_happened(request)


def test_a_key_younger_than_the_request_does_not_approve(stage: Stage) -> None:
    request = stage.open()
    Passkey.objects.update(enrolled_at=clock.now(), usable_from_at=clock.now())
    with pytest.raises(errors.PasskeyTooNew):
        stage.approve(request)
    nothing_happened(request)


def test_a_key_whose_enrolment_is_not_in_the_log_yet_signs_nothing_and_burns_nothing(stage: Stage) -> None:
    early = stages.enrol(stage.ada, stage.authenticator, at=clock.now() - timedelta(hours=1), is_in_the_log=False)
    request = stage.open()
    response = stage.sign(stage.prepare(request), early)
    with pytest.raises(errors.EnrolmentNotLogged):
        stage.approve(request, response=response)
    nothing_happened(request)
    early.refresh_from_db()
    assert (refusals(), early.sign_count, PreparedContext.objects.count()) == (["enrolment_not_logged"], 0, 1)
    stages.number_what_waits()
    stage.approve(request, response=response)
    [approval] = claims_of(Receipt.objects.get())["approvals"]
    assert type(approval["enrolment"]["log_index"]) is int


def test_no_receipt_is_made_without_the_place_of_the_enrolment(stage: Stage) -> None:
    request = stage.open()
    decision = stage.approve(request)
    Passkey.objects.update(enrolment_event="none")
    decision.passkey.refresh_from_db()
    with pytest.raises(errors.EnrolmentNotLogged):
        receipt_of(request, [decision], clock.now())


def test_the_receipt_names_the_entry_of_the_enrolment(stage: Stage) -> None:
    stage.approve(stage.open())
    [approval] = claims_of(Receipt.objects.get())["approvals"]
    entry = decode(entry_bytes(approval["enrolment"]["log_index"], scope=EVERYTHING))
    assert (entry["type"], entry["data"]["passkey"]) == ("people.passkey.enrolled", stage.passkey.ref)
    assert entry["data"]["attestation_hash"] == approval["enrolment"]["attestation_hash"]


def test_a_key_of_nobody_does_not_approve(stage: Stage) -> None:
    request = stage.open()
    stage.authenticator.credentials[0].credential_id = b"unknown"
    stage.passkey.credential_id = b"unknown"
    with pytest.raises(errors.PasskeyUnknown):
        stage.approve(request)
    nothing_happened(request)


@pytest.mark.parametrize(
    ("reason", "lies"),
    [
        ("user_not_verified", Lies(flags=0x04)),
        ("user_not_present", Lies(flags=0x01)),
        ("backup_eligibility_changed", Lies(flags=0x08)),
        ("attested_data_in_assertion", Lies(flags=0x40)),
        ("wrong_rp_id", Lies(rp_id="evil.example")),
        ("origin_not_allowed", Lies(members={"origin": "https://evil.example"})),
        ("cross_origin", Lies(members={"crossOrigin": True})),
        ("wrong_ceremony", Lies(members={"type": "webauthn.create"})),
        ("user_handle_differs", Lies(handle=b"usr_somebody")),
    ],
)
def test_a_hostile_assertion_is_refused_and_its_rule_is_recorded(stage: Stage, reason: str, lies: Lies) -> None:
    request = stage.open()
    stage.authenticator.lies = lies
    with pytest.raises(errors.AssertionRefused):
        stage.approve(request)
    nothing_happened(request)
    assert refusals() == [reason]


@pytest.mark.parametrize("response", [b"", b"{}", b"[]", b"\xff", b'{"id":1}', b"x" * 70_000])
def test_an_answer_that_cannot_be_read_is_refused(stage: Stage, response: bytes) -> None:
    request = stage.open()
    with pytest.raises(errors.ResponseUnreadable):
        stage.approve(request, response=response)
    nothing_happened(request)


def test_a_signature_that_was_changed_is_refused(stage: Stage) -> None:
    request = stage.open()
    answer = json.loads(stage.sign(stage.prepare(request)))
    other = json.loads(stage.sign(stage.prepare(request, session_key="s2")))
    answer["response"]["signature"] = other["response"]["signature"]
    with pytest.raises(errors.AssertionRefused):
        stage.approve(request, response=json.dumps(answer).encode())
    nothing_happened(request)


def test_a_refused_attempt_does_not_burn_the_context(stage: Stage) -> None:
    request = stage.open()
    stage.authenticator.lies = Lies(flags=0x04)
    with pytest.raises(errors.AssertionRefused):
        stage.approve(request)
    stage.authenticator.lies = Lies()
    stage.approve(request)
    request.refresh_from_db()
    assert request.state == "approved"


# -- the database's own word, and several signatures ---------------------------------------------------------


def test_the_database_refuses_an_unsigned_yes(stage: Stage) -> None:
    request = stage.open()
    row = Decision(
        request=request, person=stage.ada, decision="approve", is_signed=False, context=b"", decided_at=clock.now()
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()


def test_the_first_of_two_signatures_approves_partly_and_gives_no_receipt(stage: Stage) -> None:
    request = stage.open()
    request.required = 2
    request.save(update_fields=["required"])
    stage.approve(request)
    request.refresh_from_db()
    assert request.state == "partly_approved"
    assert not Receipt.objects.exists()
    [entry] = entries("approvals.decision.approved")
    assert (entry["data"]["count"], entry["data"]["receipt"]) == (1, None)
