"""What a busy deployment has besides the demo's story: a domain that is trusted, a rule, a chain, a way through browsers."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import requests
from joserfc import jws

from aims.demo import world as demo
from aims.demo.client import ACCESS_TOKEN, Client
from aims.demo.keys import Proving, load_or_make, public_jwks
from aims.kit.ids import b64url
from aims.policy.services import DEFAULT_POLICY
from tests.browser.stage import World

BACK = "https://courier.example/back"
DESK, LEDGER = "https://desk.acme.example/", "https://ledger.acme.example/"
READ = "ledger.read"
PARTNER = "https://login.a-partner-with-a-rather-long-name.example"
VERIFIER = "v" * 43
HOSTILE_NAME = "Nord\u202ewind GmbH " + "x" * 90


def enlarge(world: World) -> None:
    """Apply the demo's configuration once more, with all of this in it."""
    jwks = {name: public_jwks(load_or_make(world.server.var / f"{name}.jwk")) for name in ("courier", "magpie", "payments", "mason", "partner")}  # fmt: skip
    text, now = DEFAULT_POLICY.read_text(), datetime.now(UTC)
    raw = json.loads(demo.configuration(resource=world.resource, policy=text, jwks=jwks, now=now))
    raw["agents"][0]["redirect_uris"] = [BACK]
    raw["agents"].append(_mason(jwks["mason"]))
    raw["resources"] += [_place(DESK, "Mason's desk") | {"operator": demo.MASON}, _place(LEDGER, "Ledger")]
    until = (now + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for agent, resource in ((demo.COURIER, DESK), (demo.MASON, LEDGER)):
        terms = {"agent": agent, "resource": resource, "actions": [READ], "from_person": demo.ADA, "until": until}
        raw["grants"].append(terms | {"depth": 2, "budget": {"count": 40, "per_hour": 5}})
    raw["trusted_servers"] = [_partner(jwks["partner"])]
    raw["trust_rules"] = [{"kind": "document_host", "value": "agents.partner.example", "owner": demo.ADA}]
    world.apply(json.dumps(raw).encode())


def walk(world: World) -> None:
    """Let Courier call Mason's desk, and Mason go on to the ledger."""
    mason = Client(world.url, demo.MASON, load_or_make(world.server.var / "mason.jwk"), Proving())
    form = {"grant_type": "client_credentials", "resource": DESK, "scope": READ}
    first = world.courier().client.call("token_endpoint", form)
    assert first.status == 200, first.body
    second = mason.exchange(str(first.body["access_token"]), ACCESS_TOKEN, {"resource": LEDGER, "scope": READ})
    assert second.status == 200, second.body


def asks(world: World, **changed: str) -> str:
    """Let Courier push a request; return the path that it opens in a browser."""
    form = {
        "response_type": "code",
        "redirect_uri": BACK,
        "scope": "openid offline_access accounts.read",
        "resource": world.resource,
        "state": "a state",
        "code_challenge": b64url(hashlib.sha256(VERIFIER.encode()).digest()),
        "code_challenge_method": "S256",
    } | changed
    answer = world.courier().client.call("pushed_authorization_request_endpoint", form)
    assert answer.status == 201, answer.body
    return "/oauth/authorize?" + urlencode({"client_id": demo.COURIER, "request_uri": answer.body["request_uri"]})


def _mason(jwks: dict[str, Any]) -> dict[str, Any]:
    return {
        "identifier": demo.MASON,
        "name": "Mason",
        "purpose": "Reads the ledger for whoever asks at its desk.",
        "contact": "engineering@acme.example",
        "owner": demo.ADA,
        "jwks": jwks,
        "dpop_bound_access_tokens": True,
    }


def _place(identifier: str, name: str) -> dict[str, Any]:
    reading = {"name": READ, "title": "Read the ledger", "reversibility": "read-only"}
    return {"identifier": identifier, "name": name, "kind": "api", "actions": [reading]}


def _partner(jwks: dict[str, Any]) -> dict[str, Any]:
    return {
        "issuer": PARTNER,
        "name": "Partner",
        "jwks": jwks,
        "accepts": ["chaining", "id-jag"],
        "receives": ["chaining"],
        "scopes": [READ, "accounts.read"],
        "subjects": [{"subject": "6f1d-ada", "person": demo.ADA}],
        "clients": [{"client_id": "https://agents.partner.example/kestrel", "agent": demo.COURIER}],
    }


def register_itself(world: World) -> None:
    """Let a stranger's client register, which then waits to be admitted. Spec: RFC 7591 §3.1."""
    metadata = {
        "client_name": HOSTILE_NAME,
        "redirect_uris": ["http://127.0.0.1:3030/callback", "http://localhost:3030/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "contacts": ["somebody@elsewhere.example"],
        "scope": "accounts.read payments.initiate",
        "software_id": "4NRB1-0XZABZI9E6-5SM3R",
    }
    assert requests.post(f"{world.url}/oauth/register", json=metadata, timeout=10).status_code == 201


def show_twice(client: Client) -> None:
    """Show one assertion again and again, until a rule sees it."""
    now = int(time.time())
    claims = {
        "iss": client.client_id,
        "sub": client.client_id,
        "aud": client.issuer,
        "iat": now,
        "exp": now + 60,
        "jti": "1",
    }
    signed = jws.serialize_compact({"alg": "ES256", "kid": client.key.kid}, json.dumps(claims).encode(), client.key)
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signed,
    }
    for _ in range(6):
        assert requests.post(client.metadata["token_endpoint"], data=form, timeout=10).status_code in (400, 401)


def seat_and_ask(world: World) -> None:
    """Let an auditor from outside have a seat, and Ada ask for what needs a second person."""
    world.server.manage("seat", "eve@audit.example", "--name", "Eve Outside", "--days", "30")
    world.server.manage("shell", "-v0", "-c", ASK)


ASK = """
from aims.compliance.services import consents
from aims.kit import clock
from aims.people.queries import person_by_email
by = person_by_email("ada@acme.example")
note = "Case 12 is closed.\\nNobody asked for it in two years."
for hold in ("hold_01m8gv685e63tvr9g0p6f9cf5g", "hold_2"):
    consents.ask("hold.release", {"hold": hold}, reason="case_closed", note=note, by=by, now=clock.now())
"""
