"""What can go wrong with policy."""

from __future__ import annotations

from aims.kit.errors import AimsError


class PolicyRefused(AimsError):
    """A policy text that we don't load: it does not parse, does not type-check, or asks for what we can't do."""

    code = "policy_refused"


class UnknownVersion(AimsError):
    """There is no such version of the policy."""

    code = "unknown_policy_version"
    public = "There is no such version of the policy."
    status = 404
