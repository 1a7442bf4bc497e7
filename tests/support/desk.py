"""A person at their browser with an agent's question before them: over HTTP, with a passkey that signs for real."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from django.conf import settings
from django.test import Client

from aims.authorization.models import ApprovalRequest, DelegationGrant
from aims.authorization.services.clients import ClientSettings, configure_client
from aims.kit import clock
from aims.kit.ids import b64url
from aims.people import services as people
from aims.people.models import Passkey, SignedInSession, User
from tests.support.cast import Acting, browser_of
from tests.support.oauth_client import BY, PAY, payment
from tests.support.soft_authenticator import HostileAuthenticator
from tests.unit.approvals.stage import enrol

BACK = "https://client.example/back"
VERIFIER = "v" * 43
CHALLENGE = b64url(hashlib.sha256(VERIFIER.encode()).digest())
READ = "accounts.read"


@dataclass
class Sitting:
    """A person who is signed in, in one browser, with a passkey."""

    person: User
    http: Client
    key: Passkey
    authenticator: HostileAuthenticator

    def approve(self, asked: ApprovalRequest) -> Any:
        """Open the card, sign what it prepared, and send it, as the card's element does."""
        page = self.http.get(f"/inbox/{asked.ref}/").content.decode()
        found = re.search(r'yes-options="([^"]*)"', page)
        assert found, page
        answer = self.authenticator.get(json.loads(unescape(found[1])))
        body = json.dumps(answer)
        return self.http.post(f"/inbox/{asked.ref}/approve/", body, content_type="application/json")


def sit_down(person: User, *, at: datetime | None = None) -> Sitting:
    """Give a person a passkey that is a day old, and a browser in which they signed in with it."""
    authenticator = HostileAuthenticator(settings.ISSUER, settings.RP_ID)
    key = enrol(person, authenticator, at=clock.now() - timedelta(days=1))
    return Sitting(person, signed_in(person, key, at=at), key, authenticator)


def signed_in(person: User, key: Passkey, *, at: datetime | None = None) -> Client:
    """Return another browser of the same person. at: when they signed in."""
    http = browser_of(person)
    session_key = str(http.session.session_key)
    people.start_session(key, session_key=session_key, user_agent="test", now=at or clock.now())
    return http


@dataclass
class Desk:
    """Courier asks through Ada's browser. Redirects go to ``BACK``."""

    courier: Acting
    ada: Sitting
    asked: dict[str, Any] = field(default_factory=dict)

    def form(self, **changed: Any) -> dict[str, Any]:
        """Return an authorization request for reading; None takes a parameter out."""
        base = {
            "response_type": "code",
            "client_id": self.courier.machine.client_id,
            "redirect_uri": BACK,
            "scope": READ,
            "resource": PAY,
            "state": "a state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return {name: value for name, value in (base | self.asked | changed).items() if value is not None}

    def pushes(self, *, dpop: str | None = None, **changed: Any) -> Any:
        """Push a request; return the answer."""
        extra = {"headers": {"DPoP": dpop}} if dpop else {}
        machine = self.courier.machine
        return machine.post("/oauth/par", machine.signed(self.form(**changed)), **extra)

    def pushed(self, **changed: Any) -> str:
        """Push a request that is accepted; return its reference."""
        answer = self.pushes(**changed)
        assert answer.status_code == 201, answer.content
        return str(answer.json()["request_uri"])

    def opens(self, reference: str, *, http: Client | None = None, **more: str) -> Any:
        """Let the browser come with a reference."""
        query = urlencode({"client_id": self.courier.machine.client_id, "request_uri": reference} | more)
        return (http or self.ada.http).get(f"/oauth/authorize?{query}")

    def answers(self, reference: str, *, http: Client | None = None, **form: Any) -> Any:
        """Send the form of the question's page: everything ticked, unless told otherwise."""
        base = {"client_id": self.courier.machine.client_id, "request_uri": reference, "decision": "agree"}
        ticked = {"scope": self.form().get("scope", "").split(), "span": "86400"}
        return (http or self.ada.http).post("/oauth/authorize/decide", base | ticked | form)


def desk(courier: Acting, ada: User, **terms: Any) -> Desk:
    """Sit Ada down, and let Courier have codes; without the grant that it has in other tests."""
    DelegationGrant.objects.all().delete()
    configure_client(courier.agent, ClientSettings(redirect_uris=(BACK,), **terms), by=BY, now=clock.now())
    courier.agent.refresh_from_db()
    return Desk(courier, sit_down(ada))


def went(answer: Any) -> dict[str, str]:
    """Return the parameters with which a browser is sent back to the client, whichever way it is sent."""
    uri = answer.headers.get("Location") or answer.headers["Refresh"].removeprefix("0; url=")
    assert uri.startswith(BACK), uri
    return {name: values[0] for name, values in parse_qs(urlsplit(uri).query).items()}


def session_of(http: Client) -> SignedInSession:
    return SignedInSession.objects.get(session_key=http.session.session_key)


__all__ = ["BACK", "CHALLENGE", "PAY", "READ", "VERIFIER", "Desk", "Sitting", "desk", "payment", "sit_down", "went"]
