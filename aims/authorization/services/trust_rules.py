"""Trust rules: who may come in without a person looking, and who then answers for them."""

from __future__ import annotations

import re
from datetime import datetime

from django.db import IntegrityError, transaction

from aims.authorization.client_errors import TrustRuleRefused
from aims.authorization.client_events import TrustRuleAdded, TrustRuleEnded
from aims.authorization.client_models import VALUE_MAX, TrustRule
from aims.kit.ids import tagged_hash
from aims.people.models import User
from audit.write import NOBODY, record

# A host, or the scheme of an app's own as ``redirects.host_of`` names it.
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?:?|\[?[0-9a-f:]+\]?")


def add_rule(kind: str, value: str, *, owner: User, by: str, now: datetime) -> TrustRule:
    """Admit who fits from now on, for this owner; who waits already goes on waiting.

    kind: of TrustRule.Kind. value: a host without a port, or a software_id; compared as it is, never by part of it.
    Raises TrustRuleRefused.
    """
    wanted = value.strip()
    if kind not in TrustRule.Kind.values:
        raise TrustRuleRefused(f"A rule compares one of {', '.join(TrustRule.Kind.values)}.")
    if not wanted or len(wanted) > VALUE_MAX or not wanted.isprintable():
        raise TrustRuleRefused(f"What is compared with has 1 to {VALUE_MAX} characters.")
    if kind != TrustRule.Kind.SOFTWARE_ID and not _HOST.fullmatch(wanted):
        raise TrustRuleRefused("A host is written in lower case, without a port, a path or a wildcard.")
    if not owner.is_active:
        raise TrustRuleRefused("Who answers for the agents must be an active person.")
    try:
        with transaction.atomic():
            rule = TrustRule.objects.create(kind=kind, value=wanted, owner=owner, added_at=now)
            event = TrustRuleAdded(rule=rule.ref, kind=kind, value_hash=tagged_hash(wanted.encode()), owner=owner.ref)
            record(event, by=by, facts=NOBODY)
    except IntegrityError as error:
        raise TrustRuleRefused("There is such a rule already. End it first.") from error
    return rule


def end_rule(rule: TrustRule, *, by: str, now: datetime) -> None:
    """Admit nobody by this rule any more; who came in by it stays. Raises TrustRuleRefused."""
    with transaction.atomic():
        if TrustRule.objects.filter(pk=rule.pk, ended_at=None).update(ended_at=now) != 1:
            raise TrustRuleRefused("This rule has ended already.")
        record(TrustRuleEnded(rule=rule.ref), by=by, facts=NOBODY)
    rule.refresh_from_db()
