"""What ``manage.py check --deploy`` says about a deployment, besides what Django says.

A server starts all the same where a database does not wait for its disk, and warns: tests and trials want that. Nobody
whose answers must survive a crash does.
"""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, register
from django.db import DatabaseError, connection

TAG = "durability"
UNSYNCED, UNWAITED, UNREACHABLE = "aims.E001", "aims.E002", "aims.E003"


@register(TAG, deploy=True)
def check_durability(**_: Any) -> list[CheckMessage]:
    """Return an error for each setting of PostgreSQL by which a crash takes back what was answered."""
    if connection.vendor != "postgresql":
        return []  # SQLite: the settings make every commit wait for the disk
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")
            fsync, waits = cursor.fetchone()
    except DatabaseError:
        hint = "Check AIMS_DATABASE_URL, and that PostgreSQL runs."
        return [
            Error("The database does not answer, so whether it is durable is not known.", hint=hint, id=UNREACHABLE)
        ]
    found: list[CheckMessage] = []
    if fsync != "on":
        hint = "Set fsync = on in postgresql.conf."
        text = "PostgreSQL does not write to its disk (fsync is off): a crash can lose tokens, decisions and the log."
        found.append(Error(text, hint=hint, id=UNSYNCED))
    if waits == "off":
        hint = "Set synchronous_commit = on, for the server, the database and the role that AIMS_DATABASE_URL names."
        text = "PostgreSQL answers before it has written (synchronous_commit is off): a crash takes back what was answered."
        found.append(Error(text, hint=hint, id=UNWAITED))
    return found
