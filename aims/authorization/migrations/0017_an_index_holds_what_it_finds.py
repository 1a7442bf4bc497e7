"""Each token is one insert into each index of its table: an index holds what somebody looks for, and nothing else.

Most tokens come from no request, code, token or other server, and none of ours from the toolkit's application or user. On
PostgreSQL a text that is unique or indexed has a second index for LIKE, which nobody asks.
"""

import django.db.models.deletion
from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

TABLE = "authorization_accesstoken"
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema() AND tablename = %s"


def thin_out(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    with editor.connection.cursor() as cursor:
        cursor.execute(_INDEXES, [TABLE])
        found = dict(cursor.fetchall())
    for name, definition in found.items():
        if "varchar_pattern_ops" in definition:
            editor.execute(f'DROP INDEX "{name}"')
        for column in ("user_id", "application_id"):
            if definition.endswith(f"({column})"):
                editor.execute(f'DROP INDEX "{name}"')
                editor.execute(f'CREATE INDEX "{name}" ON {TABLE} ({column}) WHERE {column} IS NOT NULL')


def fill_up(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    """Leave the indexes as they are: what came before runs with them as well."""


class Migration(migrations.Migration):

    dependencies = [
        ('authorization', '0016_codes_of_certificates'),
        ('identifier', '0002_resources_have_operators'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name='accesstoken',
            name='code',
            field=models.ForeignKey(db_index=False, help_text='its family', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tokens', to=settings.OAUTH2_PROVIDER_GRANT_MODEL),
        ),
        migrations.AlterField(
            model_name='accesstoken',
            name='foreign',
            field=models.ForeignKey(db_index=False, help_text='whose word it was issued on', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tokens', to='authorization.foreignserver'),
        ),
        migrations.AlterField(
            model_name='accesstoken',
            name='parent',
            field=models.ForeignKey(db_index=False, help_text='RFC 8693: subject', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to=settings.OAUTH2_PROVIDER_ACCESS_TOKEN_MODEL),
        ),
        migrations.AlterField(
            model_name='accesstoken',
            name='request',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='tokens', to='authorization.approvalrequest'),
        ),
        migrations.AddIndex(
            model_name='accesstoken',
            index=models.Index(condition=models.Q(('request__isnull', False)), fields=['request'], name='authorization_token_request'),
        ),
        migrations.AddIndex(
            model_name='accesstoken',
            index=models.Index(condition=models.Q(('code__isnull', False)), fields=['code'], name='authorization_token_code'),
        ),
        migrations.AddIndex(
            model_name='accesstoken',
            index=models.Index(condition=models.Q(('parent__isnull', False)), fields=['parent'], name='authorization_token_parent'),
        ),
        migrations.AddIndex(
            model_name='accesstoken',
            index=models.Index(condition=models.Q(('foreign__isnull', False)), fields=['foreign'], name='authorization_token_foreign'),
        ),
        migrations.RunPython(thin_out, fill_up),
    ]
