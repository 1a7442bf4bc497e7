"""OAuth clients that we did not write, against the real server: openid-client, oauth4webapi, Authlib, joserfc.

The approver is a software authenticator that signs over HTTP, as in the unattended demo.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws, jwt
from joserfc.jwk import KeySet

from aims.demo.approver import Approver, Page
from aims.demo.client import CIBA
from tests.protocol.client_auth.test_mtls import self_signed
from tests.support.domain import Domain, Shown, named, usage
from tests.support.running import AimsServer, aims_server
from tests.support.world import PAY, READ, RESOURCE, World, ciba_form, inhabit, payment

HERE = Path(__file__).parent
INSTALL_WITHIN_S = 120
STORY_WITHIN_S = 60
TIMEOUT_S = 10
EXPORT = "account_export"
REDIRECT = "https://agent.example/cb"
SCOPE = f"openid email offline_access {READ}"


CERTIFIED = ("tls_client_auth", "self_signed_tls_client_auth", "spiffe_x509")
AGENTS = 2 + len(CERTIFIED)  # the first has a key, the last JWT-SVIDs, those between a certificate


@dataclass(frozen=True)
class Lived:
    """A deployment with agents and one person in it. domain: of the agents, it signs what they prove themselves by."""

    aims: AimsServer
    world: World
    person: Approver
    domain: Domain


@pytest.fixture(scope="module")
def aims(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AimsServer]:
    """A server behind a proxy that ends TLS on this machine."""
    with aims_server(tmp_path_factory.mktemp("aims"), AIMS_CLIENT_CERT_PROXIES="127.0.0.1/32") as server:
        yield server


@pytest.fixture(scope="module")
def lived(aims: AimsServer) -> Lived:
    domain = Domain()

    def settled(configuration: dict[str, Any]) -> None:
        _with_exports(configuration)
        configuration["trust_domains"][0]["bundle"] = domain.bundle()
        for agent, method in zip(configuration["agents"][1:], [*CERTIFIED, "spiffe_jwt"], strict=True):
            agent["token_endpoint_auth_method"] = method
            if method == "tls_client_auth":
                agent["tls_client_auth_subject_dn"] = "CN=workload"

    world = inhabit(aims, agents=AGENTS, also=settled)
    return Lived(aims, world, world.enrolled(Approver)[0], domain)


@pytest.fixture(scope="module")
def openid_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script and the packages it names, fetched from the registry."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no node and npm: openid-client can't run")
    folder = tmp_path_factory.mktemp("openid-client")
    for name in ("package.json", "ciba.mjs", "agreement.mjs", "certificates.mjs"):
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
    "RFC 6749", "4.1", "openid-client and oauth4webapi push a request, redeem, refresh, exchange, introspect and revoke"
)
@pytest.mark.spec("RFC 9126", "2.1", "openid-client and oauth4webapi push a request with PKCE, DPoP and details")
@pytest.mark.spec("RFC 9396", "7", "what the person left of the details is in the token response and in the token")
def test_openid_client_goes_from_a_pushed_request_to_the_end_of_its_family(lived: Lived, openid_client: Path) -> None:
    agent, paid = lived.world.agents[0], payment(9)
    task = {
        "issuer": lived.aims.base_url,
        "client_id": agent.identifier,
        "key": agent.key.as_dict(private=True),
        "audience": RESOURCE,
        "server_key": lived.world.server_key.as_dict(private=True),
        "redirect_uri": REDIRECT,
        "scope": SCOPE,
        "own_scope": READ,
        "details": [_export("2026"), _export("2025")],
        "payment": paid,
    }
    with _story(openid_client, "agreement.mjs", task) as story:
        pushed = story.until("pushed")
        story.tell(_agree(lived, pushed["address"], scope=SCOPE.split(), detail=["0"]))
        asked = story.until("pushed a payment")
        story.tell(_agree_and_sign(lived, asked["address"]))
        seen = story.to_the_end()
    first, claims = seen["redeemed"], seen["validated"]["claims"]
    assert (first["token_type"], first["nonce"]) == ("dpop", pushed["nonce"])
    assert first["details"] == claims["authorization_details"] == [_export("2026")]  # the person unticked the other
    assert (claims["scope"], claims["cnf"]) == (READ, {"jkt": pushed["jkt"]})
    assert seen["introspected"]["active"] is True
    assert seen["userinfo"] == {"sub": first["sub"], "email": lived.world.emails[0]}
    assert first["sub"] != claims["sub"]  # pairwise
    assert seen["refreshed"]["rotated"] is True
    assert seen["exchanged"]["issued_token_type"].endswith(":access_token")
    assert seen["reused"] == {"error": "invalid_grant"}
    assert seen["ended"] == {"active": False, "below": False, "error": "invalid_grant"}
    assert seen["on its own"] == {"active": [True, True], "revoked": [False, False]}
    approved = seen["approved"]["claims"]
    assert (approved["authorization_details"], approved["approval"]["count"]) == ([paid], 1)
    assert (approved["cnf"], seen["approved"]["refreshable"]) == ({"jkt": pushed["jkt"]}, False)


@pytest.mark.spec(
    "RFC 8705", "2", "openid-client and oauth4webapi sign in by a certificate, in a handshake of their own"
)
@pytest.mark.spec("RFC 9440", "2", "what a client says of a certificate is dropped by the proxy that ends TLS")
def test_openid_client_has_client_credentials_by_each_method_with_a_certificate(
    lived: Lived, openid_client: Path
) -> None:
    domain, agents = lived.domain, lived.world.agents
    elsewhere, last = Domain(name="proxy.example"), agents[-1]
    me = agents[1 + CERTIFIED.index("spiffe_x509")].identifier
    registered = agents[1 + CERTIFIED.index("self_signed_tls_client_auth")].key.private_key
    assert registered
    own = self_signed(registered)
    good = [domain.svid(more=((usage("digital_signature"), True),)), own, domain.svid(me)]
    bad = [elsewhere.svid(), self_signed(ec.generate_private_key(ec.SECP256R1())), elsewhere.svid(me)]
    certified = [
        {"client_id": agent.identifier, "method": method, "shown": _pem(shown), "another": _pem(another)}
        for agent, method, shown, another in zip(agents[1:-1], CERTIFIED, good, bad, strict=True)
    ]
    task = {
        "issuer": lived.aims.base_url,
        "audience": RESOURCE,
        "scope": READ,
        "authority": elsewhere.authority.public_bytes(Encoding.PEM).decode(),
        "proxy": _pem(_for_localhost(elsewhere)),
        "certified": certified,
        "svid": {
            "client_id": last.identifier,
            "svids": [domain.jwt_svid(last.identifier, aud=lived.aims.base_url)],
        },
    }
    with _story(openid_client, "certificates.mjs", task) as story:
        seen = story.to_the_end()
    refused = dict.fromkeys(("another", "none", "said", "secret", "nobody"), "invalid_client")
    for method in CERTIFIED:
        assert (method, seen[method]) == (method, {"supported": True, "token_type": "bearer", "bound": True} | refused)
    assert seen["spiffe_jwt"] == {"token_type": "bearer", "client_id": last.identifier}


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


@dataclass
class Story:
    """A script of node that stops to be told something. seen: by step."""

    process: subprocess.Popen[str]
    seen: dict[str, dict[str, Any]]

    def tell(self, line: str) -> None:
        """Say a line to it."""
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def until(self, step: str) -> dict[str, Any]:
        """Read on until it took this step; return what it saw."""
        assert self.process.stdout
        for line in self.process.stdout:
            if self._keep(line) == step:
                return self.seen[step]
        raise AssertionError(f"it ended before {step!r}: {self._trouble()}")

    def to_the_end(self) -> dict[str, dict[str, Any]]:
        """Let it finish; return all that it saw."""
        said, trouble = self.process.communicate(timeout=STORY_WITHIN_S)
        assert self.process.returncode == 0, trouble
        for line in said.splitlines():
            self._keep(line)
        return self.seen

    def _keep(self, line: str) -> str:
        told = json.loads(line)
        self.seen[told.pop("step")] = told
        return list(self.seen)[-1]

    def _trouble(self) -> str:
        return self.process.communicate(timeout=STORY_WITHIN_S)[1]


@contextlib.contextmanager
def _story(folder: Path, script: str, task: dict[str, Any]) -> Iterator[Story]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(["node", script], cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    overdue = threading.Timer(STORY_WITHIN_S, process.kill)
    overdue.start()
    try:
        story = Story(process, {})
        story.tell(json.dumps(task))
        yield story
    finally:
        overdue.cancel()
        process.kill()
        process.communicate()


def _pem(shown: Shown) -> dict[str, str]:
    """Return a certificate and its key as node reads them."""
    key = shown.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {"cert": shown.leaf.public_bytes(Encoding.PEM).decode(), "key": key.decode()}


def _for_localhost(authority: Domain) -> Shown:
    key = ec.generate_private_key(ec.SECP256R1())
    name = (x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    return Shown(authority.made(named("localhost"), key, (name,)), key)


def _agree(lived: Lived, address: str, **ticked: list[str]) -> str:
    """Let the person's browser come with a pushed request, and agree to what is ticked; return where it is sent."""
    answer = _say_yes(lived, address, **ticked)
    return answer.headers["Refresh"].removeprefix("0; url=")


