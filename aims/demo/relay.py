"""An agent of the demo's chain that is called and calls on: Mason and Keeper run this.

It never passes an access token on. It checks what it is given, as any resource server does, exchanges it for one of its
own that is good at the next desk only (RFC 8693), and calls there in its own name. What does travel, unmodified and beside
it, is the transaction token: Mason, where the call comes into the trust domain, has it made, and everybody after him holds
what they are asked to do against it. It says which call this belongs to; it lets nobody in.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from aims.demo.client import ACCESS_TOKEN, TXN_TOKEN, Client, OAuthAnswer
from aims.demo.face import UNREAD, GuardedFace, guard_of, serve, transaction_of
from aims.demo.foreman import short
from aims.demo.keys import Proving, load_or_make
from aims.demo.reporting import TRACE_HEADER, Reporter, Telling, Trace, claims_of, hash_of, trace_from
from aims.demo.world import MERGE
from aims.resource_server import metadata, txn_token
from aims.resource_server.errors import Refused
from aims.resource_server.guard import Call, Guard, Request

KIND = "repository_change"
TIMEOUT_S = 30
HOLD_MAX_S = 240


class NotPassedOn(Refused):
    """The issuer, or the next desk, said no to us: whoever called us can't have this through us."""

    status = 403
    error = "insufficient_scope"
    code = "not_passed_on"
    description = "This can't be passed on."


@dataclass(frozen=True)
class Relay:
    """A desk and the agent behind it. guard: of the desk. agent: as which we call on. onward: the next desk.

    begins: the action for which calls become transactions here; empty where they are transactions already.
    desk_says, agent_says: the two reporters of what happened, as which resource and as which agent.
    """

    name: str
    trust_domain: str
    guard: Guard
    agent: Client
    onward: str
    begins: str
    desk_says: Telling
    agent_says: Telling

    def about(self) -> dict[str, Any]:
        """Return what this desk says of itself. Spec: RFC 9728 §2."""
        return metadata.document(
            identifier=self.guard.identifier,
            authorization_servers=[self.guard.issuer],
            takes_bearer=self.guard.takes_bearer,
            proof_algorithms=self.guard.proof_algorithms,
            name=self.name,
            detail_types=[KIND],
        )

    def pass_on(
        self, request: Request, transactions: Sequence[str], change: Mapping[str, Any], trace: Trace
    ) -> dict[str, Any]:
        """Check, exchange, call on; return what the next one answered. transactions: of every header ``Txn-Token``."""
        call = self.guard.admit(request, now=time.time())
        self.guard.require_detail(call, change)
        self.guard.require_active(call)
        self._say(f"asked by {short(call.agent)}. Going on in my own name.")
        named = {"agent": call.agent, "action": MERGE, "details_hash": hash_of(dict(change))}
        self.desk_says.tell(call.claims, "action.executed", trace=trace, outcome="success", **named)
        if self.begins:
            transaction = self._begun(call, change)
            own = self._token(transaction, TXN_TOKEN, change)
        else:
            held = transaction_of(call, transactions, guard=self.guard, trust_domain=self.trust_domain)
            transaction = held.token
            own = self._token(call.token, ACCESS_TOKEN, change)
        trace = trace_from(trace.header[TRACE_HEADER])
        answer = self._told(own, transaction, change, trace)
        if answer.status_code != 200:
            raise NotPassedOn(str(answer.status_code))
        self.holds(own, transaction, change, trace)
        return dict(answer.json())

    def call_on(self, token: str, transaction: str, change: Mapping[str, Any], trace: Trace) -> requests.Response:
        """Call the next desk with a token of our own, and the transaction as it came."""
        assert self.agent.proving is not None
        url = self.onward.rstrip("/") + "/changes"
        shown = self.agent.proving.shown("POST", url, token) | {txn_token.HEADER: transaction} | trace.header
        return requests.post(url, json=dict(change), headers=shown, timeout=TIMEOUT_S)

    def tell_call(self, token: str, change: Mapping[str, Any], trace: Trace) -> None:
        """Report that we call the next desk."""
        self.agent_says.tell(claims_of(token), self._kind("call"), trace=trace, **self._named(change))

    def tell_result(self, token: str, change: Mapping[str, Any], trace: Trace, answer: requests.Response) -> None:
        """Report what the next desk answered us."""
        outcome = "success" if answer.status_code == 200 else "refused"
        self.agent_says.tell(
            claims_of(token), self._kind("result"), trace=trace, outcome=outcome, **self._named(change)
        )

    def _told(self, token: str, transaction: str, change: Mapping[str, Any], trace: Trace) -> requests.Response:
        self.tell_call(token, change, trace)
        answer = self.call_on(token, transaction, change, trace)
        self.tell_result(token, change, trace, answer)
        return answer

    def _kind(self, what: str) -> str:
        return (
            f"a2a.{what}" if self.begins else f"tool.{what}"
        )  # after the first desk comes an agent, at the end a tool

    def _named(self, change: Mapping[str, Any]) -> dict[str, str]:
        return {"resource": self.onward, "action": MERGE, "details_hash": hash_of(dict(change))}

    def holds(self, token: str, transaction: str, change: Mapping[str, Any], trace: Trace) -> None:
        """Go on with a token of our own after the answer. Nothing here: the last one in the chain holds its lease."""

    def _begun(self, call: Call, change: Mapping[str, Any]) -> str:
        """Return a transaction token for this call. Spec: draft-ietf-oauth-transaction-tokens, Txn-Token Request."""
        details = {"repository": change["repository"], "source": change["source"], "branch": change["branch"]}
        form = {
            "audience": self.trust_domain,
            "scope": self.begins,
            "requested_token_type": TXN_TOKEN,
            "request_details": json.dumps(details),
        }
        return _issued(self.agent.exchange(call.token, ACCESS_TOKEN, form))

    def _token(self, subject: str, kind: str, change: Mapping[str, Any]) -> str:
        """Return an access token of our own for the next desk."""
        form = {"resource": self.onward, "authorization_details": json.dumps([dict(change)])}
        return _issued(self.agent.exchange(subject, kind, form))

    def _say(self, text: str) -> None:
        print(f"{self.name.lower()}: {text}", flush=True)


