"""Measures of what was written into the log in the period."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from aims.compliance.asked import Asked
from aims.compliance.evidence import State
from aims.compliance.links import log_href
from aims.compliance.measures.table import LOG, Found, measure
from audit import read

WEEK, MONTH, QUARTER = timedelta(days=7), timedelta(days=30), timedelta(days=90)
DECIDED = frozenset({"allow", "ask", "approve", "deny"})


def _tallied(
    name: str,
    title: str | Promise,
    types: Collection[str],
    *,
    fresh_for: timedelta,
    none: State,
    decisions: Collection[str] = (),
) -> None:
    """Enter a measure that counts entries. none: what it means that there are none: a gap only if there must be some."""

    @measure(name, title, of=LOG)
    def question(asked: Asked) -> Found:
        tallies = asked.of(types, decisions=decisions)
        count, href = sum(tally.count for tally in tallies), log_href(types, asked.period, decisions=decisions)
        if not count:
            return Found(count=0, state=none, why=_("No such entry in this period."), href=href)
        newest = read.newest_of(tallies, scope=asked.scope)
        words = ngettext("%(n)s entry in this period.", "%(n)s entries in this period.", count) % {"n": count}
        is_fresh = newest is not None and asked.now - newest <= fresh_for
        state = State.GOOD if is_fresh else State.STALE
        why = (
            words
            if is_fresh
            else _("%(said)s None in the last %(days)s days.") % {"said": words, "days": fresh_for.days}
        )
        oldest = min(tally.oldest_at for tally in tallies)
        return Found(count=count, state=state, why=why, href=href, newest_at=newest, oldest_at=oldest)


_tallied(
    "decisions_recorded",
    gettext_lazy("Decisions are in the log, with what was asked and what was decided"),
    ("*",),
    decisions=DECIDED,
    fresh_for=WEEK,
    none=State.GAP,
)
_tallied(
    "denials_recorded",
    gettext_lazy("Refusals are in the log"),
    ("*",),
    decisions={"deny"},
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)
_tallied(
    "approvals_signed",
    gettext_lazy("People said yes with a passkey over what they were shown"),
    ("approvals.decision.approved",),
    fresh_for=MONTH,
    none=State.UNKNOWN,
)
_tallied(
    "approvals_refused",
    gettext_lazy("People said no"),
    ("approvals.decision.denied",),
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)
_tallied(
    "approvals_redeemed",
    gettext_lazy("A person's yes became a grant of the authorization server"),
    ("authorization.request.redeemed",),
    fresh_for=MONTH,
    none=State.UNKNOWN,
)
_tallied(
    "tokens_issued",
    gettext_lazy("Tokens are in the log by reference, never whole"),
    ("authorization.token.issued", "authorization.transaction_token.issued"),
    fresh_for=WEEK,
    none=State.UNKNOWN,
)
_tallied(
    "tokens_exchanged",
    gettext_lazy("Tokens were exchanged instead of passed on"),
    ("authorization.token.exchanged", "authorization.transaction_token.issued"),
    fresh_for=MONTH,
    none=State.UNKNOWN,
)
_tallied(
    "domains_crossed",
    gettext_lazy("Another domain was reached by a grant for it"),
    ("authorization.foreign_grant.*",),
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)
_tallied(
    "use_reported",
    gettext_lazy("Resource servers and agents reported what was done"),
    ("observability.event.reported", "observability.spans.received"),
    fresh_for=WEEK,
    none=State.GAP,
)
_tallied(
    "findings_raised",
    gettext_lazy("Detection rules raised findings"),
    ("observability.finding.*",),
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)
_tallied(
    "rights_ended",
    gettext_lazy("Rights were taken back, with the cause"),
    (
        "authorization.grant.revoked",
        "authorization.token.revoked",
        "authorization.tokens.ended",
        "identifier.agent.suspended",
    ),
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)
_tallied(
    "replays_noticed",
    gettext_lazy("Codes and refresh tokens that came twice were noticed"),
    ("authorization.code.reused", "authorization.refresh_token.reused"),
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)
_tallied(
    "strangers_counted",
    gettext_lazy("Failed calls of unknown callers were counted"),
    ("audit.failures.counted",),
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)
_tallied(
    "administration_recorded",
    gettext_lazy("Changes to agents, people, keys and policy are in the log"),
    ("identifier.*", "people.*", "credentials.*", "policy.*"),
    fresh_for=QUARTER,
    none=State.GAP,
)
_tallied(
    "keys_rotated",
    gettext_lazy("Keys were registered, rotated or retired"),
    ("credentials.*",),
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)
_tallied(
    "reading_recorded",
    gettext_lazy("Reading the log is in the log"),
    ("audit.log.viewed", read.REPORT_VIEWED),
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)
_tallied(
    "exports_taken",
    gettext_lazy("Evidence was taken away with its proofs"),
    ("audit.export.*", "audit.story.*"),
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)
_tallied(
    "policy_changed",
    gettext_lazy("Policy changes are in the log, with who made them"),
    ("policy.version.*",),
    fresh_for=timedelta(days=365),
    none=State.UNKNOWN,
)
_tallied(
    "consents_asked",
    gettext_lazy("What one admin may not do alone was asked of a second person"),
    ("compliance.consent.*",),
    fresh_for=QUARTER,
    none=State.UNKNOWN,
)


@measure("posture_recorded", gettext_lazy("The posture that influenced a decision is in the log"), of=LOG)
def posture_recorded(asked: Asked) -> Found:
    """Return how many entries assess a workload. Other entries say unknown, explicitly, which assesses nothing."""
    tallies = asked.of(("attestation.*", "posture.*"))
    count = sum(tally.count for tally in tallies)
    if not count:
        why = _("No assessment of any workload in this period: the field stands in each entry and says unknown.")
        return Found(count=0, state=State.GAP, why=why)
    newest = read.newest_of(tallies, scope=asked.scope)
    words = ngettext("%(n)s assessment in this period.", "%(n)s assessments in this period.", count) % {"n": count}
    return Found(count=count, state=State.GOOD, why=words, newest_at=newest)


def _kept(name: str, months: int) -> None:
    """Enter a measure of how far back the log goes, against how long it must be kept."""
    title = gettext_lazy("The log reaches back %(months)s months") % {"months": months}

    @measure(name, title, of=LOG)
    def question(asked: Asked) -> Found:
        began = read.began_at(scope=asked.scope)
        if began is None:
            return Found(count=0, state=State.GAP, why=_("The log is empty."))
        days, wanted = (asked.now - began).days, months * 365 // 12
        words = ngettext("The oldest entry kept is %(n)s day old.", "The oldest entry kept is %(n)s days old.", days)
        if days >= wanted:
            return Found(count=days, state=State.GOOD, why=words % {"n": days}, oldest_at=began)
        why = _("%(said)s Whether it is kept for %(months)s months can't be shown before it is that old.")
        said = why % {"said": words % {"n": days}, "months": months}
        return Found(count=days, state=State.UNKNOWN, why=said, oldest_at=began)


_kept("kept_6_months", 6)
_kept("kept_12_months", 12)
