"""Clients register themselves and wait to be admitted, by a person or by a rule."""

import aims.authorization.registration_states
import aims.kit.ids
import django.db.models.deletion
import functools
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('authorization', '0010_tokens_have_kinds'),
        ('identifier', '0002_resources_have_operators'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ClientRegistration',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ref', models.CharField(default=functools.partial(aims.kit.ids.new_ref, *('reg',), **{}), editable=False, max_length=40, unique=True)),
                ('kind', models.CharField(choices=[('dynamic', 'Registered by itself'), ('document', 'Metadata document')], max_length=12)),
                ('client_id', models.CharField(max_length=2048, unique=True)),
                ('state', models.CharField(default=aims.authorization.registration_states.RegistrationState['QUARANTINED'], max_length=16)),
                ('state_since_at', models.DateTimeField()),
                ('state_reason', models.CharField(blank=True, max_length=400)),
                ('metadata', models.JSONField()),
                ('admitted_metadata', models.JSONField(null=True)),
                ('token_hash', models.CharField(blank=True, help_text='SHA-256 of the registration access token', max_length=64)),
                ('source', models.CharField(help_text='keyed hash of the address that registered it', max_length=40)),
                ('registered_at', models.DateTimeField()),
                ('asked_at', models.DateTimeField(null=True)),
                ('fresh_until_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='TrustRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('ref', models.CharField(default=functools.partial(aims.kit.ids.new_ref, *('rul',), **{}), editable=False, max_length=40, unique=True)),
                ('kind', models.CharField(choices=[('document_host', 'Metadata document at this host'), ('redirect_host', 'Redirects to this host only'), ('software_id', 'Says that it is this software')], max_length=16)),
                ('value', models.CharField(max_length=255)),
                ('added_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.AddField(
            model_name='clientregistration',
            name='agent',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='registration', to='identifier.agent'),
        ),
        migrations.AddField(
            model_name='trustrule',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='clientregistration',
            name='rule',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='admitted', to='authorization.trustrule'),
        ),
        migrations.AddConstraint(
            model_name='trustrule',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('kind', 'value'), name='authorization_one_rule_a_value'),
        ),
        migrations.AddIndex(
            model_name='clientregistration',
            index=models.Index(fields=['state', 'state_since_at'], name='authorization_registrations'),
        ),
        migrations.AddConstraint(
            model_name='clientregistration',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['quarantined', 'admitted', 'refused', 'withdrawn', 'expired'])), name='authorization_registration_state_known'),
        ),
        migrations.AddConstraint(
            model_name='clientregistration',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'admitted'), _negated=True), models.Q(('admitted_metadata__isnull', False), ('agent__isnull', False)), _connector='OR'), name='authorization_admitted_is_an_agent'),
        ),
        migrations.AddConstraint(
            model_name='clientregistration',
            constraint=models.CheckConstraint(condition=models.Q(('token_hash', ''), models.Q(('kind', 'dynamic'), models.Q(('state', 'withdrawn'), _negated=True)), _connector='OR'), name='authorization_registration_token_ends'),
        ),
    ]
