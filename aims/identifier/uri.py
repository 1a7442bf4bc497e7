"""Workload identifiers: strict parsing of SPIFFE and WIMSE URIs. Pure.

Spec: SPIFFE-ID §2; draft-ietf-wimse-identifier §3. The WIMSE draft sets no characters: SPIFFE's rules serve both.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aims.kit.errors import AimsError

SCHEMES = ("spiffe", "wimse")
PUBLISHED = "https"  # only for a client whose identifier is the address of its metadata document
IDENTIFIER_MAX_BYTES = 2048  # SPIFFE-ID §2.3; draft-ietf-wimse-identifier §3: at least this, not more
TRUST_DOMAIN_MAX_BYTES = 255
_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+", re.ASCII)
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}", re.ASCII)

_WORDS = {
    "empty": "It is empty.",
    "too_long": "It is longer than 2,048 bytes.",
    "scheme": "It must begin with spiffe:// or wimse://, in lower case.",
    "trust_domain_missing": "The trust domain is missing.",
    "trust_domain_long": "The trust domain is longer than 255 bytes.",
    "trust_domain_char": "The trust domain may hold a-z, 0-9, '.', '-' and '_' only: no port, user or percent signs.",
    "trust_domain_ip": "A trust domain must not be an IP address.",
    "trailing_slash": "It must not end with a slash.",
    "empty_segment": "The path has an empty segment.",
    "dot_segment": "The path has a '.' or '..' segment.",
    "path_char": "The path may hold letters, digits, '.', '-' and '_' only: no query, fragment or percent signs.",
    "path_missing": "The identifier of an agent needs a path after the trust domain.",
    "not_https": "The address of a metadata document begins with https://, in lower case.",
}


class IdentifierRefused(AimsError):
    """Not a workload identifier. ``reason`` names the rule it breaks."""

    code = "identifier_refused"
    public = "This is not a SPIFFE or WIMSE identifier."

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"This is not a SPIFFE or WIMSE identifier. {_WORDS[reason]}", detail=reason)


@dataclass(frozen=True, kw_only=True)
class WorkloadIdentifier:
    """A parsed identifier. ``path`` begins with a slash or is empty."""

    scheme: str
    trust_domain: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.trust_domain}{self.path}"

    @property
    def origin(self) -> str:
        """Scheme and trust domain: a hint, never an identity. Spec: draft-ietf-wimse-identifier §3."""
        return f"{self.scheme}://{self.trust_domain}"


def parse(text: str) -> WorkloadIdentifier:
    """Return the parts of an identifier, nothing folded or decoded. Raises IdentifierRefused.

    go-spiffe and SPIRE refuse upper case in scheme and trust domain, and so do we; forms fold it before they call.
    """
    if not text:
        raise IdentifierRefused("empty")
    if len(text.encode("utf-8", "surrogatepass")) > IDENTIFIER_MAX_BYTES:
        raise IdentifierRefused("too_long")
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in SCHEMES:
        raise IdentifierRefused("scheme")
    return _parts(text)


def _parts(text: str) -> WorkloadIdentifier:
    scheme, _, rest = text.partition("://")
    trust_domain, slash, tail = rest.partition("/")
    _check_trust_domain(scheme, trust_domain)
    if slash:
        _check_path(tail)
    return WorkloadIdentifier(scheme=scheme, trust_domain=trust_domain, path=slash + tail)


def parse_agent(text: str) -> WorkloadIdentifier:
    """Return the parts of an agent's identifier, which has a path. Spec: SPIFFE-ID §2.2 (no path: the authority's)."""
    identifier = parse(text)
    if not identifier.path:
        raise IdentifierRefused("path_missing")
    return identifier


def parse_published(text: str) -> WorkloadIdentifier:
    """Return the parts of an identifier that is the https address of its holder's client metadata document.

    It keeps the rules that hold for every scheme: a host as trust domain, a path, and no port, query, fragment or user
    (draft-ietf-wimse-identifier §3), which the address of a document could have. Raises IdentifierRefused.
    """
    if len(text.encode("utf-8", "surrogatepass")) > IDENTIFIER_MAX_BYTES:
        raise IdentifierRefused("too_long")
    if not text.startswith(f"{PUBLISHED}://"):
        raise IdentifierRefused("not_https")
    identifier = _parts(text)
    if not identifier.path:
        raise IdentifierRefused("path_missing")
    return identifier


def check_trust_domain(name: str) -> str:
    """Return the name if it may be a trust domain. Raises IdentifierRefused."""
    _check_trust_domain("wimse", name)
    return name


def folded(text: str) -> str:
    """Return what a person typed with scheme and trust domain in lower case (SPIFFE-ID §2.4), path as it is."""
    scheme, separator, rest = text.strip().partition("://")
    trust_domain, slash, tail = rest.partition("/")
    return f"{scheme.lower()}{separator}{trust_domain.lower()}{slash}{tail}"


def _check_trust_domain(scheme: str, name: str) -> None:
    if not name:
        raise IdentifierRefused("trust_domain_missing")
    if len(name) > TRUST_DOMAIN_MAX_BYTES:
        raise IdentifierRefused("trust_domain_long")
    if not _TRUST_DOMAIN.fullmatch(name):
        raise IdentifierRefused("trust_domain_char")
    # draft-ietf-wimse-identifier §3: an IP address MUST NOT be a trust domain; SPIFFE's grammar admits IPv4.
    if scheme != "spiffe" and _IPV4.fullmatch(name):
        raise IdentifierRefused("trust_domain_ip")


def _check_path(tail: str) -> None:
    segments = tail.split("/")
    for place, segment in enumerate(segments):
        if not segment:
            is_trailing = place == len(segments) - 1 and (place == 0 or segments[place - 1] != "")
            raise IdentifierRefused("trailing_slash" if is_trailing else "empty_segment")
        if segment in {".", ".."}:
            raise IdentifierRefused("dot_segment")
        if not _SEGMENT.fullmatch(segment):
            raise IdentifierRefused("path_char")
