"""What this server can do, computed from what is switched on. Spec: RFC 8414 §2, OpenID Connect Discovery 1.0 §3."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from aims.authentication import dpop
from aims.authentication.client import PRIVATE_KEY_JWT
from aims.authentication.methods import METHODS
from aims.authorization import fapi
from aims.authorization.endpoints.ciba_token import CIBA
from aims.authorization.endpoints.published import Published
from aims.authorization.endpoints.token import GRANTS
from aims.authorization.endpoints.token_exchange import ID_JAG, JWT
from aims.authorization.identity import CLAIMS, IDENTITY, OFFLINE
from aims.authorization.models import ForeignServer
from aims.authorization.services.agreed import userinfo_audience
from aims.authorization.target import MANAGEMENT_PATH
from aims.authorization.trust_models import Profile
from aims.identifier.models import ResourceAction
from aims.kit.jose import ALGORITHMS

ID_JAG_PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"


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
        "scopes_supported": [*sorted(IDENTITY), OFFLINE],
        "userinfo_endpoint": userinfo_audience(),
        "subject_types_supported": ["pairwise"],
        "claims_supported": list(CLAIMS),
        "id_token_signing_alg_values_supported": ["ES256"],
        "authorization_details_types_supported": _detail_types(),
        "ui_locales_supported": ["en"],
        "dpop_signing_alg_values_supported": sorted(dpop.ALGORITHMS),
        "tls_client_certificate_bound_access_tokens": True,
        "introspection_signing_alg_values_supported": ["ES256"],  # RFC 9701 §7
        "protected_resources": [f"{issuer}{MANAGEMENT_PATH}"],  # RFC 9728 §4: ours alone; what else is here is nobody's
        "service_documentation": f"{issuer}/api/docs/",
    }
    if fapi.is_on():  # else a public client, which has no key to prove, may come without
        body["require_pushed_authorization_requests"] = True
    if settings.REGISTRATION:
        body["registration_endpoint"] = f"{issuer}/oauth/register"
    if settings.CLIENT_DOCUMENTS:
        body["client_id_metadata_document_supported"] = True
    for name in ("token", "introspection", "revocation"):
        # Resource servers introspect, and these register keys only.
        body[f"{name}_endpoint_auth_methods_supported"] = [PRIVATE_KEY_JWT] if name == "introspection" else [*METHODS]
        body[f"{name}_endpoint_auth_signing_alg_values_supported"] = algorithms
    return body | (_backchannel(issuer, algorithms) if CIBA in GRANTS else {}) | _across()


def _backchannel(issuer: str, algorithms: list[str]) -> dict[str, Any]:
    """CIBA Core 1.0 §4."""
    return {
        "backchannel_authentication_endpoint": f"{issuer}/oauth/bc-authorize",
        "backchannel_token_delivery_modes_supported": ["poll", "ping"],
        "backchannel_authentication_request_signing_alg_values_supported": algorithms,
        "backchannel_user_code_parameter_supported": False,
        "acr_values_supported": ["phr", "phrh"],
    }


def _across() -> dict[str, Any]:
    """What crosses domains here, as long as there is a server to speak with; which ones is not said.

    draft-ietf-oauth-identity-chaining, draft-ietf-oauth-identity-assertion-authz-grant.
    """
    trusted = list(ForeignServer.objects.filter(retired_at=None))
    types = {Profile.CHAINING: JWT, Profile.ID_JAG: ID_JAG}
    issued = [urn for profile, urn in types.items() if any(profile in each.receives for each in trusted)]
    taken = [ID_JAG_PROFILE] if any(Profile.ID_JAG in each.accepts for each in trusted) else []
    both = {
        "identity_chaining_requested_token_types_supported": issued,
        "authorization_grant_profiles_supported": taken,
    }
    return {name: value for name, value in both.items() if value}


def _detail_types() -> list[str]:
    open_actions = ResourceAction.objects.filter(resource__retired_at=None).exclude(detail_type="")
    return sorted(set(open_actions.values_list("detail_type", flat=True)))


metadata = Published(document, media_type="application/json")
