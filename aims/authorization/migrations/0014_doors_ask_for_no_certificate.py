"""A backchannel request waits longer than a certificate lives: whoever redeems it authenticates anyway."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('authorization', '0013_servers_of_other_domains'),
    ]

    operations = [
        migrations.RemoveField(
            model_name='backchannelrequest',
            name='x5t_s256',
        ),
    ]
