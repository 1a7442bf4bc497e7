"""What kind of happening an entry tells of, for every schema at once. Pure.

The longest beginning of a type wins, so that a new type of a known family has a place before anybody gives it one.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

AUTHENTICATION, AUTHORIZATION, ENTITY, API, REMEDIATION = 3002, 3003, 3004, 6003, 7001


class Kind(NamedTuple):
    """OCSF class and activity, and the CADF action."""

    ocsf_class: int
    activity: int
    cadf_action: str


_OTHER = 99
KINDS: Mapping[str, Kind] = {
    "": Kind(API, _OTHER, "unknown"),
    "approvals.decision": Kind(AUTHORIZATION, 1, "evaluate"),
    "audit": Kind(API, 2, "read"),
    "audit.export": Kind(API, 2, "read/export"),
    "audit.failures": Kind(AUTHENTICATION, 1, "authenticate"),
    "audit.generation": Kind(ENTITY, 1, "create"),
    "audit.log.begun": Kind(ENTITY, 1, "create"),
    "authorization": Kind(API, _OTHER, "evaluate"),
    "authorization.client": Kind(ENTITY, 3, "update"),
    "authorization.client.admitted": Kind(ENTITY, 8, "enable"),
    "authorization.client.expired": Kind(ENTITY, 4, "delete"),
    "authorization.client.refused": Kind(ENTITY, 9, "disable"),
    "authorization.client.registered": Kind(ENTITY, 1, "create"),
    "authorization.client.withdrawn": Kind(ENTITY, 4, "delete"),
    "authorization.code": Kind(AUTHENTICATION, 3, "authenticate"),
    "authorization.consent": Kind(AUTHORIZATION, 1, "allow"),
    "authorization.consent.refused": Kind(AUTHORIZATION, 1, "deny"),
    "authorization.family.ended": Kind(REMEDIATION, 2, "revoke"),
    "authorization.foreign_grant": Kind(AUTHENTICATION, 4, "authenticate"),
    "authorization.grant": Kind(AUTHORIZATION, _OTHER, "update"),
    "authorization.grant.given": Kind(AUTHORIZATION, 1, "allow"),
    "authorization.grant.revoked": Kind(REMEDIATION, 2, "revoke"),
    "authorization.ping": Kind(API, _OTHER, "send"),
    "authorization.refresh_token": Kind(AUTHENTICATION, 5, "authenticate/renew"),
    "authorization.request": Kind(AUTHORIZATION, _OTHER, "evaluate"),
    "authorization.request.approved": Kind(AUTHORIZATION, 1, "allow"),
    "authorization.request.denied": Kind(AUTHORIZATION, 1, "deny"),
    "authorization.server": Kind(ENTITY, 3, "update"),
    "authorization.server.retired": Kind(ENTITY, 4, "delete"),
    "authorization.token": Kind(AUTHENTICATION, 3, "authenticate"),
    "authorization.token.exchanged": Kind(AUTHENTICATION, 4, "authenticate"),
    "authorization.token.revoked": Kind(REMEDIATION, 2, "revoke"),
    "authorization.token.used": Kind(API, _OTHER, "access"),
    "authorization.tokens.ended": Kind(REMEDIATION, 2, "revoke"),
    "authorization.transaction_token": Kind(AUTHENTICATION, 4, "authenticate"),
    "authorization.trust_rule": Kind(ENTITY, 1, "create"),
    "authorization.trust_rule.ended": Kind(ENTITY, 4, "delete"),
    "console": Kind(API, _OTHER, "access"),
    "credentials": Kind(ENTITY, 3, "update"),
    "credentials.keys.registered": Kind(ENTITY, 6, "update"),
    "credentials.signing_key.born": Kind(ENTITY, 1, "create"),
    "credentials.signing_key.retired": Kind(ENTITY, 4, "delete"),
    "credentials.trust_bundle.dropped": Kind(ENTITY, 4, "delete"),
    "identifier": Kind(ENTITY, 3, "update"),
    "identifier.agent.registered": Kind(ENTITY, 1, "create"),
    "identifier.agent.resumed": Kind(ENTITY, 13, "enable"),
    "identifier.agent.retired": Kind(ENTITY, 4, "delete"),
    "identifier.agent.suspended": Kind(ENTITY, 12, "disable"),
    "identifier.resource.registered": Kind(ENTITY, 1, "create"),
    "identifier.resource.retired": Kind(ENTITY, 4, "delete"),
    "identifier.trust_domain.registered": Kind(ENTITY, 1, "create"),
    "identifier.trust_domain.retired": Kind(ENTITY, 4, "delete"),
    "people": Kind(ENTITY, 3, "update"),
    "people.group.created": Kind(ENTITY, 1, "create"),
    "people.passkey.ended": Kind(ENTITY, 7, "delete"),
    "people.passkey.enrolled": Kind(ENTITY, 6, "create"),
    "people.person.created": Kind(ENTITY, 1, "create"),
    "people.person.deactivated": Kind(ENTITY, 9, "disable"),
    "people.person.reactivated": Kind(ENTITY, 8, "enable"),
    "people.role": Kind(AUTHORIZATION, _OTHER, "update"),
    "people.seat": Kind(AUTHORIZATION, _OTHER, "update"),
    "people.session.ended": Kind(AUTHENTICATION, 2, "authenticate/logout"),
    "people.session.started": Kind(AUTHENTICATION, 1, "authenticate/login"),
    "policy": Kind(ENTITY, 3, "update"),
    "policy.version.activated": Kind(ENTITY, 8, "enable"),
    "policy.version.loaded": Kind(ENTITY, 1, "create"),
}
FAILED = frozenset({
    "refused", "denied", "reused", "given_up", "clone_suspected", "counted", "not_fetched", "set_aside", "failed",
})  # fmt: skip


@lru_cache(maxsize=1000)
def kind_of(type: str) -> Kind:
    """Return the kind of a type, by its longest known beginning."""
    parts = type.split(".")
    for count in range(len(parts), 0, -1):
        if found := KINDS.get(".".join(parts[:count])):
            return found
    return KINDS[""]


def is_failure(type: str, decision: str | None) -> bool:
    """Return whether an entry tells of something that was not let through or did not work."""
    return decision == "deny" or type.rpartition(".")[2] in FAILED
