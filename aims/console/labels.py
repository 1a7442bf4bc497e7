"""Names for the references that the log keeps: the log itself holds no names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from django.db.models import Q

from aims.identifier.models import Agent, Resource
from aims.people.models import Group, User


def of(refs: Collection[str]) -> Mapping[str, str]:
    """Return the name of every person, agent, resource and group among ``refs``; what has none is left out."""
    wanted = {ref for ref in refs if ref}
    return dict(_names(wanted)) if wanted else {}


def _names(wanted: set[str]) -> Iterator[tuple[str, str]]:
    yield from User.objects.filter(ref__in=wanted).values_list("ref", "name")
    for model in (Agent, Resource):
        found = model.objects.filter(Q(ref__in=wanted) | Q(identifier__in=wanted))
        for ref, identifier, name in found.values_list("ref", "identifier", "name"):
            yield from ((known, name) for known in (ref, identifier) if known in wanted)
    slugs = {ref.removeprefix("group:"): ref for ref in wanted if ref.startswith("group:")}
    for slug, name in Group.objects.filter(slug__in=slugs).values_list("slug", "name"):
        yield slugs[slug], name
