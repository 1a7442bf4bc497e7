"""Only the rare decisions are indexed: what was allowed or decided nothing is most of the log, and found by walking it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0013_integrity")]
    operations = [
        migrations.RemoveIndex(model_name="entry", name="audit_by_decision"),
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                condition=models.Q(("decision__in", ["approve", "ask", "deny"])),
                fields=["decision", "-index"],
                name="audit_by_decision",
            ),
        ),
    ]
