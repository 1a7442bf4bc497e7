"""What this server can do, computed from what is switched on. Spec: RFC 8414 §2, OpenID Connect Discovery 1.0 §3."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from aims.authentication import dpop
from aims.authorization import fapi
from aims.authorization.endpoints.ciba_token import CIBA
from aims.authorization.endpoints.published import Published
from aims.authorization.endpoints.token import GRANTS
from aims.identifier.models import ResourceAction
from aims.kit.jose import ALGORITHMS

METHODS = ["private_key_jwt"]


def document() -> dict[str, Any]:
    """Return the metadata document: only what really answers is named."""
    issuer, algorithms = settings.ISSUER, sorted(ALGORITHMS)
    body: dict[str, Any] = {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/oauth/token",
        "jwks_uri": f"{issuer}/oauth/jwks",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "grant_types_supported": sorted(GRANTS),
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "pushed_authorization_request_endpoint": f"{issuer}/oauth/par",
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
        "request_uri_parameter_supported": False,  # but for ours (RFC 9126 §5)
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "authorization_details_types_supported": _detail_types(),
        "ui_locales_supported": ["en"],
        "dpop_signing_alg_values_supported": sorted(dpop.ALGORITHMS),
    }
    if fapi.is_on():  # else a public client, which has no key to prove, may come without
        body["require_pushed_authorization_requests"] = True
    for name in ("token", "introspection", "revocation"):
        body[f"{name}_endpoint_auth_methods_supported"] = METHODS
        body[f"{name}_endpoint_auth_signing_alg_values_supported"] = algorithms
    return body | (_backchannel(issuer, algorithms) if CIBA in GRANTS else {})


def _backchannel(issuer: str, algorithms: list[str]) -> dict[str, Any]:
    """CIBA Core 1.0 §4."""
    return {
        "backchannel_authentication_endpoint": f"{issuer}/oauth/bc-authorize",
        "backchannel_token_delivery_modes_supported": ["poll", "ping"],
        "backchannel_authentication_request_signing_alg_values_supported": algorithms,
        "backchannel_user_code_parameter_supported": False,
        "scopes_supported": ["openid"],
        "acr_values_supported": ["phr", "phrh"],
    }


def _detail_types() -> list[str]:
    open_actions = ResourceAction.objects.filter(resource__retired_at=None).exclude(detail_type="")
    return sorted(set(open_actions.values_list("detail_type", flat=True)))


metadata = Published(document, media_type="application/json")
