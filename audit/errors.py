"""What can be wrong with the log itself. None of it is ever answered to an agent."""

from __future__ import annotations

from datetime import datetime


class LogError(Exception):
    """Trouble with the log. code: stable; the message says what and what now."""

    code = "log"


class NoLog(LogError):
    """Nothing was sequenced yet: the sequencer makes the log when it first runs."""

    code = "no_log"


class NoSuchEntry(LogError):
    """The entry is not in the log, or not yet under a checkpoint."""

    code = "no_entry"


class NoSuchStory(LogError):
    """The log, or this reader's part of it, tells nothing about that."""

    code = "no_story"


class EntryGone(NoSuchEntry):
    """The entry went by retention; its hash stayed. gone_at: when."""

    code = "gone"

    def __init__(self, index: int, gone_at: datetime) -> None:
        self.index, self.gone_at = index, gone_at
        super().__init__(f"entry {index} is gone by retention on {gone_at:%Y-%m-%d}")


class LogKeyMissing(LogError):
    """The checkpoint key's file is not there."""

    code = "key_missing"


class LogKeyMismatch(LogError):
    """The key in the file is not the one this generation of the log was begun with."""

    code = "key_mismatch"


class Malformed(LogError):
    """Bytes in the inbox that ``record()`` would not have written."""

    code = "malformed"


class LogForked(LogError):
    """Signing now would show two histories under one origin: a restored or altered database.

    code: ``behind`` (the database has fewer entries than were published) or ``inconsistent`` (other ones).
    """

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(
            f"{detail}. Signing has stopped. If the database was restored, begin a new generation: "
            "manage.py sequencer --begin-generation restored"
        )


class NoSuchSearch(LogError):
    """The search is not kept, or somebody keeps it for themselves."""

    code = "no_search"


class TooManySearches(LogError):
    """A person keeps as many searches as one may."""

    code = "too_many_searches"
