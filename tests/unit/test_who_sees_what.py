"""Who gets which address: nobody, Cy the stranger, Ben the auditor, Ada the approver and owner, and the admin.

The URLconf is walked, so that a new address is closed to nobody, or fails here until it is listed as public.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from aims.authorization.models import DelegationGrant
from aims.identifier.models import Resource
from aims.people.models import User
from tests.support.cast import Acting, browser_of

pytestmark = pytest.mark.django_db

PUBLIC = {
    ".well-known/openid-configuration", ".well-known/oauth-authorization-server", "oauth/jwks", "healthz", "readyz",
    ".well-known/oauth-protected-resource/api/v1/", "metrics", "api/schema/", "manifest.webmanifest", "sw.js", "sign-in/",
}  # fmt: skip
# What GET answers to Cy, Ben, Ada and the admin.
PAGES = {
    "/": (200, 200, 200, 200),
    "/inbox/": (200, 200, 200, 200),
    "/me/": (200, 200, 200, 200),
    "/me/passkeys/": (200, 200, 200, 200),
    "/me/sessions/": (200, 200, 200, 200),
    "/me/agents/": (200, 200, 200, 200),
    "/agents/": (200, 200, 200, 200),
    "/agents/new/": (403, 403, 403, 200),
    "/agents/{agent}/": (404, 200, 200, 200),
    "/resources/{resource}/": (200, 200, 200, 200),
    "/policies/": (403, 200, 200, 200),
    "/grants/": (200, 200, 200, 200),
    "/grants/new/": (403, 403, 200, 200),
    "/grants/who/": (403, 200, 403, 200),
    "/grants/{grant}/": (404, 200, 200, 200),
    "/grants/{grant}/narrow/": (404, 403, 200, 200),
    "/grants/{grant}/revoke/": (404, 403, 200, 200),
    "/grants/{grant}/pass-on/": (404, 403, 200, 200),
    "/grants/{grant}/chain/": (404, 200, 200, 200),
    "/agents/trust-domains/": (403, 403, 403, 200),
    "/agents/registrations/": (403, 403, 403, 200),
    "/agents/trust-rules/": (403, 403, 403, 200),
    "/resources/{resource}/metadata/": (200, 200, 200, 200),
    "/trust/": (403, 403, 403, 200),
    "/agents/trust-domains/acme.example/": (403, 403, 403, 200),
    "/agents/{agent}/edit/": (404, 403, 200, 200),
    "/agents/{agent}/owner/": (404, 403, 200, 200),
    "/agents/{agent}/suspend/": (404, 403, 200, 200),
    "/agents/{agent}/stop/": (404, 403, 200, 200),
    "/agents/{agent}/retire/": (403, 403, 403, 200),
    "/resources/new/": (403, 403, 403, 200),
    "/resources/{resource}/edit/": (403, 403, 403, 200),
    "/resources/{resource}/retire/": (403, 403, 403, 200),
    "/policies/new/": (403, 403, 403, 200),
    "/people/": (403, 403, 403, 200),
    "/audit/": (403, 200, 403, 200),
    "/compliance/": (403, 200, 403, 200),
    "/compliance/scorecard/": (403, 200, 403, 200),
    "/compliance/consents/": (403, 200, 403, 200),
    "/compliance/reading/": (403, 200, 403, 200),
    "/compliance/auditors/": (403, 403, 403, 200),
    "/compliance/auditors/new/": (403, 403, 403, 200),
    "/findings/": (403, 200, 403, 200),
    "/findings/rules/": (403, 200, 403, 200),
    "/patterns/": (404, 404, 404, 200),
}


def addresses() -> list[str]:
    """Return the route of every address, as the URLconf has it."""
    return list(_walk(get_resolver().url_patterns, ""))


def _walk(patterns: Sequence[URLPattern | URLResolver], prefix: str) -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _walk(pattern.url_patterns, route)
        elif not route.startswith("^"):
            yield route


def _filled(route: str) -> str:
    return "/" + re.sub(r"<int:\w+>", "1", re.sub(r"<(?!int)[^>]+>", "none_1", route))


@pytest.mark.parametrize("route", addresses())
def test_nobody_gets_what_is_not_public(route: str) -> None:
    assert browser_of(None).get(_filled(route)).status_code != 200 or route in PUBLIC


@pytest.mark.parametrize("route", addresses())
def test_nobody_changes_anything(route: str) -> None:
    open_to_all = {"sign-in/begin/", "sign-out/"}
    status = browser_of(None).post(_filled(route)).status_code
    assert status >= 300 or route in open_to_all


@pytest.mark.parametrize("address", PAGES)
def test_each_sees_what_the_table_says(
    address: str, ada: User, ben: User, cy: User, adm: User, courier: Acting, pay: Resource
) -> None:
    grant = DelegationGrant.objects.get()
    DelegationGrant.objects.update(depth=1)
    path = address.format(agent=courier.agent.ref, resource=pay.ref, grant=grant.ref)
    assert tuple(browser_of(person).get(path).status_code for person in (cy, ben, ada, adm)) == PAGES[address]


def test_a_suspended_agent_gets_no_token(magpie: Acting) -> None:
    assert magpie.machine.token(scope="accounts.read").json()["error"] == "invalid_client"
