"""What can be wrong with what is kept beside the log, and with its end. One class for each rule."""

from __future__ import annotations

from audit.errors import LogError


class PersonalError(LogError):
    """Trouble with personal values."""

    code = "personal"


class KeysUnavailable(PersonalError):
    """The store of people's keys does not answer. Nothing personal is recorded or read meanwhile."""

    code = "keys_unavailable"


class KeyBroken(PersonalError):
    """A person's key, or a value, that no key of ours opens: changed, moved, or sealed under an ``AIMS_KEK`` that is gone."""

    code = "key_broken"


class PersonErased(PersonalError):
    """Nothing personal is recorded about a person who was erased."""

    code = "person_erased"


class ValueTooLarge(PersonalError):
    """A personal value over VALUE_MAX_BYTES, or none at all."""

    code = "value_too_large"


class NoSuchValue(PersonalError):
    """The entry has no such field, or its value is not kept any more."""

    code = "no_value"


class KeepingError(LogError):
    """A verb of retention, holds or erasure was refused. Nothing has changed."""

    code = "keeping"


class HoldRefused(KeepingError):
    """Not what a hold can be told by."""

    code = "hold_refused"


class NoSuchHold(KeepingError):
    """There is no such hold, or it was released already."""

    code = "no_hold"


class Held(KeepingError):
    """A legal hold covers it. holds: their references."""

    code = "held"

    def __init__(self, holds: list[str]) -> None:
        self.holds = holds
        super().__init__(f"a legal hold covers it: {', '.join(holds)}")


class RetentionRefused(KeepingError):
    """Not a number of months that the log can be kept."""

    code = "retention_refused"


class AlreadyErased(KeepingError):
    """This person was erased, or is being erased."""

    code = "already_erased"
