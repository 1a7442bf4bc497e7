"""What was granted once to a request, kept for those that say the same: an agent sends one form again and again.

Kept is the answer of the ordinary checks (``from_memory``) to all of a request but its proofs: the client's assertion and
the proof of its key, which are new each time and are checked each time, by the same functions. Nothing is decided here,
and whatever is not said in the very same bytes, or has become doubtful, goes the ordinary way. A plan is good

- for one agent, as it stands in memory, and while every word that was read from memory for it would be read there again;
- until the first of the grants that it rests on ends;
- and then only if the write finds agent, resource and policy in the versions that were seen, as for every token.

A budget has no version, so what is metered has no plan; nor has what is bound to a certificate, or answered with
a nonce.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import datetime

from aims.authentication import dpop, private_key_jwt
from aims.authentication.client import Client
from aims.authorization.pipeline import Call, gives_nonce
from aims.authorization.services import gathering
from aims.authorization.services.issuing import Issue
from aims.authorization.services.mould import Mould, mould_of
from aims.authorization.services.own_behalf import Plan
from aims.kit.kept import Kept, Sources
from aims.kit.pattern import Ambiguous

TOKEN_PATH = "/oauth/token"  # in ``authorization/urls.py``
PLANS_MAX = 2_000
SAID_MAX_BYTES = 8 * 1024  # of a request that is kept, without its proofs
# Headers that say nothing here: no check reads them, or only to count a refusal. Whatever else is sent must be the same.
SILENT = frozenset(
    {
        "accept", "accept-encoding", "accept-language", "connection", "traceparent", "tracestate", "user-agent",
        "x-forwarded-for", "x-request-id",
    }
)  # fmt: skip
_GRANT = b"grant_type=client_credentials"  # no other is answered from memory
_NAME = b"client_assertion="
_IN_AN_ASSERTION = b"-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"  # none needs decoding in a form


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the token endpoint, taken apart. said: all of it but its proofs. dpop: as for ``read_key``."""

    said: Hashable
    assertion: str
    dpop: str | None


@dataclass(frozen=True, slots=True)
class Again:
    """A token for a request like an earlier one, still to be written. is_secure: whether it came by TLS."""

    client: Client
    row: Issue
    is_secure: bool


@dataclass(frozen=True, slots=True)
class _Planned:
    mould: Mould
    sources: Sources
    is_secure: bool


_plans: Kept[tuple[str, Hashable], _Planned] = Kept(most=PLANS_MAX)


def taken_apart(body: bytes, around: Hashable, dpop_header: str | None) -> Asked | None:
    """Return a request whose form has one assertion to cut out; None for any other. around: all else that it says.

    Cut out is the value of a parameter of just this name: what stands there needs no decoding, so any other such value
    leaves the rest of the form as it is.
    """
    if _GRANT not in body:
        return None
    before = 0 if body.startswith(_NAME) else body.find(b"&" + _NAME) + 1
    begin = before + len(_NAME)
    end = body.find(b"&", begin)
    end = len(body) if end < 0 else end
    assertion = body[begin:end]
    if body[before:begin] != _NAME or assertion.translate(None, _IN_AN_ASSERTION):
        return None
    said = (around, body[:begin], body[end:], dpop_header is None)
    return Asked(said=said, assertion=assertion.decode("ascii"), dpop=dpop_header)


def keep(asked: Asked, call: Call, plan: Plan, row: Issue, sources: Sources) -> None:
    """Keep what was granted to a request, for those like it. sources: what was read from memory for it."""
    if not _is_lasting(call, row) or not _is_this(asked, call) or len(repr(asked.said)) > SAID_MAX_BYTES:
        return
    try:
        mould = mould_of(plan, row)
    except Ambiguous:
        return
    slot = (call.client.identifier, asked.said)
    _plans.keep(slot, _Planned(mould, sources, bool(call.request.is_secure())))


def again(asked: Asked, *, now: datetime) -> Again | None:
    """Return the token for a request like an earlier one; None where there is no plan that is good.

    Raises Unavailable, and InvalidClient, InvalidDpopProof and UseDpopNonce for its proofs. Writes nothing.
    """
    token = private_key_jwt.read(asked.assertion)
    found = _plans.get((str(token.claims.get("sub")), asked.said))
    if found is None or not found.sources.are_current() or not found.mould.plan.is_good(now=now):
        return None
    gathering.admit()  # nobody's signature is verified for what could not be written
    client = private_key_jwt.recalled(token, found.mould.plan.agent, now=now)
    if client is None:
        return None
    key = dpop.read_key(asked.dpop, method="POST", path=TOKEN_PATH, client=client.identifier, now=now)
    client = replace(client, key=key) if key else client
    return Again(client, found.mould.cast(client, now=now), found.is_secure)


def forget(asked: Asked, client: Client) -> None:
    """Drop the plan of a request: the write has found something changed."""
    _plans.drop((client.identifier, asked.said))


def _is_lasting(call: Call, row: Issue) -> bool:
    client = call.client
    return client.is_recalled and not client.x5t_s256 and not row.is_metered and not gives_nonce(call.request)


def _is_this(asked: Asked, call: Call) -> bool:
    """Return whether the checks have read the same proofs, at the same place, as were taken out here."""
    read = (call.value("client_assertion"), call.request.META.get(dpop.META_NAME), call.request.path)
    return read == (asked.assertion, asked.dpop, TOKEN_PATH)
