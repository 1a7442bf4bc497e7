"""How a client may prove who it is, by which certificate, and what is bound to that certificate."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('authorization', '0008_grant_meters'),
        ('identifier', '0002_resources_have_operators'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='application',
            name='authorization_agent_method_has_a_key',
        ),
        migrations.AddField(
            model_name='accesstoken',
            name='x5t_s256',
            field=models.CharField(blank=True, db_default='', default='', help_text='thumbprint of its certificate; RFC 8705 §3.1', max_length=43),
        ),
        migrations.AddField(
            model_name='application',
            name='tls_client_auth_name',
            field=models.CharField(blank=True, db_default='', default='', help_text='which name of the certificate; RFC 8705 §2.1.2', max_length=12),
        ),
        migrations.AddField(
            model_name='application',
            name='tls_client_auth_value',
            field=models.CharField(blank=True, db_default='', default='', max_length=2048),
        ),
        migrations.AddField(
            model_name='application',
            name='tls_client_certificate_bound_access_tokens',
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name='backchannelrequest',
            name='x5t_s256',
            field=models.CharField(blank=True, db_default='', default='', help_text='likewise, of its certificate; RFC 8705 §3.1', max_length=43),
        ),
        migrations.AddConstraint(
            model_name='application',
            constraint=models.CheckConstraint(condition=models.Q(('agent', None), ('token_endpoint_auth_method__in', ['private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth', 'spiffe_jwt', 'spiffe_x509', 'wimse_wit_wpt', 'wimse_http_signature', 'none']), _connector='OR'), name='authorization_agent_method_has_a_key'),
        ),
        migrations.AddConstraint(
            model_name='application',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('tls_client_auth_name', ''), ('tls_client_auth_value', ''), models.Q(('token_endpoint_auth_method', 'tls_client_auth'), _negated=True)), models.Q(('tls_client_auth_name__in', ('subject_dn', 'san_dns', 'san_uri', 'san_ip', 'san_email')), ('token_endpoint_auth_method', 'tls_client_auth'), models.Q(('tls_client_auth_value', ''), _negated=True)), _connector='OR'), name='authorization_tls_client_has_one_name'),
        ),
    ]
