"""How much of a budget is used, and by which tokens."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('authorization', '0007_grant_terms'),
    ]

    operations = [
        migrations.CreateModel(
            name='GrantMeter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('unit', models.CharField(max_length=8)),
                ('most', models.BigIntegerField()),
                ('used', models.BigIntegerField(default=0)),
                ('window_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='GrantUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('jti', models.CharField(db_index=True, max_length=40)),
                ('at', models.DateTimeField()),
                ('amounts', models.JSONField(default=dict)),
            ],
        ),
        migrations.AddField(
            model_name='grantmeter',
            name='grant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='meters', to='authorization.delegationgrant'),
        ),
        migrations.AddField(
            model_name='grantuse',
            name='grant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='uses', to='authorization.delegationgrant'),
        ),
        migrations.AddConstraint(
            model_name='grantmeter',
            constraint=models.UniqueConstraint(fields=('grant', 'unit'), name='authorization_one_meter_a_unit'),
        ),
        migrations.AddConstraint(
            model_name='grantmeter',
            constraint=models.CheckConstraint(condition=models.Q(('used__gte', 0)), name='authorization_meter_not_negative'),
        ),
    ]
