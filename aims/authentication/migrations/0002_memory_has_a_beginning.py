"""Since when every spent proof is remembered (``replay.py``). No model: one row, which a flush must not take."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = """CREATE {kind} TABLE authentication_memory (
    began_at {moment} NOT NULL,
    is_only boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (is_only)
)"""
NOTHING_WAS_FORGOTTEN_YET = "INSERT INTO authentication_memory (began_at) VALUES ('1970-01-01 00:00:00')"


def create(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    # Unlogged: a crash empties it, and so says that what was not on disk yet is forgotten.
    is_postgres = editor.connection.vendor == "postgresql"
    kind, moment = ("UNLOGGED", "timestamptz") if is_postgres else ("", "datetime")
    editor.execute(TABLE.format(kind=kind, moment=moment))
    editor.execute(NOTHING_WAS_FORGOTTEN_YET)


def drop(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    editor.execute("DROP TABLE authentication_memory")


class Migration(migrations.Migration):
    dependencies = [("authentication", "0001_initial")]
    operations = [migrations.RunPython(create, drop)]
