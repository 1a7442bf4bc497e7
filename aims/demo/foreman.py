"""Foreman, the first agent of the demo's chain: it asks a person for one change, and has others make it.

With the person's yes it calls Mason, who calls Keeper, who alone may write to the repository. Foreman's token opens only
Mason's desk; each of them goes on in its own name, by token exchange (RFC 8693).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import requests

from aims.demo.agent import StoryBroke, must
from aims.demo.client import Client, wait_for_token
from aims.demo.keys import Proving, load_or_make
from aims.demo.reporting import Reporter, claims_of, hash_of, trace_from
from aims.demo.world import MASON, MERGE

TIMEOUT_S = 30
CHANGE = {
    "type": "repository_change",
    "repository": "acme/ledger",
    "operation": "Merge",
    "source": "fix/rounding",
    "branch": "main",
    "commit": "9f2c4e17b0d85a3366f1c2aa41e0d7c85b9e6f03",
    "title": "Round half to even in VAT totals",
    "additions": 14,
    "deletions": 3,
}


def short(identifier: str) -> str:
    """Return an agent's name from its identifier."""
    return identifier.rsplit("/", 1)[-1]


def say(text: str) -> None:
    print(f"foreman: {text}", flush=True)


def ask(client: Client, desk: str, person: str) -> dict[str, Any]:
    """Return the token response to a person's yes. Raises StoryBroke."""
    asked = client.call(
        "backchannel_authentication_endpoint",
        {
            "scope": "openid",
            "login_hint": person,
            "resource": desk,
            "authorization_details": json.dumps([CHANGE]),
            "binding_message": "acme/ledger, change 412",
            "agent_says": "The tests pass. Mason builds it once more, and Keeper merges it.",
            "requested_expiry": "900",
        },
    )
    must(asked.status == 200, "the request was refused", asked.body)
    say(f"asked {person}: {CHANGE['operation']} {CHANGE['source']} into {CHANGE['branch']} of {CHANGE['repository']}.")
    answer = wait_for_token(client, str(asked.body["auth_req_id"]))
    must(answer.status == 200, "no token", answer.body)
    return answer.body


def start(client: Client, desk: str, token: str, reporter: Reporter) -> dict[str, Any]:
    """Have the change made; return what came of it. Raises StoryBroke."""
    assert client.proving is not None
    url = desk.rstrip("/") + "/changes"
    claims, trace, begun = claims_of(token), trace_from(None), time.monotonic()
    named = {"resource": desk, "action": MERGE, "peer": MASON, "details_hash": hash_of(CHANGE)}
    reporter.tell(claims, "a2a.call", trace=trace, **named)
    shown = client.proving.shown("POST", url, token) | trace.header
    answer = requests.post(url, json=CHANGE, headers=shown, timeout=TIMEOUT_S)
    outcome = "success" if answer.status_code == 200 else "refused"
    took_ms = int((time.monotonic() - begun) * 1000)
    reporter.tell(claims, "a2a.result", trace=trace, outcome=outcome, duration_ms=took_ms, **named)
    must(answer.status_code == 200, "the change was not made", answer.text)
    return dict(answer.json())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--issuer", required=True)
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--desk", required=True, help="Mason's resource indicator")
    parser.add_argument("--person", required=True, help="login_hint of the person to ask")
    options = parser.parse_args()
    client = Client(options.issuer, options.client_id, load_or_make(options.key), Proving())
    reporter = Reporter(client, is_agent=True)
    try:
        done = start(client, options.desk, ask(client, options.desk, options.person)["access_token"], reporter)
    except StoryBroke as broke:
        print(f"foreman: {broke}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        reporter.close()
    made_by = " for ".join(map(short, done["by"]))
    say(f"the change is {done['status']}: by {made_by}, for {done['for']}.")
    say(f"who could do this, through whom: {client.issuer}/chains/{done['txn']}/")
    return 0


if __name__ == "__main__":
    sys.exit(main())
