"""Putting a policy in force and granting under it, one after the other: so no grant is logged after the end of its policy.

A lock of the table and not of the active row: those who grant never wait for each other and write nothing for it, and
who puts a policy in force waits for those before it only (with a lock of the row it waited up to a second under load,
since new ones passed it by). Taken before any row, by both sides. SQLite has one writer at a time anyway.
"""

from __future__ import annotations

from django.db import connection

from aims.policy.models import PolicyVersion

# For a statement that is its own transaction. No row has this number, so none is locked, only the table (ROW SHARE); a
# statement locks its tables before it takes the snapshot that it reads, so it sees what it waited for.
SHARED = "SELECT FROM policy_policyversion WHERE number = 0 FOR KEY SHARE"


def share() -> None:
    """Let no other policy come into force until the caller's transaction ends; read the active one after this."""
    list(PolicyVersion.objects.select_for_update().filter(number=0))


def hold() -> None:
    """Wait for all who share, and let others wait until the caller's transaction ends. Plain reading goes on."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE policy_policyversion IN EXCLUSIVE MODE")
