"""Months, and days by decision alone, of the rollups. What was counted before is added up by the sweep that follows."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0007_terms")]
    operations = [
        migrations.CreateModel(
            name="PeriodCount",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "grain", "at", "key", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("grain", models.CharField(choices=[("month", "Month"), ("day", "Day"), ("agent", "Agent"), ("type", "Type"), ("resource", "Resource")], max_length=8)),
                ("at", models.DateTimeField()),
                ("key", models.BinaryField(max_length=16)),
                ("agent", models.CharField(max_length=2048)),
                ("type", models.CharField(max_length=120)),
                ("decision", models.CharField(max_length=16)),
                ("resource", models.CharField(max_length=2048)),
                ("n", models.BigIntegerField()),
            ],
        ),
    ]
