"""What can go wrong on pages and in the management API that no room below knows of."""

from __future__ import annotations

from aims.kit.errors import AimsError


class ManagedByPeople(AimsError):
    """What would let an agent widen its own management rights is left to people (README, decisions)."""

    code = "managed_by_people"
    public = "Only a person may change this, on the pages or by the apply command: it would widen the right to manage."
    status = 403


class QueryRefused(AimsError):
    """An unknown or malformed query parameter: ignoring a misspelt filter would answer with everything."""

    code = "invalid_query"
    public = "The query has a parameter that this list does not know, or a value that it can't read."


class BodyTooLarge(AimsError):
    """A body over the limit of machine endpoints."""

    code = "body_too_large"
    public = "The body is larger than 256 KiB."
    status = 413


class JSONRefused(AimsError):
    """RFC 8259 §4, RFC 7493: strict JSON, with unique members, whole numbers and bounded depth."""

    code = "invalid_json"
    public = "The body is not strict JSON: an object with unique members, no fractions, at most 32 levels deep."


class ChangedMeanwhile(AimsError):
    """Somebody else changed the row after the form was opened; what the form holds is old."""

    code = "changed_meanwhile"
    public = (
        "Somebody changed this after you opened the form. Nothing was saved: open it again and look at what is new."
    )
    status = 409


class StateChanged(AimsError):
    """RFC 9110 §13.1.1: what the caller read is not what is there now."""

    code = "precondition_failed"
    public = "Somebody else changed this since you read it. Read it again, then decide. Nothing was changed."
    status = 412
