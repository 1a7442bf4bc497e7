"""Entries, full tiles and checkpoints refuse UPDATE, DELETE and TRUNCATE in the database itself."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from audit.triggers import lifting, statements


def put(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    for statement in statements(editor.connection.vendor):
        editor.execute(statement, params=None)  # with parameters, psycopg would read % as a placeholder


def lift(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    for statement in lifting(editor.connection.vendor):
        editor.execute(statement, params=None)  # with parameters, psycopg would read % as a placeholder


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [migrations.RunPython(put, lift)]
