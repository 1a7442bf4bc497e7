"""What can be wrong with a feed."""

from __future__ import annotations

from audit.errors import LogError


class FeedError(LogError):
    """Trouble with a feed."""

    code = "feed"


class NoSuchFeed(FeedError):
    """There is no such feed, or it is in another state."""

    code = "no_feed"


class TooManyFeeds(FeedError):
    """There are as many feeds as there may be."""

    code = "too_many_feeds"


class AddressRefused(FeedError):
    """An address that is none of this kind."""

    code = "address_refused"


class NotDelivered(FeedError):
    """The receiver did not acknowledge. retry_after_s: what it asked for, if it did."""

    def __init__(self, code: str, retry_after_s: int | None = None) -> None:
        super().__init__(code)
        self.code, self.retry_after_s = code, retry_after_s
