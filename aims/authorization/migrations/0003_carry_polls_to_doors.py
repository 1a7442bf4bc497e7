"""Carry the counts that stand at the requests to their doors."""

from django.db import migrations
from django.db.models import OuterRef, Subquery


def carry(apps, editor):
    requests = apps.get_model('authorization', 'ApprovalRequest').objects.filter(pk=OuterRef('request_id'))
    doors = apps.get_model('authorization', 'BackchannelRequest').objects.filter(request__polls__gt=0)
    doors.update(polls=Subquery(requests.values('polls')[:1]))


class Migration(migrations.Migration):

    dependencies = [
        ('authorization', '0002_door_counts_polls'),
    ]

    operations = [
        migrations.RunPython(carry, migrations.RunPython.noop),
    ]
