"""A mould casts what the ordinary function makes, letter for letter: claims, entry, and the columns of the one write."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from aims.authentication.client import Client
from aims.authentication.dpop import KeyProof
from aims.authentication.replay import OF_KEY, Proof
from aims.authorization.models import DelegationGrant
from aims.authorization.services import mould as moulds
from aims.authorization.services import own_behalf, tokens
from aims.authorization.services.issuing import Issue, Seen, columns_of
from aims.authorization.services.metering import Share
from aims.authorization.services.mould import mould_of
from aims.authorization.services.own_behalf import Plan
from aims.authorization.target import Target
from aims.authorization.wanted import Action, Wanted
from aims.credentials.signing import Signer
from aims.identifier.models import Agent, Resource
from aims.kit.ids import b64url, digest
from aims.kit.pattern import Ambiguous, pattern
from audit import write

pytestmark = pytest.mark.spec("AIMS Console", "authorization", "what a mould casts is what would have been made")
SIGNER = Signer(kid="k1", algorithm="ES256", _key=ECKey.generate_key("P-256"))
_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
moments = st.timedeltas(timedelta(0), timedelta(days=25_000)).map(lambda since: _BEGIN + since)
names = st.text("abc019:/._-%\"\\'", min_size=1, max_size=30)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
details = st.fixed_dictionaries(
    {"type": names}, optional={"amount": st.integers(0, 10**12), "of": words, "%(jti)s": words}
)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    agent = Agent(pk=1, ref="agt_1", version=draw(st.integers(1, 99)), identifier=draw(names))
    resource = Resource(pk=2, ref="res_1", version=draw(st.integers(1, 99)), identifier=draw(names))
    actions = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    target = Target(
        resource=resource,
        scope=draw(words),
        details=tuple(draw(st.lists(details, max_size=2))),
        wanted=tuple(Wanted(Action(name, name, "", "reversible"), None, "reversible") for name in actions),
    )
    shares = tuple(
        Share(grant=DelegationGrant(pk=pk), amounts={}) for pk in draw(st.sets(st.integers(1, 9), max_size=2))
    )
    policy = draw(st.integers(1, 10**6))
    seen = Seen(agent=agent, resource=resource, policy_version=policy, policy_hash=draw(names), shares=shares)
    ends = tuple(draw(st.lists(moments, max_size=2)))
    return Plan(agent=agent, target=target, policies=tuple(draw(st.lists(names, max_size=3))), ends=ends, seen=seen)


def client_of(plan: Plan, made_at: datetime, *, is_bound: bool) -> Client:
    def proof(ref: str, lasts_s: int) -> Proof:
        until = made_at + timedelta(seconds=lasts_s)
        return Proof(client_ref=ref, jti_hash=secrets.token_hex(32), issued_at=made_at, expires_at=until, agent="a")

    key = KeyProof(jkt=b64url(secrets.token_bytes(32)), proof=proof(OF_KEY, 60)) if is_bound else None
    own = proof(plan.agent.ref, 60)  # as long as that of the key: the two say the same moments
    return Client(
        identifier=plan.agent.identifier, ref=plan.agent.ref, agent=plan.agent, resource=None, proof=own, key=key
    )


@contextmanager
def same_names(said: str) -> Iterator[None]:
    """Let all that is made in this block have the same references, and the same moment in its entry."""
    with ExitStack() as stack:
        for room in (own_behalf, tokens, moulds):
            if hasattr(room, "new_ref"):
                stack.enter_context(patch.object(room, "new_ref", lambda prefix: f"{prefix}_{said:>026}"))
        for room in (write, moulds):
            stack.enter_context(patch.object(room, "new_event_id", lambda: f"{said:>032}-evt"))
            stack.enter_context(patch.object(room, "stamp", lambda moment: f"2026-11-28T10:00:{said:>02}.123Z"))
        stack.enter_context(patch("aims.credentials.signing.current", lambda purpose: SIGNER))
        yield


def spelled(row: Issue) -> tuple[Any, ...]:
    """Return all that is written of a row and all that is answered with it, but for the signature."""
    token = row.prepared.token
    columns = (row.columns or columns_of(row)).replace(digest(token), "checksum")
    answered = row.prepared.response() | {"access_token": token.rpartition(".")[0]}
    return (
        answered,
        row.payload,
        columns,
        row.prepared.facts,
        row.proofs,
        row.prepared.values() | {"token_checksum": ""},
    )


@settings(max_examples=60, deadline=None)
@given(plan=plans(), at=st.tuples(moments, moments), made=st.tuples(moments, moments), is_bound=st.booleans())
def test_a_mould_casts_what_would_have_been_made(
    plan: Plan, at: tuple[datetime, datetime], made: tuple[datetime, datetime], is_bound: bool
) -> None:
    with same_names("1"):
        first = own_behalf.made(plan, client_of(plan, made[0], is_bound=is_bound), now=at[0])
        try:
            mould = mould_of(plan, first)
        except Ambiguous:  # the same moment twice in one token: it has no mould, and nobody is the worse for it
            reject()
    client = client_of(plan, made[1], is_bound=is_bound)
    with same_names("2"):
        assert spelled(mould.cast(client, now=at[1])) == spelled(own_behalf.made(plan, client, now=at[1]))


@pytest.mark.parametrize("where", ["exp", "iat", "expires", "jti"])
def test_a_request_that_says_what_will_change_has_no_mould(where: str) -> None:
    """Else an agent could have an amount approved that rises with the clock."""
    now = datetime(2026, 11, 28, 10, 0, 1, 5, tzinfo=UTC)
    expires = (now + timedelta(seconds=300)).replace(microsecond=0)
    said = {
        "exp": int(expires.timestamp()), "iat": int(now.timestamp()), "expires": expires.isoformat(), "jti": f"tok_{1:>026}",
    }[where]  # fmt: skip
    resource = Resource(ref="res_1", version=1, identifier="https://pay.example/")
    agent = Agent(ref="agt_1", version=1, identifier="spiffe://acme.example/courier")
    wanted = (Wanted(Action("read", "Read", "", "read-only"), None, "read-only"),)
    for detail, is_ambiguous in (({"type": "t", "amount": said}, True), ({"type": "t", "amount": "other"}, False)):
        target = Target(resource=resource, scope="", details=(detail,), wanted=wanted)
        seen = Seen(agent=agent, resource=resource, policy_version=1, policy_hash="h")
        plan = Plan(agent=agent, target=target, policies=(), ends=(), seen=seen)
        with same_names("1"):
            row = own_behalf.made(plan, client_of(plan, now, is_bound=True), now=now)
            if is_ambiguous:
                with pytest.raises(Ambiguous):
                    mould_of(plan, row)
            else:
                assert mould_of(plan, row).plan is plan


@given(before=words, between=words, after=words)
def test_a_pattern_says_the_same_around_its_places(before: str, between: str, after: str) -> None:
    one, other = secrets.token_hex(), secrets.token_hex()
    made = pattern(f"{before}{one}{between}{other}{after}", one=one, other=other)
    assert made % {"one": "1", "other": "2", "more": "3"} == f"{before}1{between}2{after}"


@pytest.mark.parametrize("text", ["no such word", "one and one", "onetwo and two"])
def test_a_word_that_is_not_there_just_once_makes_no_pattern(text: str) -> None:
    with pytest.raises(Ambiguous):
        pattern(text, one="one", two="two")


def test_words_that_overlap_make_no_pattern() -> None:
    with pytest.raises(Ambiguous):
        pattern("abc", one="ab", two="bc")
