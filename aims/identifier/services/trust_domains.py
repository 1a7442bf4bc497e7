"""Verbs on trust domains."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from aims.identifier.errors import UnlawfulMove
from aims.identifier.events import TrustDomainRegistered, TrustDomainRetired
from aims.identifier.models import TrustDomain
from aims.identifier.services.record import registry_facts
from aims.identifier.uri import check_trust_domain
from audit.write import record


def register_trust_domain(name: str, *, by: str, now: datetime) -> TrustDomain:
    """Accept identifiers of this trust domain from now on. One that is registered already is returned as it is.

    Raises IdentifierRefused. Spec: draft-ietf-wimse-identifier §7 (allow list).
    """
    check_trust_domain(name)
    with transaction.atomic():
        domain, is_new = TrustDomain.objects.get_or_create(name=name)
        if is_new:
            record(TrustDomainRegistered(trust_domain=name), by=by, facts=registry_facts())
    return domain


def retire_trust_domain(domain: TrustDomain, *, by: str, now: datetime) -> None:
    """Register no more agents in this trust domain; those that are there stay. Raises UnlawfulMove."""
    with transaction.atomic():
        if TrustDomain.objects.filter(pk=domain.pk, retired_at=None).update(retired_at=now) != 1:
            raise UnlawfulMove("This trust domain has been retired already.")
        record(TrustDomainRetired(trust_domain=domain.name), by=by, facts=registry_facts())
    domain.refresh_from_db()
