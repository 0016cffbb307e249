"""Cancelling many tasks, as a record with its progress."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models

import agentapp.ids


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0010_model_call_prices")]

    operations = [
        migrations.CreateModel(
            name="BulkCancellation",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("selection", models.JSONField(help_text="what was asked for, such as a fingerprint")),
                ("waiting", models.JSONField(default=list)),
                ("failed", models.IntegerField(default=0)),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField(blank=True, help_text="why it was aborted")),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[("running", "Running"), ("done", "Done"), ("aborted", "Aborted")],
                        default="running",
                        max_length=10,
                    ),
                ),
                ("cancelled", models.IntegerField(default=0)),
                ("skipped", models.IntegerField(default=0)),
                ("task_reason", models.TextField(blank=True, help_text="why the tasks are cancelled")),
                (
                    "tenant",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="agentapp.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("finished_at", None)), fields=["id"], name="bulk_cancellation_open"
                    )
                ],
            },
        ),
    ]
