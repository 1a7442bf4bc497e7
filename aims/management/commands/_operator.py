"""Who types at the command line: ``cli:<os user>`` in the log."""

from __future__ import annotations

import getpass


def operator() -> str:
    """Return the operator's name for the log; a user id without a name stays a number."""
    try:
        return f"cli:{getpass.getuser()}"[:120]
    except (KeyError, OSError):
        return "cli:unknown"
