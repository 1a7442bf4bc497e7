"""What can go wrong with policy."""

from __future__ import annotations

from aims.kit.errors import AimsError


class PolicyRefused(AimsError):
    """A policy text that we don't load: it does not parse, does not type-check, or asks for what we can't do.

    line, column: where, counted from 1; None where no single place can be named.
    """

    code = "policy_refused"

    def __init__(self, public: str, *, line: int | None = None, column: int | None = None) -> None:
        self.line, self.column = line, column
        super().__init__(public if line is None else f"Line {line}, column {column}: {public}")


class UnknownVersion(AimsError):
    """There is no such version of the policy."""

    code = "unknown_policy_version"
    public = "There is no such version of the policy."
    status = 404
