"""Courier, the demo's agent: a process of its own that speaks only HTTP and holds its own key.

It wants to pay an invoice. It asks for a token, learns that a person must decide, asks that person over CIBA,
waits, pays with the token it gets, and tries to pay a second time to show that one yes is one payment.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

from aims.demo.client import Client, OAuthAnswer, wait_for_token
from aims.demo.keys import Proving, load_or_make
from aims.demo.reporting import TRACE_HEADER, Reporter, Telling, Trace, claims_of, hash_of, trace_from


class StoryBroke(Exception):
    """The story went otherwise than it must."""


def say(text: str) -> None:
    print(f"courier: {text}", flush=True)


def invoice(number: str, resource: str, amount: str) -> dict[str, Any]:
    """Return the payment to ask for, as ``authorization_details`` (RFC 9396 §2)."""
    return {
        "type": "payment_initiation",
        "actions": ["payments.initiate"],
        "locations": [resource],
        "instructedAmount": {"amount": amount, "currency": "EUR"},
        "creditorName": "Nordwind GmbH",
        "creditorAccount": {"iban": "DE02120300000000202051"},
        "debtorAccount": {"iban": "DE89370400440532013000"},
        "remittanceInformationUnstructured": number,
    }


class Courier:
    """One run through the story. ``approver``: the login_hint of the person who is asked."""

    def __init__(self, client: Client, resource: str, approver: str, reporter: Telling) -> None:
        self.client, self.resource, self.approver, self.reporter = client, resource, approver, reporter
        self._traces: dict[str, str] = {}  # one for each transaction

    def read_balance(self) -> None:
        answer = self._token({"grant_type": "client_credentials", "scope": "accounts.read"})
        must(answer.status == 200, "the read-only token was refused", answer.body)
        balance = self._told(
            answer.body["access_token"],
            "accounts.read",
            lambda trace: self._get("/accounts", answer.body["access_token"], trace),
        )
        must(balance.status_code == 200, "the balance was refused", balance.text)
        say(f"read the balance: {balance.json()['balance']} EUR. Reading needs nobody's approval.")
        refused = self._paid(invoice("Invoice 0", self.resource, "1.00"), answer.body["access_token"])
        must(refused.status_code == 401, "paid without an approval", refused.text)
        say("tried to pay with that token: refused, a person must approve.")
        stolen = requests.get(
            self.resource.rstrip("/") + "/accounts",
            headers={"Authorization": f"Bearer {answer.body['access_token']}"},
            timeout=10,
        )
        must(stolen.status_code == 401, "a token was taken without its key", stolen.text)
        say("tried that token without its key, as a thief would: refused.")

    def ask_token_alone(self, order: dict[str, Any]) -> None:
        answer = self._token({"grant_type": "client_credentials", "authorization_details": json.dumps([order])})
        must(answer.error == "interaction_required", "an irreversible action was not stopped", answer.body)
        say("asked for a payment token on my own: interaction_required.")

    def ask_person(self, order: dict[str, Any], words: str) -> str:
        answer = self.client.call(
            "backchannel_authentication_endpoint",
            {
                "scope": "openid",
                "login_hint": self.approver,
                "resource": self.resource,
                "authorization_details": json.dumps([order]),
                "binding_message": order["remittanceInformationUnstructured"],
                "agent_says": words,
                "requested_expiry": "900",
            },
        )
        must(answer.status == 200, "the request was refused", answer.body)
        say(f"asked {self.approver} to approve: {order['instructedAmount']['amount']} EUR to {order['creditorName']}.")
        return str(answer.body["auth_req_id"])

    def wait(self, auth_req_id: str) -> dict[str, Any] | None:
        """Return the token response, or None if the person said no or did not answer."""
        answer = wait_for_token(self.client, auth_req_id)
        if answer.status != 200:
            say(f"no token: {answer.error}.")
            return None
        return answer.body

    def act(self, order: dict[str, Any], token: str) -> dict[str, Any]:
        done = self._paid(order, token)
        must(done.status_code == 200, "the approved payment was refused", done.text)
        say(f"paid: {done.json()['amount']['amount']} EUR, under approval {done.json()['approval']}.")
        again = self._paid(order, token)
        must(again.status_code == 403, "one approval was used twice", again.text)
        say(f"tried to pay again: refused. {again.json()['error_description']}")
        return dict(done.json())

    def _token(self, form: dict[str, str]) -> OAuthAnswer:
        return self.client.call("token_endpoint", {"resource": self.resource, **form})

    def _paid(self, order: dict[str, Any], token: str) -> requests.Response:
        return self._told(
            token, "payments.initiate", lambda trace: self._pay(order, token, trace), details_hash=hash_of(order)
        )

    def _told(
        self, token: str, action: str, call: Callable[[Trace], requests.Response], **said: str
    ) -> requests.Response:
        """Call the API, and report that before and after: what went in and came out as hashes."""
        claims, begun = claims_of(token), time.monotonic()
        trace = trace_from(self._traces.get(claims["txn"]))
        self._traces[claims["txn"]] = trace.header[TRACE_HEADER]
        named = {"resource": self.resource, "action": action, **said}
        self.reporter.tell(claims, "tool.call", trace=trace, **named)
        answer = call(trace)
        outcome = "success" if answer.status_code == 200 else "refused"
        took_ms = int((time.monotonic() - begun) * 1000)
        self.reporter.tell(claims, "tool.result", trace=trace, outcome=outcome, duration_ms=took_ms, **named)
        return answer

    def _get(self, path: str, token: str, trace: Trace) -> requests.Response:
        url = self.resource.rstrip("/") + path
        return requests.get(url, headers=self._shown(token, "GET", url) | trace.header, timeout=10)

    def _pay(self, order: dict[str, Any], token: str, trace: Trace) -> requests.Response:
        url = self.resource.rstrip("/") + "/payments"
        return requests.post(url, json=order, headers=self._shown(token, "POST", url) | trace.header, timeout=30)

    def _shown(self, token: str, method: str, url: str) -> dict[str, str]:
        assert self.client.proving is not None
        return self.client.proving.shown(method, url, token)


def must(holds: bool, text: str, seen: Any) -> None:
    if not holds:
        raise StoryBroke(f"{text}: {seen}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--resource", required=True)
    parser.add_argument("--approver", required=True, help="login_hint of the person to ask")
    parser.add_argument("--amount", default="4200.00")
    parser.add_argument("--invoice", default="Invoice 2026-1187")
    parser.add_argument("--pause-s", type=float, default=None, help="ask again after this pause; default: once")
    parser.add_argument("--token-file", type=Path, help="leave the spent access token here, as evidence")
    options = parser.parse_args()
    client = Client(options.issuer, options.client_id, load_or_make(options.key), Proving())
    reporter = Reporter(client, is_agent=True)
    courier = Courier(client, options.resource, options.approver, reporter)
    try:
        courier.read_balance()
        order = invoice(options.invoice, options.resource, options.amount)
        courier.ask_token_alone(order)
        while True:
            token = courier.wait(
                courier.ask_person(order, "Invoice matches the purchase order; a 2 % discount lapses at midnight.")
            )
            if token is not None:
                courier.act(order, token["access_token"])
                if options.token_file:
                    options.token_file.write_text(token["access_token"] + "\n")
            if options.pause_s is None:
                return 0 if token is not None else 3
            time.sleep(options.pause_s)
    except StoryBroke as broke:
        print(f"courier: {broke}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        reporter.close()


if __name__ == "__main__":
    sys.exit(main())
