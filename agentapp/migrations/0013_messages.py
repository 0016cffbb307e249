"""What clients say to conversations, and the task that a conversation goes on from."""

import django.db.models.deletion
from django.db import migrations, models

import agentapp.ids

# A message goes with its task, whichever release deletes that.
GOES_WITH_ITS_TASK = """
ALTER TABLE agentapp_message ADD CONSTRAINT message_task
  FOREIGN KEY (workflow_id) REFERENCES agentapp_workflow (id) ON DELETE CASCADE
"""


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0012_prompt_versions")]

    operations = [
        migrations.AddField(
            model_name="workflow",
            name="continues",
            field=models.UUIDField(
                blank=True, help_text="the completed task whose conversation it goes on with", null=True
            ),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(
                condition=models.Q(("continues__isnull", False)), fields=["continues"], name="workflow_continued"
            ),
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("number", models.IntegerField(help_text="from 1, within its task")),
                ("text", models.TextField()),
                ("is_untrusted", models.BooleanField(default=False, help_text="Others wrote it: it taints the run.")),
                ("actor", models.CharField(help_text="key:<prefix> or user:<name>", max_length=200)),
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
                        related_name="messages",
                        to="agentapp.workflow",
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("workflow", "number"), name="message_number")],
            },
        ),
        migrations.RunSQL(GOES_WITH_ITS_TASK, migrations.RunSQL.noop),
    ]
