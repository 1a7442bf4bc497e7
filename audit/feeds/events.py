"""What is recorded about feeds: who made or changed them, and when one began to fail or works again."""

from __future__ import annotations

from dataclasses import dataclass

from audit.write import Event


@dataclass(frozen=True, kw_only=True)
class FeedCreated(Event, type="audit.feed.created", title="Feed of the log created", tone="info"):
    """Somebody gives the log to a receiver from now on. after: the index behind which it begins."""

    feed: str
    kind: str
    format: str
    address_hash: str
    after: int


@dataclass(frozen=True, kw_only=True)
class FeedPaused(Event, type="audit.feed.paused", title="Feed of the log paused", tone="waiting"):
    """Nothing is delivered until it is resumed. cursor: the last index that was acknowledged."""

    feed: str
    cursor: int


@dataclass(frozen=True, kw_only=True)
class FeedResumed(Event, type="audit.feed.resumed", title="Feed of the log resumed", tone="yes"):
    """It goes on behind its cursor."""

    feed: str
    cursor: int


@dataclass(frozen=True, kw_only=True)
class FeedDeleted(Event, type="audit.feed.deleted", title="Feed of the log deleted", tone="no"):
    """Its receiver gets nothing any more."""

    feed: str
    cursor: int


@dataclass(frozen=True, kw_only=True)
class FeedStumbled(Event, type="audit.feed.stumbled", title="Feed of the log can't be delivered", tone="no"):
    """The first of several failures in a row. code: why."""

    feed: str
    code: str
    cursor: int


@dataclass(frozen=True, kw_only=True)
class FeedRecovered(Event, type="audit.feed.recovered", title="Feed of the log is delivered again", tone="yes"):
    """It works again. failures: how many tries failed."""

    feed: str
    failures: int
    cursor: int
