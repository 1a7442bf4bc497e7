"""People with passkeys for the tests of this room: every key is registered and used through the real verbs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.test import Client

from aims.kit import clock
from aims.people import services
from aims.people.models import Passkey, User
from tests.support.soft_authenticator import HostileAuthenticator

BY = "cli:tester"


@dataclass
class Somebody:
    """A person, their authenticator and their key."""

    person: User
    authenticator: HostileAuthenticator
    key: Passkey


def an_authenticator() -> HostileAuthenticator:
    """Return a fresh authenticator at our own origin."""
    return HostileAuthenticator(settings.ISSUER, settings.RP_ID)


def use_link(token: str, *, now: datetime | None = None, key_name: str = "Laptop") -> Somebody:
    """Enrol with a link, as the page does."""
    now = now or clock.now()
    authenticator = an_authenticator()
    answer = json.dumps(authenticator.create(services.begin_enrolment(token, now=now)))
    key = services.enrol(token, answer, key_name=key_name, now=now)
    return Somebody(key.person, authenticator, key)


def enrolled(email: str = "ada@example.org", *roles: str, now: datetime | None = None) -> Somebody:
    """Return an invited and enrolled person."""
    now = now or clock.now()
    return use_link(services.invite(email, roles=roles, by=BY, now=now), now=now)


def signed_in_response(somebody: Somebody, *, bound_to: str = "session") -> str:
    """Return the answer of a sign-in that has just begun."""
    options = services.begin_sign_in(bound_to=bound_to, source="192.0.2.1", now=clock.now())
    return json.dumps(somebody.authenticator.get(options))


def browser_of(somebody: Somebody, **headers: str) -> Client:
    """Return a browser that signed in by the real ceremony. headers: sent with every request."""
    client = Client(headers={"host": "localhost:8000"} | headers)
    options = client.post("/sign-in/begin/").json()
    answer = client.post("/sign-in/finish/", {"credential": json.dumps(somebody.authenticator.get(options))})
    assert answer.json() == {"next": "/"}
    return client
