"""What a grant allows: from when, how much, how many hops; what it came from; what the sweep has said of it."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('authorization', '0006_tokens_descend_from_tokens'),
    ]

    operations = [
        migrations.AddField(
            model_name='delegationgrant',
            name='approval',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='grants_made', to='authorization.approvalrequest'),
        ),
        migrations.AddField(
            model_name='delegationgrant',
            name='budget',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='delegationgrant',
            name='depth',
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='delegationgrant',
            name='expired_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='delegationgrant',
            name='narrowed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='delegationgrant',
            name='parent',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='authorization.delegationgrant'),
        ),
        migrations.AddField(
            model_name='delegationgrant',
            name='starts_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='delegationgrant',
            name='warned_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name='delegationgrant',
            index=models.Index(condition=models.Q(('expired_at', None), ('revoked_at', None)), fields=['until_at'], name='authorization_grant_due'),
        ),
        migrations.AddConstraint(
            model_name='delegationgrant',
            constraint=models.CheckConstraint(condition=models.Q(('depth__lte', 4)), name='authorization_grant_depth'),
        ),
    ]