@dataclass(frozen=True)
class Holder(Relay):
    """The last one in the chain: it keeps the branch leased, every so often, as long as it may.

    every_s: between two calls. report: a file for when it could do so last, and when it was told no.
    """

    every_s: float
    report: Path

    def holds(self, token: str, transaction: str, change: Mapping[str, Any], trace: Trace) -> None:
        threading.Thread(target=self._hold, args=(token, transaction, change, trace), daemon=True).start()

    def _hold(self, token: str, transaction: str, change: Mapping[str, Any], before: Trace) -> None:
        until, held_at = time.time() + HOLD_MAX_S, time.time()
        self.report.write_text(json.dumps({"held_at": held_at}))
        while time.time() < until:
            trace = trace_from(before.header[TRACE_HEADER])
            answer = self.call_on(token, transaction, change, trace)
            if answer.status_code != 200:
                self.tell_call(token, change, trace)  # the one that was refused; those before it said nothing new
                self.tell_result(token, change, trace, answer)
                told = {"held_at": held_at, "refused_at": time.time(), "error": answer.json().get("error", "")}
                self._say(f"the repository no longer takes my token: {answer.json().get('error_description')}")
                _write_whole(self.report, told)
                return
            held_at = time.time()
            time.sleep(self.every_s)


class Face(GuardedFace):
    """HTTP in front of a desk: POST /changes, and the metadata."""

    relay: Relay

    def do_GET(self) -> None:
        if not self.is_about():
            self.answer(404, {"error": "not_found"})

    def do_POST(self) -> None:
        if self.path != "/changes":
            return self.answer(404, {"error": "not_found"}, UNREAD)
        change = self.json_object()
        if change is not None:
            sent = self.headers.get_all(txn_token.HEADER, [])
            trace = trace_from(self.headers.get(TRACE_HEADER))
            self.guarded(lambda request: self.relay.pass_on(request, sent, change, trace))


def _issued(answer: OAuthAnswer) -> str:
    """Return what was issued. Raises NotPassedOn."""
    if answer.status != 200:
        raise NotPassedOn(answer.error)
    return str(answer.body["access_token"])


def _write_whole(path: Path, told: Mapping[str, Any]) -> None:
    """Put a file in its place in one move, so that whoever looks sees all of it or nothing."""
    made = path.with_suffix(".new")
    made.write_text(json.dumps(told))
    made.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--client-id", required=True, help="the agent")
    parser.add_argument("--identifier", required=True, help="its desk's resource indicator")
    parser.add_argument("--key", type=Path, required=True, help="the agent's")
    parser.add_argument("--desk-key", type=Path, required=True, help="the desk's, with which it introspects")
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--trust-domain", required=True)
    parser.add_argument("--begins", default="", help="the action for which calls become transactions here")
    parser.add_argument("--onward", required=True, help="the next desk's resource indicator")
    parser.add_argument("--hold-every-s", type=float, help="go on until told no, calling this often")
    parser.add_argument("--report", type=Path, help="with --hold-every-s: say here when that was")
    options = parser.parse_args()
    desk = Client(options.issuer, options.identifier, load_or_make(options.desk_key))
    agent = Client(options.issuer, options.client_id, load_or_make(options.key), Proving())
    guard = guard_of(desk, ledger=options.ledger)
    saying = (Reporter(desk, is_agent=False), Reporter(agent, is_agent=True))
    named = (options.name, options.trust_domain, guard, agent, options.onward, options.begins, *saying)
    relay = Relay(*named)
    if options.hold_every_s is not None:
        relay = Holder(*named, options.hold_every_s, options.report)
    Face.relay, Face.guard, Face.about = relay, guard, relay.about()
    serve(Face, options.port)


if __name__ == "__main__":
    main()
