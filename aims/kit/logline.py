"""A line of the process log, without what must never stand in one."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence


class LogLine(logging.Formatter):
    """Formats a line, then covers the secret that follows one of these paths: a link is a key until it is used.

    The whole line is looked at, tracebacks included, because Django and others put addresses into both.
    """

    def __init__(self, format: str, *, secret_after: Sequence[str]) -> None:
        super().__init__(format)
        paths = "|".join(re.escape(path) for path in secret_after)
        self._secret = re.compile(rf"({paths})[^/\s?#\"'<>]+")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return self._secret.sub(r"\1…", super().format(record))
