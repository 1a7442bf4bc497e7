"""Tokens like one that was issued: what stands in them and in their entries is written once, and then only its places filled.

A mould is made of an answer of ``own_behalf.made``, which stays the only author of tokens and entries; what a mould casts is
what that would have made, letter for letter (``tests/property/test_moulds.py``).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from aims.authentication.client import Client
from aims.authentication.replay import Proof
from aims.authorization.services.issuing import Issue, columns_of
from aims.authorization.services.own_behalf import Plan, facts_of
from aims.authorization.services.tokens import Prepared
from aims.authorization.tokens import TYP
from aims.credentials import signing
from aims.credentials.models import KeyPurpose
from aims.kit.ids import digest, new_ref, unb64url
from aims.kit.pattern import pattern
from audit import canonical
from audit.write import new_event_id, stamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Mould:
    """Texts with places (``aims.kit.pattern``): a token's claims, its entry, and the columns of both and of its proofs."""

    plan: Plan
    claims: str
    entry: str
    columns: str

    def cast(self, client: Client, *, now: datetime) -> Issue:
        """Return a token as planned for the proofs of one request, bound as the first one was."""
        jti = new_ref("tok")
        facts = facts_of(self.plan, client, txn=new_ref("txn"), now=now)
        expires = int(facts.expires_at.timestamp())
        names = {"jti": jti, "txn": facts.txn, "jkt": client.jkt}
        claims = self.claims % (names | {"iat": int(now.timestamp()), "exp": expires})
        token = signing.current(KeyPurpose.ACCESS_TOKEN).sign_spelled(claims, TYP)
        entry = self.entry % (names | {"id": new_event_id(), "at": stamp(datetime.now(UTC)), "exp": expires})
        columns = self.columns % (
            names
            | _spelled(client.proofs)
            | {
                "checksum": digest(token),
                "issued_at": now.isoformat(),
                "expires": facts.expires_at.isoformat(),
                "payload": json.dumps(entry),
            }
        )
        prepared = Prepared(token=token, jti=jti, facts=facts, agent=self.plan.agent, request=None, now=now)
        return Issue(
            prepared=prepared, proofs=client.proofs, seen=self.plan.seen, payload=entry.encode(), columns=columns
        )


def mould_of(plan: Plan, row: Issue) -> Mould:
    """Return the mould of a token. Raises Ambiguous where a word of the request looks like one that will change."""
    prepared, facts = row.prepared, row.prepared.facts
    names = {"jti": prepared.jti, "txn": facts.txn}
    bound = {"jkt": facts.cnf["jkt"]} if facts.cnf else {}
    expires = str(int(facts.expires_at.timestamp()))
    claims, entry = unb64url(prepared.token.split(".")[1]).decode(), row.payload.decode()
    said = canonical.decode(row.payload)
    stand_in = replace(row, proofs=[_stand_in(proof) for proof in row.proofs], payload=secrets.token_hex().encode())
    return Mould(
        plan=plan,
        claims=pattern(claims, iat=str(int(prepared.now.timestamp())), exp=expires, **names, **bound),
        entry=pattern(entry, id=said["id"], at=said["occurred_at"], exp=expires, **names),
        columns=pattern(
            columns_of(stand_in),
            checksum=digest(prepared.token),
            issued_at=prepared.now.isoformat(),
            expires=facts.expires_at.isoformat(),
            payload=json.dumps(stand_in.payload.decode()),
            **names,
            **bound,
            **_spelled(stand_in.proofs),
        ),
    )


def _spelled(proofs: Sequence[Proof]) -> dict[str, str]:
    """Return what the columns say of proofs."""
    own, *others = proofs
    said = {"own": own.jti_hash, "own_until": own.expires_at.isoformat(), "made_at": own.issued_at.isoformat()}
    for key in others:
        made_at = min(own.issued_at, key.issued_at).isoformat()
        said |= {"key": key.jti_hash, "key_until": key.expires_at.isoformat(), "made_at": made_at}
    return said


def _stand_in(proof: Proof) -> Proof:
    """Return a proof whose words stand nowhere else: two real ones may well say the same moment."""
    moments = [_EPOCH + timedelta(microseconds=secrets.randbelow(10**15)) for _ in range(2)]
    return replace(proof, jti_hash=secrets.token_hex(32), issued_at=min(moments), expires_at=max(moments))
