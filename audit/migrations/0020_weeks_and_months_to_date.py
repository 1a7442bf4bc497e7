"""Weeks, and months to date, of the rollups. Counts are a cache: the sweep that follows adds all of them up anew."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

GRAINS = [
    ("month", "Month"),
    ("to-date", "To Date"),
    ("week", "Week"),
    ("day", "Day"),
    ("agent", "Agent"),
    ("type", "Type"),
    ("resource", "Resource"),
]


def forget(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("audit", "PeriodCount").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("audit", "0019_what_an_export_is_about")]
    operations = [
        migrations.AlterField("periodcount", "grain", models.CharField(choices=GRAINS, max_length=8)),
        migrations.RunPython(forget, migrations.RunPython.noop),
    ]
