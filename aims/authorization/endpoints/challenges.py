"""How a resource of ours says no to an access token: the challenge and the status. Spec: RFC 6750 §3, RFC 9449 §7."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest

from aims.authentication import dpop
from aims.authentication.errors import DpopForgotten, InvalidDpopProof, UseDpopNonce
from aims.authentication.replay import begin
from aims.authorization.errors import described
from aims.authorization.presenting import NoToken, scheme_of
from aims.kit.address import address_of
from aims.kit.errors import AimsError
from audit.write import count_failure


def challenges(request: HttpRequest, error: AimsError, *, scope: str = "", metadata_url: str = "") -> str:
    """Return ``WWW-Authenticate``: both schemes, and the error with the one that was tried. Spec: RFC 9449 §7.1.

    scope: that would do, where the token has too little. metadata_url: RFC 9728 §5.1.
    """
    tried = scheme_of(request.headers.get("Authorization", "")) or "Bearer"
    bare = {"Bearer": {"realm": settings.ISSUER}, "DPoP": {"algs": " ".join(sorted(dpop.ALGORITHMS))}}
    wanted = {"scope": scope} if scope else {}
    said = {"error": error.code} | wanted | {"error_description": described(error.public)}
    told = {} if isinstance(error, NoToken) else said
    where = {"resource_metadata": metadata_url} if metadata_url else {}
    return ", ".join(
        f"{scheme} {_listed(bare[scheme] | (told if scheme == tried else {}) | where)}"
        for scheme in sorted(bare, key=lambda each: each != tried)
    )


def note(request: HttpRequest, error: AimsError) -> None:
    """Do what a refusal leaves to do once its transaction has ended: count it, begin to remember anew."""
    if isinstance(error, DpopForgotten):
        begin()
    if status_of(error) == 401 and not isinstance(error, NoToken | UseDpopNonce):
        count_failure(address_of(request), error.code)


def status_of(error: AimsError) -> int:
    """Return the status of a refusal at a resource. Spec: RFC 9449 §7.1: 401 there, whatever is wrong with the proof."""
    return 401 if isinstance(error, InvalidDpopProof | UseDpopNonce) else error.status


def _listed(params: dict[str, str]) -> str:
    return ", ".join(f'{name}="{value}"' for name, value in params.items())
