"""The minimum never falls, and on SQLite entries below it may go. On PostgreSQL they go as a table."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from audit.triggers import keeping_statements, lifting, statements


def put(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    for statement in keeping_statements(editor.connection.vendor):
        editor.execute(statement, params=None)  # with parameters, psycopg would read % as a placeholder


def as_before(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    vendor = editor.connection.vendor
    for statement in (*lifting(vendor), *statements(vendor)):
        editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("audit", "0010_holds_retention_and_erasure")]
    operations = [migrations.RunPython(put, as_before)]
