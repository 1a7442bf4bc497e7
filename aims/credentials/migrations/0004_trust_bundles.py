"""The keys of trust domains, and where they are fetched."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('credentials', '0003_one_key_for_each_kind_of_token'),
        ('identifier', '0002_resources_have_operators'),
    ]

    operations = [
        migrations.CreateModel(
            name='TrustBundle',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('endpoint_url', models.URLField(blank=True, max_length=2048)),
                ('document', models.JSONField(null=True)),
                ('sequence', models.BigIntegerField(null=True)),
                ('changed_at', models.DateTimeField(null=True)),
                ('fetched_at', models.DateTimeField(null=True)),
                ('due_at', models.DateTimeField(db_index=True, null=True)),
                ('failure', models.CharField(blank=True, max_length=40)),
                ('trust_domain', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='bundle', to='identifier.trustdomain')),
            ],
        ),
    ]
