"""What a person agreed to stands with the code; refresh tokens and access tokens know which code they came from."""

import aims.kit.ids
import django.db.models.deletion
import functools
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('authorization', '0011_clients_register_themselves'),
        ('identifier', '0002_resources_have_operators'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PairwiseSubject',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sub', models.CharField(default=aims.kit.ids.new_secret, editable=False, max_length=43, unique=True)),
            ],
        ),
        migrations.AddField(
            model_name='accesstoken',
            name='code',
            field=models.ForeignKey(help_text='its family', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tokens', to=settings.OAUTH2_PROVIDER_GRANT_MODEL),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='acr',
            field=models.CharField(blank=True, db_default='', default='', max_length=16),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='agent',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='authorization_codes', to='identifier.agent'),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='amr',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='auth_time',
            field=models.DateTimeField(help_text='when the person signed in with a passkey', null=True),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='authorization_details',
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='code_hash',
            field=models.CharField(max_length=64, null=True, unique=True),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='consumed_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='ended_at',
            field=models.DateTimeField(help_text='since when nothing that came from it counts', null=True),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='grant',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='authorization_codes', to='authorization.delegationgrant'),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='jkt',
            field=models.CharField(blank=True, db_default='', default='', help_text='RFC 9449 §10', max_length=43),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='request',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='authorization_codes', to='authorization.approvalrequest'),
        ),
        migrations.AddField(
            model_name='authorizationcode',
            name='txn',
            field=models.CharField(blank=True, db_default='', db_index=True, default='', max_length=40),
        ),
        migrations.AddField(
            model_name='refreshtoken',
            name='code',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='refresh_tokens', to=settings.OAUTH2_PROVIDER_GRANT_MODEL),
        ),
        migrations.AddField(
            model_name='refreshtoken',
            name='expires_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='refreshtoken',
            name='used_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name='authorizationcode',
            name='code',
            field=models.CharField(default=functools.partial(aims.kit.ids.new_ref, *('cod',), **{}), editable=False, max_length=255, unique=True),
        ),
        migrations.AddConstraint(
            model_name='refreshtoken',
            constraint=models.UniqueConstraint(fields=('token_checksum',), name='authorization_refresh_token_once'),
        ),
        migrations.AddField(
            model_name='pairwisesubject',
            name='agent',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='identifier.agent'),
        ),
        migrations.AddField(
            model_name='pairwisesubject',
            name='person',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddConstraint(
            model_name='pairwisesubject',
            constraint=models.UniqueConstraint(fields=('person', 'agent'), name='authorization_one_sub_for_each_client'),
        ),
    ]
