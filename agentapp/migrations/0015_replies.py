"""What customers answered to what tasks have sent."""

import django.db.models.deletion
from django.db import migrations, models

import agentapp.ids

# A reply goes with its task, whichever release deletes that.
GOES_WITH_ITS_TASK = """
ALTER TABLE agentapp_reply ADD CONSTRAINT reply_task
  FOREIGN KEY (workflow_id) REFERENCES agentapp_workflow (id) ON DELETE CASCADE
"""


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0014_model_choices"),
    ]

    operations = [
        migrations.CreateModel(
            name="Reply",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "message_id",
                    models.CharField(help_text="of the mail, by which a second one is known", max_length=300),
                ),
                ("sender", models.CharField(max_length=300)),
                ("subject", models.CharField(blank=True, max_length=300)),
                ("text", models.TextField()),
                ("actor", models.CharField(help_text="who told us: key:<prefix> or user:<name>", max_length=200)),
                ("created_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="agentapp.tenant",
                    ),
                ),
                (
                    "workflow",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="replies",
                        to="agentapp.workflow",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "replies",
                "constraints": [models.UniqueConstraint(fields=("workflow", "message_id"), name="reply_once")],
            },
        ),
        migrations.RunSQL(GOES_WITH_ITS_TASK, migrations.RunSQL.noop),
    ]
