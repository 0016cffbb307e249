"""What clients can ask for beside the work itself: a time, a key of their own, to be told. With the set `moves_0003`."""

from pathlib import Path

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import agentapp.ids

MOVES = Path(__file__).resolve().parent / "moves_0003.sql"
# The live list reads what committed since it looked last: by transaction, because `at` is not the order of commits. Rows
# of before have none, and the default of a column that is added with it would be computed for each of them.
BY_TRANSACTION = """
ALTER TABLE agentapp_history ADD COLUMN xid xid8;
ALTER TABLE agentapp_history ALTER COLUMN xid SET DEFAULT pg_current_xact_id();
CREATE INDEX history_live ON agentapp_history (xid) WHERE noun <> 'job' AND xid IS NOT NULL;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0003_moves_0002"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(max_length=255)),
                (
                    "request_sha256",
                    models.CharField(help_text="the same key with another request is a mistake", max_length=64),
                ),
                ("workflow_id", models.UUIDField()),
                ("created_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("url", models.TextField()),
                ("workflow_id", models.UUIDField()),
                ("payload", models.JSONField(blank=True, null=True)),
                (
                    "log",
                    models.JSONField(blank=True, default=list, help_text="each try: at, status, error, ms, answer"),
                ),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "verbose_name_plural": "webhook deliveries",
            },
        ),
        migrations.CreateModel(
            name="WebhookEndpoint",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("url", models.TextField()),
                ("description", models.CharField(blank=True, max_length=200)),
                (
                    "events",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50),
                        blank=True,
                        default=list,
                        help_text="empty: all",
                        size=None,
                    ),
                ),
                ("salt", models.BinaryField(max_length=32)),
                ("generation", models.IntegerField(default=1, help_text="which secret: each rotation makes the next")),
                (
                    "previous_until",
                    models.DateTimeField(blank=True, help_text="so long the secret before it signs too", null=True),
                ),
                ("is_enabled", models.BooleanField(default=True)),
                ("disabled_at", models.DateTimeField(blank=True, null=True)),
                ("disabled_reason", models.CharField(blank=True, max_length=300)),
                (
                    "failing_since",
                    models.DateTimeField(blank=True, help_text="since when no delivery has arrived", null=True),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.CreateModel(
            name="WebhookEvent",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("workflow_id", models.UUIDField()),
                ("seq", models.IntegerField(help_text="of the change in the task's history")),
                ("type", models.CharField(max_length=50)),
                ("created_at", models.DateTimeField()),
                (
                    "spread_at",
                    models.DateTimeField(blank=True, help_text="since when its deliveries are workflows", null=True),
                ),
            ],
        ),
        migrations.AddField(
            model_name="apikey",
            name="last_used_at",
            field=models.DateTimeField(blank=True, help_text="to the minute", null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="replaced_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="agentapp.apikey",
            ),
        ),
        migrations.AddField(
            model_name="attempt",
            name="replay",
            field=models.SmallIntegerField(db_default=0, default=0, help_text="of which replay; 0 before the first"),
        ),
        migrations.AddField(
            model_name="job",
            name="replay",
            field=models.SmallIntegerField(db_default=0, default=0, help_text="how often a person has replayed it"),
        ),
        migrations.AddField(
            model_name="workflow",
            name="callback_url",
            field=models.TextField(blank=True, db_default="", default="", help_text="told when it is over"),
        ),
        migrations.AddField(
            model_name="workflow",
            name="origin",
            field=models.CharField(
                choices=[
                    ("client", "Client"),
                    ("webhook", "Webhook"),
                    ("schedule", "Schedule"),
                    ("drill", "Drill"),
                    ("child", "Child"),
                ],
                db_default="client",
                default="client",
                max_length=20,
            ),
        ),
        migrations.AddField(
            model_name="workflow",
            name="parent",
            field=models.UUIDField(blank=True, help_text="the task that it is a part of", null=True),
        ),
        migrations.AddField(
            model_name="workflow",
            name="run_at",
            field=models.DateTimeField(blank=True, help_text="not before this moment", null=True),
        ),
        migrations.AddField(
            model_name="workflow",
            name="traceparent",
            field=models.CharField(blank=True, db_default="", default="", help_text="W3C trace context", max_length=55),
        ),
        migrations.AddField(
            model_name="workflow",
            name="updated_at",
            field=models.DateTimeField(
                db_default=django.db.models.functions.datetime.Now(), help_text="its last change"
            ),
        ),
        migrations.AlterField(
            model_name="workflow",
            name="state",
            field=models.CharField(
                choices=[
                    ("scheduled", "Scheduled"),
                    ("pending", "Pending"),
                    ("running", "Running"),
                    ("awaiting_approval", "Awaiting Approval"),
                    ("needs_attention", "Needs Attention"),
                    ("completed", "Completed"),
                    ("failed", "Failed"),
                    ("cancelled", "Cancelled"),
                ],
                default="pending",
                max_length=20,
            ),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(
                condition=models.Q(("state", "scheduled")), fields=["run_at"], name="workflow_scheduled"
            ),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=django.contrib.postgres.indexes.BrinIndex(
                fields=["updated_at"], name="workflow_updated", pages_per_range=16
            ),
        ),
        migrations.AddField(
            model_name="idempotencykey",
            name="tenant",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="agentapp.tenant"
            ),
        ),
        migrations.AddField(
            model_name="webhookdelivery",
            name="tenant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="agentapp.tenant"
            ),
        ),
        migrations.AddField(
            model_name="webhookendpoint",
            name="tenant",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="webhook_endpoints", to="agentapp.tenant"
            ),
        ),
        migrations.AddField(
            model_name="webhookdelivery",
            name="endpoint",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="agentapp.webhookendpoint",
            ),
        ),
        migrations.AddField(
            model_name="webhookevent",
            name="tenant",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="agentapp.tenant"
            ),
        ),
        migrations.AddField(
            model_name="webhookdelivery",
            name="event",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="deliveries", to="agentapp.webhookevent"
            ),
        ),
        migrations.AddIndex(
            model_name="idempotencykey",
            index=models.Index(fields=["created_at"], name="idempotency_key_age"),
        ),
        migrations.AddConstraint(
            model_name="idempotencykey",
            constraint=models.UniqueConstraint(fields=("tenant", "key"), name="idempotency_key_once"),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(
                condition=models.Q(("spread_at", None)), fields=["created_at"], name="webhook_event_fresh"
            ),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(fields=["spread_at"], name="webhook_event_age"),
        ),
        migrations.RunSQL(BY_TRANSACTION, "ALTER TABLE agentapp_history DROP COLUMN xid"),
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0003 CASCADE"),
    ]
