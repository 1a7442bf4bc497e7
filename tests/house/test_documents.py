"""What the documents say is what the code does: generated pages, limits, links, and words that must not be there."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings

from aims.authentication import certificate, http_signature, wit
from aims.authentication import claims as authentication
from aims.authorization import (
    authorize,
    backchannel,
    client_metadata,
    jwt_grants,
    queries,
    redirects,
    tokens,
    transaction_token,
    wanted,
)
from aims.authorization.endpoints import long_poll, metadata, register
from aims.authorization.models import ForeignServer
from aims.authorization.services import (
    admission,
    clients,
    codes,
    gathering,
    grants,
    opening,
    ping,
    polling,
    pushing,
    refreshing,
    registration_rows,
    registrations,
    trust,
)
from aims.authorization.services import backchannel as requests
from aims.authorization.services import documents as client_documents
from aims.compliance import consent_bytes
from aims.compliance.services import consents
from aims.console import live
from aims.credentials import bundles, jwks
from aims.credentials.services import bundles as bundle_verbs
from aims.credentials.services import registered
from aims.identifier import uri
from aims.kit import clock, committer, fetch, forms, jose
from aims.observability import otlp, reports
from aims.observability import services as observability
from aims.people.services import seats
from aims.policy import engine
from approvals import context
from audit import (
    bucket,
    canonical,
    cosigning,
    integrity,
    notes,
    read,
    scrub,
    strength,
    thinning,
    tilecheck,
    timestamps,
    write,
)
from audit import (
    certificate as integrity_certificate,
)
from audit import policy as tlog_policy
from audit.exports import services as exports
from audit.exports.schedules import running
from audit.exports.schedules import services as schedules
from audit.feeds import delivering
from audit.feeds import services as feeds
from audit.search import deadline, finding, language, saved
from audit.sequencer import CHECKPOINT_SPACING_S
from audit.witness import app as witness
from audit.witness import request as witness_request
from tests.house import documents, marks
from tests.house.test_house import tracked
from tests.support.running import ROOT

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A test that is skipped proves nothing: only for what a machine may lack, and never where CI runs (tests/conftest.py).
MAY_SKIP = {
    "tests/browser/conftest.py",
    "tests/protocol/clients/test_foreign_clients.py",
    "tests/support/servers.py",
    "tests/unit/audit/exports/test_bundle_js.py",
    "tests/unit/audit/test_merkle_js.py",
}
FORBIDDEN = [r"/work/", r"\bTODO\b", r"\bFIXME\b", r"\bXXX\b", r"(?i)lorem ipsum", r"\bbreakpoint\(\)", r"\bpdb\b"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["conformance.md", "events.md", "errors.md"])
def test_a_generated_page_says_what_the_code_says(name: str) -> None:
    written = (ROOT / "docs" / name).read_text()
    assert written == documents.pages()[name], "run python -m tests.house.documents"


# What the metadata document claims -> the specification, and where it has one the section, that a test must hold.
CLAIMS = {
    "issuer": ("RFC 8414", ""),
    "token_endpoint": ("RFC 6749", ""),
    "jwks_uri": ("RFC 7517", ""),
    "introspection_endpoint": ("RFC 7662", ""),
    "revocation_endpoint": ("RFC 7009", ""),
    "authorization_endpoint": ("RFC 6749", "4.1.1"),
    "pushed_authorization_request_endpoint": ("RFC 9126", "2"),
    "response_types_supported": ("RFC 6749", "4.1.2.1"),
    "response_modes_supported": ("RFC 9126", "2.3"),
    "code_challenge_methods_supported": ("FAPI 2.0 Security Profile", "5.3.2.2"),
    "authorization_response_iss_parameter_supported": ("RFC 9207", "2"),
    "request_uri_parameter_supported": ("RFC 9126", "2.1"),
    "registration_endpoint": ("RFC 7591", "3"),
    "client_id_metadata_document_supported": ("draft-ietf-oauth-client-id-metadata-document", "4"),
    "introspection_signing_alg_values_supported": ("RFC 9701", "5"),
    "protected_resources": ("RFC 9728", "3"),
    "service_documentation": ("RFC 8414", "2"),
    "backchannel_authentication_endpoint": ("CIBA Core 1.0", "7"),
    "backchannel_token_delivery_modes_supported": ("CIBA Core 1.0", "10"),
    "backchannel_authentication_request_signing_alg_values_supported": ("CIBA Core 1.0", "7.1.1"),
    "backchannel_user_code_parameter_supported": ("CIBA Core 1.0", "4"),
    "grant_types_supported": ("CIBA Core 1.0", "11"),
    "authorization_details_types_supported": ("RFC 9396", ""),
    "acr_values_supported": ("CIBA Core 1.0", "7.1"),
    "scopes_supported": ("OpenID Connect Core 1.0", "5.4"),
    "userinfo_endpoint": ("OpenID Connect Core 1.0", "5.3"),
    "claims_supported": ("OpenID Connect Core 1.0", "5.1"),
    "subject_types_supported": ("OpenID Connect Core 1.0", "8"),
    "identity_chaining_requested_token_types_supported": ("draft-ietf-oauth-identity-chaining", ""),
    "authorization_grant_profiles_supported": ("draft-ietf-oauth-identity-assertion-authz-grant", ""),
    "id_token_signing_alg_values_supported": ("CIBA Core 1.0", "10"),
    "dpop_signing_alg_values_supported": ("RFC 9449", "5.1"),
    "tls_client_certificate_bound_access_tokens": ("RFC 8705", "3"),
    "token_endpoint_auth_methods_supported": ("RFC 7523", "3"),
    "token_endpoint_auth_signing_alg_values_supported": ("RFC 7523", "3"),
    "introspection_endpoint_auth_methods_supported": ("RFC 7662", ""),
    "introspection_endpoint_auth_signing_alg_values_supported": ("RFC 7662", ""),
    "revocation_endpoint_auth_methods_supported": ("RFC 7009", ""),
    "revocation_endpoint_auth_signing_alg_values_supported": ("RFC 7009", ""),
}
NO_CLAIM = {"ui_locales_supported"}  # of what is not offered


@pytest.mark.django_db
def test_what_the_metadata_claims_has_tests() -> None:
    profiles = ["chaining", "id-jag"]
    ForeignServer.objects.create(
        issuer="https://b.example", name="B", accepts=profiles, receives=profiles, trusted_at=clock.now()
    )
    held = {(each.document, each.section) for each in marks.kept()}
    claimed = metadata.document().keys() - NO_CLAIM
    assert claimed == CLAIMS.keys(), "a new claim needs a rule that a test holds"
    for name, (document, section) in CLAIMS.items():
        assert any(kept == document and at.startswith(section) for kept, at in held), name


def test_the_limits_are_the_codes() -> None:
    page = (ROOT / "docs/limits.md").read_text()
    for said in _limits():
        assert said in page, said


def _limits() -> list[str]:
    """Return the sentences of docs/limits.md that a constant decides."""
    kib = 1024
    return [
        f"request body, machine endpoints | {forms.MACHINE_BODY_MAX_BYTES // kib} KiB |",
        f"tokens, and uses of tokens, that wait to be written | {committer.QUEUE_MAX} of each in one process, or one that has"
        f" waited {committer.WAITED_MAX_S * 1000:.0f} ms: then 503 with `Retry-After` of {committer.RETRY_S} s before the proof"
        f" is verified; at most {committer.BATCH_MAX} a transaction |",
        f"the database, for tokens and their uses | {gathering.CONNECT_S} s to connect, {gathering.ANSWER_S} s for a batch,"
        f" looked at again every {committer.RETRY_S} s while it is away; where it says nothing at all, refused after"
        f" {committer.SILENCE_MAX_S:.0f} s; a stop writes what waits for at most {committer.DRAIN_S:.0f} s |",
        f"depth {canonical.DEPTH_MAX};",
        f"JWT that we accept | {jose.JWS_MAX_BYTES // kib} KiB |",
        f"`binding_message` | 1 to {backchannel.BINDING_MAX:,} characters",
        f"`authorization_details` | {wanted.DETAILS_MAX_BYTES // kib} KiB, {wanted.DETAILS_MAX_COUNT} objects |",
        f"waits {opening.LIFETIME_S} s unless asked otherwise; `requested_expiry` 1 s to {backchannel.EXPIRY_MAX_S // 3600} h",
        f"poll interval | {requests.INTERVAL_S} s; each `slow_down` adds {polling.SLOWER_BY_S} s for good",
        f"`Prefer: wait=N`, at most {long_poll.WAIT_MAX_S} s; {long_poll.WAITERS_MAX} at a time in one process",
        f"{ping.ATTEMPTS_MAX} tries, after {', '.join(map(str, ping.BACK_OFF_S))} s",
        f"{opening.OPEN_MAX_PAIR} for an agent and an approver, {opening.OPEN_MAX_AGENT} for an agent,"
        f" {opening.OPEN_MAX_APPROVER} for an approver",
        f"{opening.NEW_MAX_PAIR_PER_MINUTE} a minute for an agent and an approver",
        f"authorization code | {codes.CODE_LIFE_S} s, used once; verifier 43 to 128 characters, `nonce` at most {codes.NONCE_MAX} |",
        f"refresh token | used once; {refreshing.IDLE.days} days where nobody uses it, never after its grant,"
        f" {refreshing.FAMILY_LIFE.days} days where there is none |",
        f"access token | {tokens.LIFETIME_S // 60} minutes, {tokens.LIFETIME_MAX_S // 60} at most",
        f"transaction token | {transaction_token.LIFETIME_S} s, never longer than what it was exchanged for; each context"
        f" {transaction_token.CONTEXT_MAX_BYTES:,} bytes; {transaction_token.REPLACEMENTS_MAX} in one chain |",
        f"`exp` at most {authentication.AHEAD_MAX_S} s ahead, `iat` required, {authentication.SKEW_S} s of skew",
        f"JWT-SVID, workload proof token, signed request | at most {http_signature.LIFE_MAX_S} s ahead,",
        f"workload identity token | {wit.WIT_AHEAD_MAX.total_seconds() / 3600:.0f} h ahead",
        f"client certificate | {certificate.CERTIFICATE_MAX_BYTES // kib} KiB, {certificate.INTERMEDIATES_MAX} intermediates",
        f"trust bundle | {bundle_verbs.BUNDLE_MAX_BYTES // kib} KiB, {bundles.BUNDLE_KEYS_MAX} keys;",
        f"auditor's seat | a guest's {seats.GUEST_MAX.days} days at most, prolonged by an admin; {seats.AGENTS_MAX} agents,"
        f" {seats.AGENTS_MAX_BYTES // kib} KiB of identifiers |",
        f"consent of a second person | {consents.LIFETIME.total_seconds() / 3600:.0f} h from asking to doing, signed within"
        f" {consent_bytes.LIFETIME_MAX_S // 60} minutes; {consents.OPEN_MAX} open of one asker; note {consents.NOTE_MAX:,} characters |",
        f"prepared decision | signed within {context.LIFETIME_MAX_S // 60} minutes",
        f"audit entry | {write.ENTRY_MAX_BYTES // kib} KiB by default, {write.ENTRY_HARD_MAX_BYTES:,} bytes hard",
        f"a query has {language.QUERY_MAX:,} characters, {language.TERMS_MAX} terms, {language.NESTING_MAX} parentheses"
        f" within each other; {deadline.TIMEOUT_S:.0f} s on PostgreSQL; words in the newest {finding.WORD_SCAN_MAX:,} entries and"
        f" in months that are over; counts are exact to {finding.COUNT_MAX:,}, of kinds and times always;"
        f" {saved.SEARCHES_MAX} kept searches of one person |",
        f"identifier | {uri.IDENTIFIER_MAX_BYTES:,} bytes",
        f"page of any list | 50, at most {read.PAGE_MAX} |",
        f"outgoing fetch | {fetch.TOTAL_S:.0f} s, no redirects",
        f"public keys | {jwks.KEYS_MAX} of an agent or a resource |",
        f"JWK set that we fetch | {jwks.PUBLISHED_MAX} keys, {registered.JWKS_MAX_BYTES // kib} KiB |",
        f"grant for another domain | {jwt_grants.GRANT_LIFETIME_S} s, an ID-JAG {jwt_grants.JAG_LIFETIME_S} s,",
        f"30 s of skew; {trust.MAPPED_MAX:,} names and {trust.SCOPES_MAX} scopes of one server |",
        f"grant | {grants.UNTIL_MAX.days} days, {grants.ACTIONS_MAX} actions |",
        f"notice of a grant's end | {queries.NOTICE_BEFORE.days} days before,",
        f"pushed request | waits {pushing.LIFETIME_S} s for its person, {pushing.READING_S} s once they have it before them;"
        f" {pushing.OPEN_MAX} of one client",
        f"`state` | {authorize.STATE_MAX:,} characters; `nonce` {authorize.NONCE_MAX}; `scope` {authorize.SCOPE_MAX:,}",
        f"redirect URIs | {clients.REDIRECT_URIS_MAX} of an agent, {redirects.REDIRECT_URI_MAX:,} characters each",
        f"address of an authorization request | {forms.QUERY_MAX_BYTES // kib} KiB",
        f"clients that wait to be admitted | {registrations.WAITING_MAX_SOURCE} of one address (an IPv6"
        f" /{registration_rows.IPV6_PREFIX} counts as one), {registrations.WAITING_MAX} in all, then 429; forgotten after"
        f" {registrations.WAITS_FOR.days} days |",
        f"client metadata | {register.BODY_MAX_BYTES // kib} KiB registered, {client_documents.DOCUMENT_MAX_BYTES // kib} KiB"
        f" published; {client_metadata.REDIRECT_URIS_MAX} redirect URIs |",
        f"a minute at most, {client_documents.NEW_PER_MINUTE_SOURCE} new ones a minute for an address,"
        f" {client_documents.NEW_PER_MINUTE} in all",
        f"clients that a trust rule lets in | {admission.BY_RULE_MAX_PER_DAY} a day |",
        f"policy | {engine.POLICY_MAX_BYTES // kib} KiB |",
        f"feeds of the log | {feeds.FEEDS_MAX}; {delivering.BATCH_MAX} entries or {delivering.BATCH_MAX_BYTES // kib} KiB a batch,"
        f" {delivering.BATCHES_MAX} batches a turn; tried again after {', '.join(map(str, delivering.BACK_OFF_S))} s |",
        f"mail server | {settings.EMAIL_TIMEOUT} s for each answer |",
        f"scheduled reports of the log | {schedules.SCHEDULES_MAX_OWNER} of one owner, {schedules.SCHEDULES_MAX} in all;"
        f" {schedules.TELLS_MAX} people told; begun {schedules.SETTLED_AFTER.seconds // 60} minutes after the period is over;"
        f" a mail is tried again after {', '.join(map(str, running.TELL_AGAIN_S))} s; the newest {running.RUNS_KEPT} runs are kept |",
        f"exports of the log | {exports.OPEN_MAX_PERSON} of one person wait or run, {exports.OPEN_MAX} in all; no limit on"
        f" entries; kept for {exports.KEPT_FOR.days} days; a worker that says nothing for {exports.LEASE.seconds // 60} minutes"
        f" is taken for dead, {exports.TRIES_MAX} tries |",
        f"checkpoints | one each {CHECKPOINT_SPACING_S * 1000:.0f} ms at most; whole for {thinning.WHOLE_FOR.days} days, then"
        f" one an hour besides those with a time stamp or the most cosignatures; {thinning.ROWS_AT_ONCE:,} are looked at in one"
        f" transaction, {thinning.ROWS_AT_ONCE * thinning.SLICES_AT_ONCE:,} an hour |",
        f"witnesses that cosign checkpoints | {tlog_policy.NAMED_MAX} in a policy of {tlog_policy.POLICY_MAX_BYTES // kib} KiB;"
        f" {cosigning.AT_ONCE} asked at once, each after {cosigning.SPACING_S} s at the earliest, a log at rest after"
        f" {cosigning.FRESHEN_S // 60} minutes, one in trouble after {cosigning.BACKOFF_MAX_S // 60} minutes at the latest; an"
        f" answer of {cosigning.ANSWER_MAX_BYTES // kib} KiB, {cosigning.SKEW_S} s of skew |",
        f"our own witness | a request of {witness_request.BODY_MAX_BYTES // kib} KiB within {witness.BODY_WITHIN_S} s,"
        f" {witness_request.PROOF_LINES_MAX} lines of proof; a note has {notes.NOTE_MAX_BYTES // kib} KiB and"
        f" {notes.SIGNATURES_MAX} signatures |",
        f"time stamps (RFC 3161) | one an hour ({_minutes(timestamps.SPACING)} minutes), tried again after"
        f" {_minutes(timestamps.RETRY)} minutes; a token of {timestamps.TOKEN_MAX_BYTES // kib} KiB,"
        f" {_minutes(timestamps.SKEW)} minutes of skew |",
        f"strength of the log | what was signed {_minutes(strength.LAG)} minutes ago must be attested; a witness counts for"
        f" {_minutes(strength.WITNESS_FRESH)} minutes, a time stamp for {_minutes(strength.STAMP_FRESH)} |",
        f"copies of checkpoints in an object store | {bucket.TIMEOUT[:-1]} s an attempt,"
        f" {bucket.RETRIES['max_retries']} repeated; the newest {bucket.LOOKED_AT} are looked at |",
        f"checks of the log by themselves | what is new each {_minutes(scrub.INCREMENTAL_EVERY)} minutes, the tree each"
        f" {_minutes(scrub.TILES_EVERY) // 60} hours, everything at {scrub.ROWS_PER_S:,} entries a second and"
        f" {_minutes(scrub.FULL_REST) // 60} hours after the last; again {_minutes(scrub.AFTER_BAD)} minutes after one failed;"
        f" one at a time |",
        f"tile check | {tilecheck.CORES_MAX} hashing processes, {tilecheck.AHEAD} pieces of 2 MiB waiting for each other; one"
        f" process below {tilecheck.FEW:,} entries |",
        f"integrity certificate | {integrity.PERIOD_MAX.days:,} days, {integrity_certificate.EXCEPTIONS_MAX} exceptions |",
        f"open pages of one person | {live.SOCKETS_MAX} in one process",
        f"reports of what was done | {observability.EVENTS_MAX} events or {otlp.SPANS_MAX} spans a call; signed within"
        f" {reports.MADE_MAX.seconds // 60} minutes, of what happened at most {reports.HAPPENED_MAX.total_seconds() / 3600:.0f} h"
        f" before; {observability.EVENTS_MAX_TXN:,} about one transaction |",
    ]


def _minutes(span: timedelta) -> int:
    return int(span.total_seconds()) // 60


@pytest.mark.parametrize("page", tracked("*.md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        address, _, anchor = target.partition("#")
        if "://" in address or address.startswith("mailto:"):
            continue
        found = (page.parent / address) if address else page
        assert found.exists(), target
        if anchor and found.suffix == ".md":
            assert anchor in _anchors(found), target


def _anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_no_word_is_left_that_was_meant_for_us() -> None:
    files = [
        path for path in tracked() if path.suffix in {".py", ".html", ".js", ".css", ".md", ".toml", ".sh", ".txt"}
    ]
    ours = [path for path in files if "vendor" not in path.parts and path != Path(__file__)]
    said = [(path, word) for path in ours for word in FORBIDDEN if re.search(word, path.read_text())]
    assert said == []


def test_nothing_is_skipped_but_for_want_of_a_program() -> None:
    skipping = re.compile(r"pytest\.(skip|xfail|importorskip)\(|mark\.(skip|skipif|xfail)\b")
    found = {str(path.relative_to(ROOT)) for path in tracked("tests/*.py") if skipping.search(path.read_text())}
    assert found == MAY_SKIP
