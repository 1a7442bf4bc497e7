"""The doors count: see 0002 and 0003."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('authorization', '0003_carry_polls_to_doors'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='approvalrequest',
            name='polls',
        ),
    ]
