"""Which rule each operation can be refused by: operations down, errors across. What every operation shares is not listed.

The schema tells it to machines, the reader to people, and the tests compare it with what a running server answers.
"""

from __future__ import annotations

from collections.abc import Iterator

from aims.authentication.errors import InvalidDpopProof, UseDpopNonce
from aims.authorization.client_errors import AwaitsAdmission, NotWaiting, TrustRuleRefused
from aims.authorization.errors import ClientSettingsRefused, InvalidRequest, TrustRefused
from aims.authorization.request_errors import AlreadyDecided, GrantChanged, GrantRefused
from aims.console.errors import BodyTooLarge, JSONRefused, ManagedByPeople, QueryRefused, StateChanged
from aims.credentials.errors import BundleRefused, KeysRefused
from aims.identifier.errors import (
    ActionRefused,
    FieldRefused,
    IdentifierRefused,
    IdentifierTaken,
    OwnerRefused,
    ResourceRefused,
    UnknownTrustDomain,
    UnlawfulMove,
)
from aims.kit.errors import AimsError
from aims.kit.fetch import FetchRefused
from aims.observability import errors as observability
from aims.people import errors as people
from aims.policy.errors import PolicyRefused
from audit.read import QueryError

Errors = tuple[type[AimsError], ...]

# FetchRefused names the rule that an address breaks; these two are seen before anything is fetched.
ADDRESS_CODES = ("malformed", "scheme")
BODY: Errors = (BodyTooLarge, JSONRefused)
LIST: Errors = (QueryRefused,)
# What every operation can answer to the token and its proof, besides ``invalid_token``. Spec: RFC 6750 §3.1, RFC 9449 §7.1.
ENTRANCE = ((400, InvalidRequest.code), (401, InvalidDpopProof.code), (401, UseDpopNonce.code))
_KEYS: Errors = (KeysRefused, FetchRefused)
_MOVE: Errors = (UnlawfulMove, FieldRefused)

TABLE: dict[str, Errors] = {
    "agents_create": (
        IdentifierRefused, UnknownTrustDomain, IdentifierTaken, OwnerRefused, FieldRefused, ClientSettingsRefused, *_KEYS,
    ),
    "agents_partial_update": (
        ManagedByPeople, StateChanged, UnlawfulMove, OwnerRefused, FieldRefused, ClientSettingsRefused, FetchRefused,
    ),
    "agents_keys_update": (ManagedByPeople, StateChanged, *_KEYS),
    "agents_suspend_create": _MOVE,
    "agents_resume_create": (AwaitsAdmission, ManagedByPeople, *_MOVE),
    "agents_stop_create": _MOVE,
    "agents_retire_create": _MOVE,
    "client_registrations_admit_create": (
        NotWaiting, UnlawfulMove, IdentifierRefused, UnknownTrustDomain, IdentifierTaken, OwnerRefused, FieldRefused, *_KEYS,
    ),
    "client_registrations_refuse_create": (NotWaiting,),
    "trust_rules_create": (TrustRuleRefused,),
    "trust_rules_end_create": (TrustRuleRefused,),
    "trusted_servers_create": (TrustRefused, *_KEYS),
    "trusted_servers_retire_create": (TrustRefused,),
    "resources_create": (ResourceRefused, ActionRefused, IdentifierTaken, FieldRefused, *_KEYS),
    "resources_partial_update": (ManagedByPeople, StateChanged, ResourceRefused, ActionRefused, FieldRefused),
    "resources_keys_update": (ManagedByPeople, *_KEYS),
    "resources_retire_create": (ManagedByPeople, UnlawfulMove),
    "resources_return_create": (ManagedByPeople, UnlawfulMove),
    "trust_domains_create": (IdentifierRefused,),
    "trust_domains_retire_create": (UnlawfulMove,),
    "trust_domains_bundle_update": (BundleRefused, FetchRefused),
    "trust_domains_drop_bundle_create": (),
    "policies_create": (PolicyRefused,),
    "grants_create": (ManagedByPeople, GrantRefused),
    "grants_revoke_create": (AlreadyDecided, GrantChanged),
    "grants_narrow_create": (AlreadyDecided, GrantRefused, GrantChanged),
    "grants_impact_create": (GrantRefused,),
    "audit_exports_create": (),
    "audit_exports_end_create": (),
    "audit_packs_create": (),
    "audit_feeds_create": (),
    "audit_feeds_pause_create": (),
    "audit_feeds_resume_create": (),
    "audit_feeds_test_create": (),
    "audit_feeds_end_create": (),
    "audit_schedules_create": (),
    "audit_schedules_update": (StateChanged,),
    "audit_schedules_pause_create": (),
    "audit_schedules_resume_create": (),
    "audit_schedules_remove_create": (),
    "people_create": (people.EmailTaken, people.FieldRefused),
    "people_give_role_create": (people.FieldRefused,),
    "people_end_role_create": (people.NotHeld, people.FieldRefused),
    "people_deactivate_create": (people.LastAdmin, people.NotHeld),
    "people_reactivate_create": (people.NotHeld,),
    "groups_create": (people.GroupTaken, people.FieldRefused),
    "groups_join_create": (),
    "groups_leave_create": (people.NotHeld,),
    "events_create": (
        observability.BatchRefused, observability.BatchTooLarge, observability.TokenNeeded, observability.SignatureRefused,
        observability.OtherReporter, observability.EventRefused, observability.ContentRefused, observability.NotNow,
        observability.NotAParty, observability.JtiReused, observability.TooManyEvents,
    ),
    "findings_acknowledge_create": (observability.FindingMoved,),
    "findings_close_create": (observability.FindingMoved,),
    "events_otlp_create": (observability.SpansRefused, observability.BatchTooLarge, observability.TokenNeeded),
}  # fmt: skip


def codes_of(errors: Errors) -> Iterator[tuple[int, str]]:
    """Yield status and code of each error."""
    for error in errors:
        for code in ADDRESS_CODES if error is FetchRefused else (error.code,):
            yield error.status, code


def query_codes() -> Iterator[tuple[int, str]]:
    """Yield what refuses a search of the log: each of its errors names a place in the text."""
    yield from ((400, error.code) for error in QueryError.__subclasses__())
