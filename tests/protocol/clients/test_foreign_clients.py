"""OAuth clients that we did not write, against the real server: openid-client, oauth4webapi, Authlib, joserfc.

The approver is a software authenticator that signs over HTTP, as in the unattended demo.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from joserfc import jws, jwt
from joserfc.jwk import KeySet

from aims.demo.approver import Approver
from aims.demo.client import CIBA
from tests.support.running import AimsServer
from tests.support.world import PAY, READ, RESOURCE, World, ciba_form, inhabit, payment

HERE = Path(__file__).parent
INSTALL_WITHIN_S = 120
STORY_WITHIN_S = 60


@dataclass(frozen=True)
class Lived:
    """A deployment with one agent and one person in it."""

    aims: AimsServer
    world: World
    person: Approver


@pytest.fixture(scope="module")
def lived(aims: AimsServer) -> Lived:
    world = inhabit(aims)
    return Lived(aims, world, world.enrolled(Approver)[0])


@pytest.fixture(scope="module")
def openid_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script and the packages it names, fetched from the registry."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node and npm: openid-client can't run")
    folder = tmp_path_factory.mktemp("openid-client")
    for name in ("package.json", "ciba.mjs", "agreement.mjs"):
        shutil.copy(HERE / name, folder)
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        got = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_WITHIN_S)
    except subprocess.TimeoutExpired:
        pytest.skip("the registry of npm does not answer")
    if got.returncode:
        pytest.skip(f"npm could not fetch the packages: {got.stderr.strip().splitlines()[-1:]}")
    return folder


@pytest.mark.spec("CIBA Core 1.0", "10.1", "a certified client completes poll mode with private_key_jwt")
def test_openid_client_completes_ciba_poll_and_oauth4webapi_accepts_the_token(
    lived: Lived, openid_client: Path
) -> None:
    agent, detail = lived.world.agents[0], payment(7)
    task = {
        "issuer": lived.aims.base_url,
        "client_id": agent.identifier,
        "key": agent.key.as_dict(private=True),
        "audience": RESOURCE,
        "parameters": ciba_form(lived.world.emails[0], detail, binding_message="Invoice 7"),
    }
    deciding = threading.Thread(target=_approve_next, args=(lived.person,))
    deciding.start()
    done = subprocess.run(
        ["node", "ciba.mjs"],
        cwd=openid_client,
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=STORY_WITHIN_S,
    )
    deciding.join()
    assert done.returncode == 0, done.stderr
    seen = {step["step"]: step for step in map(json.loads, done.stdout.splitlines())}
    assert list(seen) == ["discovered", "asked", "answered", "validated"]
    assert seen["answered"]["has_id_token"]
    claims = seen["validated"]["claims"]
    assert claims["authorization_details"] == [detail]
    assert claims["approval"]["count"] == 1


@pytest.mark.spec(
    "RFC 6749", "4.1.3", "openid-client and oauth4webapi redeem, refresh, exchange, introspect and revoke"
)
def test_openid_client_goes_from_a_code_to_the_end_of_its_family(lived: Lived, openid_client: Path) -> None:
    agent = lived.world.agents[0]
    task = {
        "issuer": lived.aims.base_url,
        "client_id": agent.identifier,
        "key": agent.key.as_dict(private=True),
        "audience": RESOURCE,
        "server_key": lived.world.server_key.as_dict(private=True),
        "redirect_uri": "https://agent.example/cb",
        "scope": READ,
    }
    process = subprocess.Popen(
        ["node", "agreement.mjs"],
        cwd=openid_client,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(task) + "\n")
    process.stdin.flush()
    begun = json.loads(process.stdout.readline())
    process.stdin.write(_agreed(lived, task, begun) + "\n")
    said, trouble = process.communicate(timeout=STORY_WITHIN_S)
    assert process.returncode == 0, trouble
    seen = {step.pop("step"): step for step in map(json.loads, said.splitlines())}
    first, claims = seen["redeemed"], seen["validated"]["claims"]
    assert (first["token_type"], first["nonce"]) == ("dpop", begun["nonce"])
    assert (claims["scope"], claims["cnf"]) == (READ, {"jkt": begun["jkt"]})
    assert seen["introspected"]["active"] is True
    assert seen["userinfo"] == {"sub": first["sub"], "email": lived.world.emails[0]}
    assert first["sub"] != claims["sub"]  # pairwise
    assert (seen["refreshed"]["rotated"], seen["exchanged"]["issued_token_type"].rpartition(":")[2]) == (
        True,
        "access_token",
    )
    assert seen["reused"] == {"error": "invalid_grant"}
    assert seen["ended"] == {"active": False, "below": False, "error": "invalid_grant"}
    assert seen["on its own"] == {"active": True, "revoked": False}


@pytest.mark.spec("RFC 7523", "2.2", "a library's client assertion is accepted")
def test_authlib_gets_a_token_on_its_own_and_joserfc_accepts_it(lived: Lived) -> None:
    client = lived.world.agents[0].client(lived.aims.base_url)
    form = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": READ}
    answer = client.call("token_endpoint", form)
    assert answer.status == 200, answer.body
    token = jwt.decode(answer.body["access_token"], _keys(lived), algorithms=["ES256"])
    assert token.header["typ"] == "at+jwt"
    registry = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": lived.aims.base_url},
        aud={"essential": True, "value": RESOURCE},
        client_id={"essential": True, "value": lived.world.agents[0].identifier},
        exp={"essential": True},
        jti={"essential": True},
    )
    registry.validate(token.claims)


@pytest.mark.spec("RFC 6749", "3.3", "a scope alone never carries what a person must approve")
def test_authlib_is_told_to_ask_a_person(lived: Lived) -> None:
    client = lived.world.agents[0].client(lived.aims.base_url)
    form = {"grant_type": "client_credentials", "resource": RESOURCE, "authorization_details": json.dumps([payment()])}
    assert client.call("token_endpoint", form).error == "interaction_required"


@pytest.mark.spec("CIBA Core 1.0", "10.1.1", "the tokens of a signed yes verify with keys from jwks_uri alone")
def test_joserfc_verifies_access_token_id_token_and_receipt_of_one_approval(lived: Lived) -> None:
    client = lived.world.agents[0].client(lived.aims.base_url)
    asked = client.call("backchannel_authentication_endpoint", ciba_form(lived.world.emails[0], payment(8)))
    assert asked.status == 200, asked.body
    _approve_next(lived.person)
    answer = client.call("token_endpoint", {"grant_type": CIBA, "auth_req_id": asked.body["auth_req_id"]})
    assert answer.status == 200, answer.body
    keys = _keys(lived)
    access = jwt.decode(answer.body["access_token"], keys, algorithms=["ES256"]).claims
    identity = jwt.decode(answer.body["id_token"], keys, algorithms=["ES256"]).claims
    assert identity["aud"] in (client.client_id, [client.client_id])
    assert (identity["iss"], identity["txn"]) == (lived.aims.base_url, access["txn"])
    assert identity["sub"] != access["sub"]  # pairwise: the client's own name for the person
    receipt = _receipt(access, answer.body["access_token"])
    signed = jws.deserialize_compact(receipt, keys, algorithms=["ES256"])
    assert signed.headers()["typ"] == "approval-receipt+jwt"
    told = json.loads(signed.payload)
    asked_for = json.loads(urlsafe_b64decode(told["request_jcs"] + "=="))
    assert (told["client_id"], asked_for["request_id"]) == (client.client_id, access["approval"]["id"])


def test_the_payments_api_learns_by_introspection_that_the_token_is_good(lived: Lived) -> None:
    token = _token_for_reading(lived)
    seen = lived.world.resource_server().call("introspection_endpoint", {"token": token}).body
    assert seen["active"] is True
    assert seen["scope"] == READ
    assert PAY not in seen["scope"]


def _agreed(lived: Lived, task: dict[str, Any], begun: dict[str, Any]) -> str:
    """Return where the person's browser is sent when they agreed: the same verb that the pages call, on the server."""
    code = lived.aims.manage("shell", "-v0", "-c", _AGREE.format(task=task | begun)).stdout.strip()
    query = {"code": code, "state": begun["state"], "iss": lived.aims.base_url}
    return f"{task['redirect_uri']}?{urlencode(query)}"


