"""What was ended or mended is found at once: few entries say so, and they are what one looks for after an incident."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0014_few_decisions_are_indexed")]
    operations = [
        migrations.AddIndex(
            model_name="entry",
            index=models.Index(
                condition=models.Q(("remediation", None), _negated=True),
                fields=["remediation", "-index"],
                name="audit_by_remediation",
            ),
        ),
    ]