def _agree_and_sign(lived: Lived, address: str) -> str:
    """Agree to a request for which a decision must be signed, and sign it; return where the browser is sent."""
    answer = _say_yes(lived, address, detail=["0"])
    assert answer.status_code == 303, answer.text
    card = urljoin(address, answer.headers["Location"])
    lived.person.decide(card, expect="Pay 12.50 EUR to Nordwind GmbH", decision="approve")
    onward = card.replace("/inbox/", "/oauth/authorize/go-on/")
    gone = lived.person.browser.get(onward, timeout=TIMEOUT_S, allow_redirects=False)
    return gone.headers["Refresh"].removeprefix("0; url=")


def _say_yes(lived: Lived, address: str, **ticked: list[str]) -> requests.Response:
    browser = lived.person.browser
    page = browser.get(address, timeout=TIMEOUT_S)
    page.raise_for_status()
    form = Page(page.text).fields | ticked | {"decision": "agree", "span": "86400"}
    here = f"{lived.aims.base_url}/oauth/authorize/decide"
    return browser.post(here, data=form, headers={"Referer": address}, timeout=TIMEOUT_S, allow_redirects=False)


def _with_exports(configuration: dict[str, Any]) -> None:
    """Let the agent have codes, and the payments API an action that details ask for and nobody has to sign."""
    configuration["agents"][0]["redirect_uris"] = [REDIRECT]
    action = {"name": "accounts.export", "title": "Export", "reversibility": "read-only", "detail_type": EXPORT}
    configuration["resources"][0]["actions"].append(action)


def _export(year: str) -> dict[str, Any]:
    return {"type": EXPORT, "actions": ["accounts.export"], "locations": [RESOURCE], "year": year}


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
