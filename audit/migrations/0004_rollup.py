"""How many entries of a kind an hour holds. What was written before is counted once."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from audit import rollups


def count(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    rollups.rebuild()


class Migration(migrations.Migration):
    dependencies = [("audit", "0003_a_table_a_month")]
    operations = [
        migrations.CreateModel(
            name="Rollup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "hour", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("hour", models.DateTimeField()),
                ("key", models.BinaryField(max_length=16)),
                ("agent", models.CharField(max_length=2048)),
                ("type", models.CharField(max_length=120)),
                ("decision", models.CharField(max_length=16)),
                ("resource", models.CharField(max_length=2048)),
                ("n", models.BigIntegerField()),
            ],
        ),
        migrations.RunPython(count, migrations.RunPython.noop),
    ]
