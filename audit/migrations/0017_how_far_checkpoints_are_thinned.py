"""How far checkpoints were thinned. Null at first: a default would make SQLite build the table anew, without its triggers."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0016_attestations_are_written_once")]
    operations = [
        migrations.AddField("keeping", "thinned_generation", models.PositiveIntegerField(null=True)),
        migrations.AddField("keeping", "thinned_size", models.BigIntegerField(null=True)),
    ]
