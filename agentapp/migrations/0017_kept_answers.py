"""Answers to agent frameworks, kept with the records of their calls."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0016_memories"),
    ]

    operations = [
        migrations.AddField(
            model_name="modelcall",
            name="answer",
            field=models.JSONField(blank=True, help_text="kept for when the job runs again", null=True),
        ),
        migrations.AddField(
            model_name="modelcall",
            name="request_sha256",
            field=models.CharField(blank=True, db_default="", help_text="of what a framework asked", max_length=64),
        ),
        migrations.AddIndex(
            model_name="modelcall",
            index=models.Index(
                condition=models.Q(("answer__isnull", False)), fields=["job_id"], name="model_call_kept"
            ),
        ),
    ]
