"""Which values the columns of the log have, by month; and on PostgreSQL what the index of words is made by.

What was written before is noted once. Months that are closed already get their index from the sweep that closes months.
"""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from audit.search import terms
from audit.search.indexes import FUNCTION


def note(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    terms.rebuild()
    if editor.connection.vendor == "postgresql":
        editor.execute(FUNCTION, params=None)  # with parameters, psycopg would read % as a placeholder


def forget(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute("DROP FUNCTION IF EXISTS audit_words(bytea) CASCADE")


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_cosignatures")]
    operations = [
        migrations.CreateModel(
            name="Term",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "field", "value", "month", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("field", models.CharField(max_length=16)),
                ("value", models.CharField(max_length=2048)),
                ("month", models.PositiveIntegerField()),
            ],
        ),
        migrations.RunPython(note, forget),
    ]
