"""The policy this deployment follows: the file that ``AIMS_TLOG_POLICY`` names, and what it makes of a checkpoint."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from audit import policy
from audit.policy import Policy, PolicyRefused

NO_WITNESSES = Policy()


def configured() -> Policy:
    """Return the policy in force; without a file, one that knows no witnesses. Raises: PolicyRefused, OSError."""
    if not settings.TLOG_POLICY:
        return NO_WITNESSES
    path = Path(settings.TLOG_POLICY)
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


def shown() -> str:
    """Return the policy's text for pages and proof checkers; empty where no witness is known."""
    return Path(settings.TLOG_POLICY).read_text(errors="replace") if configured().witnesses else ""


def must_be_usable() -> None:
    """Check the policy before a process starts. Raises: PolicyRefused, OSError; the message names file and line."""
    for witness in configured().witnesses:
        if witness.url and urlsplit(witness.url).scheme not in ("https", "http"):
            raise PolicyRefused(1, f"the address of witness {witness.name} is not https")


@lru_cache(maxsize=4)
def _read(path: Path, changed_ns: int, size: int) -> Policy:
    return policy.parse(path.read_bytes())
