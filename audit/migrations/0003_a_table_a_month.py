"""On PostgreSQL the entries lie in one table a month. What was written before is copied once.

The key of a partitioned table must hold the moment that it is partitioned by, so that the database no longer refuses an
index twice by itself: the lock on the head, and a look before each batch, do.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from audit import partitions
from audit.triggers import lifting, statements

_INDEXES = (
    'CREATE INDEX audit_by_agent ON audit_entry (agent, "index" DESC)',
    'CREATE INDEX audit_by_subject ON audit_entry (subject, "index" DESC)',
    'CREATE INDEX audit_by_by ON audit_entry ("by", "index" DESC)',
    'CREATE INDEX audit_by_resource ON audit_entry (resource, "index" DESC)',
    'CREATE INDEX audit_by_type ON audit_entry (type, "index" DESC)',
    "CREATE INDEX audit_by_txn ON audit_entry (txn) WHERE txn IS NOT NULL",
    'CREATE INDEX audit_by_decision ON audit_entry (decision, "index" DESC)',
    "CREATE INDEX audit_by_time ON audit_entry (recorded_at)",
)


def by_month(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    editor.execute("ALTER TABLE audit_entry RENAME TO audit_entry_whole")
    editor.execute("CREATE TABLE audit_entry (LIKE audit_entry_whole) PARTITION BY RANGE (recorded_at)")
    with editor.connection.cursor() as cursor:
        cursor.execute("SELECT min(recorded_at), max(recorded_at) FROM audit_entry_whole")
        first, last = cursor.fetchone()
    now = datetime.now(UTC)
    partitions.ensure(min(first or now, now), max(last or now, now))
    editor.execute("INSERT INTO audit_entry SELECT * FROM audit_entry_whole")
    _replace(editor, 'PRIMARY KEY ("index", recorded_at)', "UNIQUE (event_id, recorded_at)")


def in_one(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    editor.execute("ALTER TABLE audit_entry RENAME TO audit_entry_whole")
    editor.execute("CREATE TABLE audit_entry (LIKE audit_entry_whole)")
    editor.execute("INSERT INTO audit_entry SELECT * FROM audit_entry_whole")
    _replace(editor, 'PRIMARY KEY ("index")', "UNIQUE (event_id)")


def _replace(editor: BaseDatabaseSchemaEditor, key: str, event: str) -> None:
    editor.execute("DROP TABLE audit_entry_whole")
    editor.execute(f"ALTER TABLE audit_entry ADD CONSTRAINT audit_entry_pkey {key}")
    editor.execute(f"ALTER TABLE audit_entry ADD CONSTRAINT audit_entry_event_id_key {event}")
    for statement in (*_INDEXES, *lifting("postgresql"), *statements("postgresql")):
        editor.execute(statement, params=None)  # with parameters, psycopg would read % as a placeholder


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_written_once")]
    operations = [migrations.RunPython(by_month, in_one)]