_AGREE = """
from django.db import transaction
from aims.authorization.models import Application, DelegationGrant
from aims.authorization.services.codes import Standing, issue_code
from aims.kit import clock
task = {task!r}
grant = DelegationGrant.objects.select_related("agent", "from_person").filter(agent__identifier=task["client_id"]).first()
Application.objects.update_or_create(agent=grant.agent, defaults=dict(
    client_id=task["client_id"], client_secret="", hash_client_secret=False, redirect_uris=task["redirect_uri"],
    grant_types=["client_credentials", "urn:openid:params:grant-type:ciba", "authorization_code", "refresh_token"],
))
standing = Standing(
    agent=grant.agent, person=grant.from_person, grant=grant, request=None, resource=task["audience"],
    scope="openid email offline_access " + task["scope"], details=(), auth_time=clock.now(), acr="phr",
    amr=("hwk", "user"), nonce=task["nonce"], jkt=task["jkt"],
)
with transaction.atomic():
    print(issue_code(
        standing, redirect_uri=task["redirect_uri"], code_challenge=task["code_challenge"], now=clock.now()))
"""


def _token_for_reading(lived: Lived) -> str:
    client = lived.world.agents[0].client(lived.aims.base_url)
    form = {"grant_type": "client_credentials", "resource": RESOURCE, "scope": READ}
    return str(client.call("token_endpoint", form).body["access_token"])


def _approve_next(person: Approver) -> None:
    address = person.wait_for_card()
    person.decide(address, expect="Pay 12.50 EUR to Nordwind GmbH", decision="approve")


def _receipt(access: dict[str, Any], token: str) -> str:
    """Fetch the receipt where the token says, and compare it with the hash in the token."""
    bearer = {"Authorization": f"Bearer {token}"}
    got = requests.get(access["approval"]["receipt_uri"], headers=bearer, timeout=10)
    got.raise_for_status()
    digest = urlsafe_b64encode(hashlib.sha256(got.text.encode()).digest()).rstrip(b"=").decode()
    assert access["approval"]["receipt_hash"] == f"sha-256:{digest}"
    return got.text


def _keys(lived: Lived) -> KeySet:
    return KeySet.import_key_set(requests.get(f"{lived.aims.base_url}/oauth/jwks", timeout=10).json())
