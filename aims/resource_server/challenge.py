"""How a no is written: ``WWW-Authenticate`` and its company. Pure. Spec: RFC 9110 §11.6.1, RFC 6750 §3, RFC 9449 §7.1."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from .errors import Refused, UseNonce

_NOT_IN_DESCRIPTION = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_SPELLED = {"bearer": "Bearer", "dpop": "DPoP"}


def headers_of(
    refused: Refused,
    *,
    authorization: Sequence[str],
    takes_bearer: bool,
    proof_algorithms: Collection[str],
    metadata_url: str | None,
    first_scopes: Sequence[str] = (),
) -> dict[str, str]:
    """Return the headers of the answer to a refused call.

    authorization: what the call sent in that header: the scheme that was tried carries the error, the others are
    offered bare. metadata_url: of the protected resource metadata (RFC 9728 §5.1). first_scopes: what to ask for where
    the token is what is wrong, and not what it allows (RFC 6750 §3).
    """
    if refused.status >= 500:
        return {"Cache-Control": "no-store", "Retry-After": "5"}
    tried = _SPELLED.get(authorization[0].partition(" ")[0].lower()) if len(authorization) == 1 else None
    offered = (["Bearer"] if takes_bearer or tried == "Bearer" else []) + ["DPoP"]
    told = tried or offered[0]
    challenges = []
    for scheme in offered:
        params = _told(refused, first_scopes) if scheme == told else {}
        params |= {"algs": " ".join(sorted(proof_algorithms))} if scheme == "DPoP" else {}
        params |= {"resource_metadata": metadata_url} if metadata_url else {}
        challenges.append(f"{scheme} {_listed(params)}".rstrip())
    # RFC 9449 §8.2: an answer with a nonce is not cached; no other refusal is worth keeping either.
    headers = {"WWW-Authenticate": ", ".join(challenges), "Cache-Control": "no-store"}
    return headers | ({"DPoP-Nonce": refused.nonce} if isinstance(refused, UseNonce) else {})


def _told(refused: Refused, first_scopes: Sequence[str]) -> dict[str, str]:
    """Return error, description and what else is to be said; no error code where none is wanted (RFC 6750 §3.1)."""
    first = {"scope": " ".join(first_scopes)} if first_scopes and refused.status == 401 else {}
    if not refused.error:
        return first
    return {"error": refused.error, "error_description": refused.description} | first | dict(refused.params)


def _listed(params: Mapping[str, str]) -> str:
    return ", ".join(f'{name}="{_NOT_IN_DESCRIPTION.sub("?", value)}"' for name, value in params.items())
