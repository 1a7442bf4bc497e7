"""From decisions to the evidence of them: the receipt, and what the token will say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from aims.authorization.models import ApprovalRequest
from aims.authorization.services import requests
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
from aims.kit.ids import new_ref, tagged_hash
from aims.people.models import Passkey
from approvals import context, errors, receipts
from approvals.models import Decision, Receipt
from audit.canonical import decode
from audit.read import index_of

_BACKUP_ELIGIBLE = 0x08  # WebAuthn L3 §6.1: bit 3 of the flags, which are byte 32
_FLAGS_AT = 32


def receipt_of(request: ApprovalRequest, decisions: Sequence[Decision], now: datetime) -> Receipt:
    """Return a signed receipt, not yet stored. Raises EnrolmentNotLogged: no receipt is without its ``log_index``."""
    ref = new_ref("rcp")
    claims = receipts.claims(
        ref=ref,
        statement=bytes(request.statement),
        approvals=[_signed_yes(decision) for decision in decisions],
        issued_at=int(now.timestamp()),
    )
    jws = signing.current(KeyPurpose.RECEIPT).sign(claims, typ=receipts.TYP)
    return Receipt(ref=ref, request=request, jws=jws, hash=receipts.hash_of(jws), issued_at=now)


def evidence_of(decisions: Sequence[Decision], request: ApprovalRequest, now: datetime) -> requests.Evidence:
    """Return what the token says of the approval; of the subject's own signature where there is one."""
    shown = next((one for one in decisions if one.person_id == request.subject_id), decisions[-1])
    auth_times = [int(one.decided_at.timestamp()) for one in decisions]
    until = receipts.approved_until(bytes(request.statement), auth_times)
    return requests.Evidence(
        person_ref=shown.person.ref,
        acr=receipts.acr_of(is_synced(shown)),
        amr=tuple(receipts.amr_of(is_synced(shown))),
        auth_time=int(shown.decided_at.timestamp()),
        decided_at=now,
        approved_until_at=datetime.fromtimestamp(until, UTC),
    )


def is_synced(decision: Decision) -> bool:
    """Return whether the key that signed may live on several devices, as the authenticator said when it signed."""
    return bool(bytes(decision.authenticator_data or b"")[_FLAGS_AT] & _BACKUP_ELIGIBLE)


def _signed_yes(decision: Decision) -> receipts.SignedYes:
    passkey, client_data = decision.passkey, bytes(decision.client_data_json or b"")
    assert passkey is not None
    assert decision.is_signed
    return receipts.SignedYes(
        approver=decision.person.ref,
        is_synced=is_synced(decision),
        auth_time=int(decision.decided_at.timestamp()),
        credential_id=bytes(passkey.credential_id),
        cose_key=bytes(passkey.public_key),
        rp_id=context.parse(bytes(decision.context)).rp_id,
        origin=decode(client_data)["origin"],
        context=bytes(decision.context),
        authenticator_data=bytes(decision.authenticator_data or b""),
        client_data_json=client_data,
        signature=bytes(decision.signature or b""),
        enrolment=_enrolment(passkey),
    )


def _enrolment(passkey: Passkey) -> receipts.Enrolment:
    log_index = index_of(passkey.enrolment_event)
    if log_index is None:
        raise errors.EnrolmentNotLogged(detail=passkey.ref)
    return receipts.Enrolment(
        attestation_hash=tagged_hash(bytes(passkey.attestation_object)),
        client_data_hash=tagged_hash(bytes(passkey.client_data_json)),
        enrolled_at=int(passkey.enrolled_at.timestamp()),
        vouched_by=passkey.vouched_by,
        log_index=log_index,
    )
