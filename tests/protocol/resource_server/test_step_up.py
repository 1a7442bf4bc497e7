"""What a client is told when its token allows too little: RFC 6750 §3 and §3.1, RFC 9470 §3, and the approval of a scope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from aims.resource_server.errors import (
    ApprovalForgotten,
    ApprovalLapsed,
    ApprovalMissing,
    ApprovalUsed,
    InsufficientScope,
    NoToken,
    Refused,
    TokenExpired,
    TokenNotActive,
)
from aims.resource_server.guard import Call, Guard
from aims.resource_server.memory import InProcess
from tests.unit.resource_server.made import NOW, PAYMENT, Issuer, guard, request

OURS = Issuer()
READ, PAY = "invoices.read", "invoices.pay"


def approved(checks: Guard, **changed: Any) -> Call:
    said = {"scope": f"{READ} {PAY}", "approval": {"id": "arq_1", "approved_until": int(NOW) + 300}} | changed
    return checks.admit(request(OURS.token(**said)), now=NOW)


def challenge(checks: Guard, refused: Refused, token: str | None) -> str:
    return checks.headers_of(refused, request(token))["WWW-Authenticate"].partition(", DPoP")[0]


@pytest.mark.spec("RFC 6750", "3", "a client without a token is told the scope to ask for, and no error")
def test_who_has_no_token_is_told_what_to_ask_for() -> None:
    checks = replace(guard(OURS), first_scopes=(READ,))
    where = f'resource_metadata="{checks.metadata_url}"'
    assert challenge(checks, NoToken(), None) == f'Bearer scope="{READ}", {where}'
    assert f'error="invalid_token", error_description="The token has expired.", scope="{READ}"' in challenge(
        checks, TokenExpired(), "x"
    )


@pytest.mark.spec("RFC 6750", "3.1", "a step-up names every scope that the operation needs, and only once")
def test_a_step_up_names_what_the_operation_needs() -> None:
    checks = replace(guard(OURS), first_scopes=(READ,))
    with pytest.raises(InsufficientScope) as caught:
        checks.use_approved_scope(approved(checks, scope=READ), READ, PAY, now=NOW)
    assert caught.value.status == 403
    told = challenge(checks, caught.value, "x")
    assert f'scope="{READ} {PAY}"' in told and told.count("scope=") == 1 and 'error="insufficient_scope"' in told


@pytest.mark.spec("RFC 9470", "3", "where a person must decide, the challenge says so, and what to ask them for")
def test_a_scope_without_a_persons_yes_is_not_enough() -> None:
    checks = guard(OURS)
    with pytest.raises(ApprovalMissing) as caught:
        checks.use_approved_scope(approved(checks, approval=None), READ, PAY, now=NOW)
    assert (caught.value.status, caught.value.error) == (401, "insufficient_user_authentication")
    assert caught.value.params == {"scope": f"{READ} {PAY}"}


@pytest.mark.spec(
    "AIMS Console formats", "4", "an approved scope is used once, and who comes again is told to ask again"
)
def test_an_approved_scope_is_used_once() -> None:
    checks = guard(OURS)
    assert checks.use_approved_scope(approved(checks), READ, PAY, now=NOW) == "arq_1"
    with pytest.raises(ApprovalUsed) as caught:
        checks.use_approved_scope(approved(checks), READ, PAY, now=NOW)
    assert (caught.value.status, caught.value.params) == (403, {"scope": f"{READ} {PAY}"})
    other = approved(checks, approval={"id": "arq_2", "approved_until": int(NOW) + 300})
    assert checks.use_approved_scope(other, READ, PAY, now=NOW) == "arq_2"


@pytest.mark.spec("AIMS Console formats", "4", "one approval is one action, by its details or by its scope")
def test_an_approval_is_used_once_however_it_is_used() -> None:
    checks = guard(OURS)
    both = {"authorization_details": [PAYMENT]}
    assert checks.use_approval(approved(checks, **both), PAYMENT, now=NOW) == "arq_1"
    with pytest.raises(ApprovalUsed):
        checks.use_approved_scope(approved(checks, **both), PAY, now=NOW)


@pytest.mark.spec("AIMS Console formats", "4", "what a scope does not allow does not use its approval up")
def test_nothing_is_used_up_by_what_is_refused() -> None:
    answer: dict[str, Any] = {"active": False}
    checks = guard(OURS, introspect=lambda token: answer)
    with pytest.raises(InsufficientScope):
        checks.use_approved_scope(approved(checks), READ, "invoices.delete", now=NOW)
    with pytest.raises(TokenNotActive):
        checks.use_approved_scope(approved(checks), READ, PAY, now=NOW)
    answer["active"] = True
    assert checks.use_approved_scope(approved(checks), READ, PAY, now=NOW) == "arq_1"


def test_an_approved_scope_lapses_and_a_fresh_process_vouches_for_none() -> None:
    checks = guard(OURS)
    call = approved(checks)
    with pytest.raises(ApprovalLapsed) as lapsed:
        checks.use_approved_scope(call, PAY, now=NOW + 300.5)
    assert lapsed.value.params == {"scope": PAY}
    fresh = guard(OURS, memory=InProcess(began_at=NOW + 1))
    with pytest.raises(ApprovalForgotten):
        fresh.use_approved_scope(approved(fresh), PAY, now=NOW + 1)


@pytest.mark.spec("RFC 7662", "2.2", "a revocation counts from the next action that is not read-only")
def test_a_revocation_counts_from_the_next_action_on() -> None:
    answers: list[Mapping[str, Any]] = [{"active": True}, {"active": False}]
    checks = guard(OURS, introspect=lambda token: answers.pop(0))
    call = approved(checks)
    checks.require_active(call)
    with pytest.raises(TokenNotActive):
        checks.require_active(call)
