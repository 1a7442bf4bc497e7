"""Cosignatures and time stamps are written once too; a checkpoint may go where another of its hour makes it needless."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from audit.triggers import attesting_statements, keeping_statements, lifting, statements


def put(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    _execute(editor, attesting_statements(editor.connection.vendor))


def as_before(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    vendor = editor.connection.vendor
    _execute(editor, [*lifting(vendor), *statements(vendor), *keeping_statements(vendor)])


def _execute(editor: BaseDatabaseSchemaEditor, sql: list[str]) -> None:
    for statement in sql:
        editor.execute(statement, params=None)  # with parameters, psycopg would read % as a placeholder


class Migration(migrations.Migration):
    dependencies = [("audit", "0015_remediations_are_indexed")]
    operations = [migrations.RunPython(put, as_before)]
