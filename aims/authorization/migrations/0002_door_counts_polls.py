"""A poll writes one row, the door's; so the count stands there."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('authorization', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='backchannelrequest',
            name='polls',
            field=models.PositiveIntegerField(default=0, help_text='answered in vain: pending or too early'),
        ),
    ]
