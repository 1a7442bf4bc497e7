"""What a resource tells its callers, so that they find us and ask for the right thing. Spec: RFC 9728, RFC 6750 §3, RFC 9470.

Its server has to serve the document and send the challenges: they must come from its own host. We write both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings

from aims.authentication import dpop
from aims.console.management import audience, describe
from aims.credentials import queries as keys
from aims.identifier.models import Resource
from aims.resource_server import metadata

HUMAN = "phr"  # acr of a person who signed with a passkey


@dataclass(frozen=True, kw_only=True)
class ToldBy:
    """What a resource server serves and sends. address: where the document must be. challenges: by what went wrong."""

    address: str
    document: dict[str, Any]
    challenges: tuple[tuple[str, int, str], ...]


def told_by(resource: Resource) -> ToldBy | None:
    """Return what a resource server should tell; None where its identifier is no https address (RFC 9728 §1.2)."""
    scopes = sorted(resource.actions.filter(detail_type="").values_list("name", flat=True))
    details = sorted(set(resource.actions.exclude(detail_type="").values_list("detail_type", flat=True)))
    try:
        address = metadata.well_known_url(resource.identifier)
    except ValueError:
        return None
    document = metadata.document(
        identifier=resource.identifier,
        authorization_servers=[settings.ISSUER],
        takes_bearer=True,
        proof_algorithms=dpop.ALGORITHMS,
        takes_certificates=True,
        name=resource.name,
        scopes=scopes,
        detail_types=details,
    )
    if resource.identifier == audience():
        document = describe()  # what it serves itself
    if jwks_uri := keys.jwks_uri_of(resource.ref):
        document["jwks_uri"] = jwks_uri
    return ToldBy(address=address, document=document, challenges=_challenges(address, scopes))


def _challenges(address: str, scopes: list[str]) -> tuple[tuple[str, int, str], ...]:
    where, wanted = f'resource_metadata="{address}"', " ".join(scopes)
    asked = f', scope="{wanted}"' if wanted else ""
    return (
        ("nothing", 401, f"Bearer {where}{asked}"),
        ("token", 401, f'Bearer error="invalid_token", {where}'),
        ("scope", 403, f'Bearer error="insufficient_scope"{asked}, {where}'),
        ("person", 401, f'Bearer error="insufficient_user_authentication", acr_values="{HUMAN}", {where}'),
    )
