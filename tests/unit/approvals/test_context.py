from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from approvals.context import Context, ContextRefused, build, challenge_of, parse

CONTEXT = Context(
    request_hash="sha-256:" + "A" * 43,
    decision="approve",
    approver="usr_ada",
    nonce=b"n" * 32,
    rp_id="localhost",
    locale="en",
    rendering_hash="sha-256:" + "B" * 43,
    iat=1_795_000_000,
    exp=1_795_000_600,
)


def test_what_was_built_is_read_back() -> None:
    assert parse(build(CONTEXT)) == CONTEXT


def test_the_challenge_carries_its_tag() -> None:
    raw = build(CONTEXT)
    assert challenge_of(raw) == hashlib.sha256(b"agent-approval/v1" + b"\x00" + raw).digest()


@pytest.mark.parametrize("name", ["nonce", "decision", "approver", "request_hash", "rendering_hash", "locale", "exp"])
def test_every_member_changes_the_challenge(name: str) -> None:
    others: dict[str, Any] = {"nonce": b"m" * 32, "decision": "deny", "exp": CONTEXT.exp - 1}
    changed = replace(CONTEXT, **{name: others.get(name, "other")})
    assert challenge_of(build(changed)) != challenge_of(build(CONTEXT))


@pytest.mark.parametrize(
    "wrong",
    [{"decision": "maybe"}, {"nonce": b"short"}, {"exp": CONTEXT.iat}, {"exp": CONTEXT.iat + 601}],
)
def test_a_context_outside_the_rules_is_never_built(wrong: dict[str, Any]) -> None:
    with pytest.raises(ContextRefused):
        build(replace(CONTEXT, **wrong))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"v":1', b'"v":2'),
        (b'"typ":"agent-approval-context"', b'"typ":"aims-sign-in"'),
        (b'{"approver"', b'{ "approver"'),
        (b'"v":1', b'"v":1,"w":1'),
        (b'"iat":1795000000', b'"iat":"1795000000"'),
        (b'"rp_id":"localhost",', b""),
        (b'"v":1', b'"v":1,"v":1'),
    ],
)
def test_bytes_that_are_not_exactly_a_context_are_refused(old: bytes, new: bytes) -> None:
    raw = build(CONTEXT)
    assert old in raw
    with pytest.raises(ContextRefused):
        parse(raw.replace(old, new))
