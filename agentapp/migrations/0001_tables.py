import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.constraints
import django.db.models.deletion
import pgvector.django.vector
from django.conf import settings
from django.db import migrations, models
from pgvector.django import VectorExtension

import agentapp.ids
import agentapp.models.artifact

# Until the first release there is no way from one development version's tables to the next one's.
EMPTY = """
DO $$ BEGIN
  IF to_regclass('agentapp_workflow') IS NOT NULL THEN
    RAISE EXCEPTION 'this database was made by an earlier development version of agentapp'
      USING HINT = 'Nothing is released yet: begin with an empty database (a local one: make reset).';
  END IF;
END $$;
"""
# Rows that change at every step keep room on their page for their next version (HOT updates).
FILLFACTOR = """
ALTER TABLE agentapp_workflow SET (fillfactor = 60);
ALTER TABLE agentapp_job SET (fillfactor = 60);
ALTER TABLE agentapp_worker SET (fillfactor = 50);
ALTER TABLE agentapp_limit SET (fillfactor = 30, autovacuum_vacuum_threshold = 500);
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunSQL(EMPTY, migrations.RunSQL.noop),
        VectorExtension(),
        migrations.CreateModel(
            name="DispatcherLease",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("epoch", models.BigIntegerField(db_default=0)),
                ("holder", models.CharField(db_default="", max_length=200)),
                ("session", models.IntegerField(null=True)),
                ("led_since", models.DateTimeField(null=True)),
                ("renewed_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("report", models.JSONField(help_text="how its duties go; see dispatch.loop", null=True)),
            ],
            options={
                "verbose_name": "dispatcher lease",
            },
        ),
        migrations.CreateModel(
            name="DrillReport",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
                ("passed", models.BooleanField()),
                ("answers", models.JSONField()),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="GateChange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("at", models.DateTimeField()),
                ("actor", models.CharField(max_length=200)),
                (
                    "action",
                    models.CharField(help_text="created, changed, deleted, paused, draining, open, ...", max_length=20),
                ),
                ("target", models.CharField(help_text="the gate, or the key", max_length=200)),
                ("before", models.JSONField(blank=True, null=True)),
                ("after", models.JSONField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, max_length=300)),
            ],
            options={
                "ordering": ("-id",),
            },
        ),
        migrations.CreateModel(
            name="Job",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("type", models.CharField(max_length=100)),
                ("queue", models.CharField(help_text="the worker class that may claim it", max_length=50)),
                ("model", models.CharField(blank=True, help_text="the model that it calls", max_length=100)),
                ("tool", models.CharField(blank=True, help_text="the tool that it uses", max_length=100)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("available", "Available"),
                            ("scheduled", "Scheduled"),
                            ("running", "Running"),
                            ("retryable", "Retryable"),
                            ("completed", "Completed"),
                            ("dead_lettered", "Dead Lettered"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="pending",
                        max_length=20,
                    ),
                ),
                ("part", models.IntegerField(default=0, help_text="its index within a fan-out")),
                ("payload", models.JSONField(blank=True, null=True)),
                ("output", models.JSONField(blank=True, null=True)),
                (
                    "error",
                    models.JSONField(blank=True, help_text='the last one: {"class", "message", "kind"}', null=True),
                ),
                (
                    "priority",
                    models.SmallIntegerField(
                        choices=[(0, "urgent"), (1, "high"), (2, "normal"), (3, "low")], default=2
                    ),
                ),
                ("attempt", models.SmallIntegerField(default=0, help_text="executions so far, counted at the claim")),
                ("max_attempts", models.SmallIntegerField(default=5)),
                ("timeout_s", models.IntegerField(default=60)),
                ("scheduled_at", models.DateTimeField(blank=True, help_text="not before this moment", null=True)),
                (
                    "blocked_by",
                    models.JSONField(blank=True, help_text="what was in its way when a worker wanted it", null=True),
                ),
                (
                    "lease_token",
                    models.UUIDField(blank=True, help_text="proof of ownership of a running job", null=True),
                ),
                ("lease_expires_at", models.DateTimeField(blank=True, null=True)),
                ("worker", models.CharField(blank=True, max_length=200)),
                (
                    "process",
                    models.BigIntegerField(
                        blank=True, help_text="advisory lock of the process that holds it", null=True
                    ),
                ),
                (
                    "checkpoint",
                    models.JSONField(blank=True, help_text="what an attempt saved for the next one", null=True),
                ),
                (
                    "clean_up_at",
                    models.DateTimeField(blank=True, help_text="cancelled; its clean-up is due by then", null=True),
                ),
                (
                    "published_at",
                    models.DateTimeField(blank=True, help_text="its last message; none: it queues here", null=True),
                ),
                ("publishes", models.SmallIntegerField(default=0, help_text="messages since it became available")),
                ("available_at", models.DateTimeField(blank=True, null=True)),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Stage",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("position", models.SmallIntegerField()),
                ("name", models.CharField(max_length=100)),
                (
                    "kind",
                    models.CharField(
                        choices=[("job", "Job"), ("fan_out", "Fan Out"), ("decision", "Decision")], max_length=10
                    ),
                ),
                ("job_type", models.CharField(blank=True, max_length=100)),
                ("round", models.SmallIntegerField(default=0, help_text="how often a loop has come back here")),
                ("spec", models.JSONField(default=dict)),
                ("output", models.JSONField(blank=True, help_text="of a decision", null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Tenant",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("slug", models.SlugField(unique=True)),
                ("name", models.CharField(max_length=200)),
                (
                    "tier",
                    models.SlugField(default="standard", help_text="Gates can be made for the tenants of a tier."),
                ),
                (
                    "weight",
                    models.FloatField(
                        default=1, help_text="Its share of busy workers beside the other tenants' weights."
                    ),
                ),
                (
                    "suspended_at",
                    models.DateTimeField(blank=True, help_text="While set, none of its jobs run.", null=True),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name="Worker",
            fields=[
                (
                    "id",
                    models.BigIntegerField(
                        help_text="drawn at random by the process", primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(help_text="Celery's node name, with the process id", max_length=200)),
                ("pool", models.CharField(max_length=20)),
                (
                    "queues",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50), default=list, size=None
                    ),
                ),
                ("jobs", models.IntegerField(default=0, help_text="held at the last heartbeat")),
                ("slots", models.IntegerField(default=1, help_text="bodies that it can run at once")),
                (
                    "counts",
                    models.JSONField(
                        default=dict, help_text="what it has done since it started, by key; see runtime.counters"
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField(help_text="the last heartbeat")),
                (
                    "is_direct",
                    models.BooleanField(
                        help_text="no pooler stands between: its lock tells whether it lives", null=True
                    ),
                ),
                ("draining_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="Gate",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("global", "Global"),
                            ("job_type", "Job Type"),
                            ("tenant", "Tenant"),
                            ("tool", "Tool"),
                            ("model", "Model"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "pattern",
                    models.CharField(default="*", help_text="a name, or * for any characters: gpt-5*", max_length=100),
                ),
                (
                    "tier",
                    models.CharField(
                        blank=True, help_text="only for tenants of this tier; empty: of any", max_length=30
                    ),
                ),
                ("concurrency", models.IntegerField(blank=True, help_text="how many jobs run at once", null=True)),
                (
                    "reserved",
                    models.IntegerField(default=0, help_text="of these, slots that only urgent jobs may take"),
                ),
                (
                    "requests_per_min",
                    models.FloatField(blank=True, help_text="how many may begin in a minute", null=True),
                ),
                (
                    "request_burst",
                    models.IntegerField(default=0, help_text="how many of them at once; 0: what 2 seconds allow"),
                ),
                (
                    "tokens_per_min",
                    models.FloatField(blank=True, help_text="tokens a minute, of prompts and answers", null=True),
                ),
                (
                    "token_burst",
                    models.IntegerField(default=0, help_text="how many of them at once; 0: what 10 seconds allow"),
                ),
                (
                    "max_waiting",
                    models.IntegerField(
                        blank=True, help_text="tasks that may wait to begin; more get a 429", null=True
                    ),
                ),
                ("note", models.CharField(blank=True, help_text="why it is so", max_length=300)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "ordering": ("scope", "pattern", "tier"),
                "constraints": [
                    models.UniqueConstraint(fields=("scope", "pattern", "tier"), name="gate_once"),
                    models.CheckConstraint(
                        condition=models.Q(("scope__in", ["global", "job_type", "tenant", "tool", "model"])),
                        name="gate_scope_known",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("concurrency", None), ("concurrency__gte", 0), _connector="OR"),
                        name="gate_concurrency",
                    ),
                    models.CheckConstraint(condition=models.Q(("reserved__gte", 0)), name="gate_reserved"),
                    models.CheckConstraint(
                        condition=models.Q(("requests_per_min", None), ("requests_per_min__gt", 0), _connector="OR"),
                        name="gate_requests",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("tokens_per_min", None), ("tokens_per_min__gt", 0), _connector="OR"),
                        name="gate_tokens",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("number", models.SmallIntegerField()),
                ("worker", models.CharField(max_length=200)),
                (
                    "in_place",
                    models.BooleanField(default=False, help_text="continued by the worker that did the step before"),
                ),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField()),
                (
                    "outcome",
                    models.CharField(
                        choices=[
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                            ("lost", "Lost"),
                            ("cancelled", "Cancelled"),
                            ("handed_back", "Handed Back"),
                        ],
                        max_length=20,
                    ),
                ),
                ("error_class", models.CharField(blank=True, max_length=200)),
                ("error_message", models.TextField(blank=True)),
                ("trace", models.TextField(blank=True)),
                (
                    "job",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attempts",
                        to="agentapp.job",
                    ),
                ),
            ],
            options={
                "ordering": ("started_at",),
            },
        ),
        migrations.CreateModel(
            name="DeadLetter",
            fields=[],
            options={
                "verbose_name": "dead letter",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("agentapp.job",),
        ),
        migrations.CreateModel(
            name="Limit",
            fields=[
                ("key", models.CharField(max_length=120, primary_key=True, serialize=False)),
                ("scope", models.CharField(max_length=10)),
                ("name", models.CharField(max_length=100)),
                ("concurrency", models.IntegerField(null=True)),
                ("reserved", models.IntegerField(default=0)),
                ("request_s", models.FloatField(help_text="seconds from one to the next", null=True)),
                ("request_burst", models.IntegerField(default=1)),
                ("request_at", models.DateTimeField(help_text="theoretical arrival time", null=True)),
                ("token_s", models.FloatField(help_text="seconds that a token takes", null=True)),
                ("token_burst", models.IntegerField(default=1)),
                ("token_at", models.DateTimeField(help_text="theoretical arrival time", null=True)),
                ("max_waiting", models.IntegerField(null=True)),
                ("slowdown", models.FloatField(default=1, help_text="how many times slower than the gate allows")),
                ("slowed_at", models.DateTimeField(null=True)),
                ("closed_until", models.DateTimeField(help_text="nothing passes before", null=True)),
                (
                    "breaker",
                    models.CharField(
                        choices=[("closed", "Closed"), ("open", "Open"), ("half_open", "Half Open")],
                        default="closed",
                        max_length=10,
                    ),
                ),
                ("calls", models.IntegerField(default=0, help_text="calls in the breaker's window")),
                ("failures", models.IntegerField(default=0, help_text="of these, failed")),
                ("window_at", models.DateTimeField(help_text="when the breaker's window began", null=True)),
                ("opens", models.IntegerField(default=0, help_text="how often the breaker opened in a row")),
                (
                    "mode",
                    models.CharField(
                        choices=[("open", "Open"), ("draining", "Draining"), ("paused", "Paused")],
                        default="open",
                        max_length=10,
                    ),
                ),
                ("mode_by", models.CharField(blank=True, max_length=200)),
                ("mode_reason", models.CharField(blank=True, max_length=300)),
                ("mode_at", models.DateTimeField(null=True)),
                ("holds", models.BooleanField(default=False, help_text="jobs wait for it: new ones queue behind them")),
                ("runway", models.IntegerField(help_text="of a queue: messages that the broker may hold", null=True)),
                (
                    "slots",
                    models.IntegerField(
                        default=0, help_text="of a queue: bodies that its living workers can run at once"
                    ),
                ),
                ("waiting", models.IntegerField(default=0, help_text="tasks (of a queue: jobs) that have not begun")),
                ("oldest_at", models.DateTimeField(help_text="since when the oldest of them waits", null=True)),
                ("per_s", models.FloatField(default=0, help_text="how many of them begin in a second")),
                ("run_s", models.FloatField(default=0, help_text="of a job type: how long a body runs")),
                ("tokens_each", models.IntegerField(default=0, help_text="of a job type: tokens that a body uses")),
                (
                    "gate",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="limits",
                        to="agentapp.gate",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ModelCapability",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("base_url", models.CharField(max_length=500)),
                ("model", models.CharField(max_length=200)),
                ("learned", models.JSONField(default=dict)),
                ("learned_at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("base_url", "model"), name="model_capability_once")],
            },
        ),
        migrations.AddField(
            model_name="job",
            name="stage",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="jobs",
                to="agentapp.stage",
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="tenant",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="agentapp.tenant",
            ),
        ),
        migrations.CreateModel(
            name="Document",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("source", models.CharField(help_text="file name or address, unique per tenant", max_length=500)),
                ("title", models.CharField(max_length=300)),
                ("sha256", models.CharField(max_length=64)),
                ("size", models.PositiveIntegerField(help_text="in characters")),
                ("created_at", models.DateTimeField()),
                ("updated_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="documents",
                        to="agentapp.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Chunk",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("position", models.PositiveIntegerField()),
                ("heading", models.CharField(blank=True, max_length=300)),
                ("text", models.TextField()),
                (
                    "search",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.contrib.postgres.search.SearchVector("heading", "text", config="english"),
                        output_field=django.contrib.postgres.search.SearchVectorField(),
                    ),
                ),
                ("embedding", pgvector.django.vector.VectorField(blank=True, null=True)),
                ("embedding_model", models.CharField(blank=True, max_length=100)),
                ("embedding_dimension", models.PositiveSmallIntegerField(default=0)),
                (
                    "document",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="chunks", to="agentapp.document"
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="agentapp.tenant",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BulkReplay",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("canary", "Canary"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("aborted", "Aborted"),
                        ],
                        default="canary",
                        max_length=10,
                    ),
                ),
                ("selection", models.JSONField(help_text="what was asked for, such as a fingerprint")),
                ("waiting", models.JSONField(default=list)),
                ("replayed", models.JSONField(default=list)),
                ("succeeded", models.IntegerField(default=0)),
                ("failed", models.IntegerField(default=0)),
                ("canary", models.IntegerField()),
                ("batch", models.IntegerField()),
                ("actor", models.CharField(max_length=200)),
                ("reason", models.TextField(blank=True, help_text="why it was aborted")),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
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
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=200)),
                (
                    "prefix",
                    models.CharField(
                        help_text="The public part, shown in lists and histories.", max_length=16, unique=True
                    ),
                ),
                ("secret_sha256", models.CharField(max_length=64)),
                (
                    "scopes",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50), default=list, size=None
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="api_keys", to="agentapp.tenant"
                    ),
                ),
            ],
            options={
                "verbose_name": "API key",
            },
        ),
        migrations.CreateModel(
            name="Workflow",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("kind", models.CharField(max_length=100)),
                ("version", models.SmallIntegerField(default=1)),
                (
                    "state",
                    models.CharField(
                        choices=[
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
                (
                    "priority",
                    models.SmallIntegerField(
                        choices=[(0, "urgent"), (1, "high"), (2, "normal"), (3, "low")], default=2
                    ),
                ),
                (
                    "risk",
                    models.CharField(
                        choices=[("low", "low"), ("medium", "medium"), ("high", "high")], default="low", max_length=10
                    ),
                ),
                ("input", models.JSONField()),
                ("result", models.JSONField(blank=True, null=True)),
                (
                    "error",
                    models.JSONField(
                        blank=True, help_text='{"class", "message"} in words a person understands', null=True
                    ),
                ),
                ("labels", models.JSONField(blank=True, default=dict)),
                (
                    "result_bind",
                    models.JSONField(blank=True, default=dict, help_text="where the result is read from at the end"),
                ),
                ("position", models.SmallIntegerField(default=0, help_text="the stage that is open, from 1")),
                ("parts_left", models.IntegerField(default=0, help_text="completions that the open stage still needs")),
                ("stages_total", models.SmallIntegerField(default=0)),
                ("jobs_total", models.IntegerField(default=0)),
                ("jobs_done", models.IntegerField(default=0)),
                ("seq", models.IntegerField(default=0, help_text="the last number given to a History row")),
                ("tokens", models.BigIntegerField(default=0)),
                ("cost_usd", models.DecimalField(decimal_places=6, default=0, max_digits=14)),
                ("deadline_at", models.DateTimeField(blank=True, help_text="unfinished by then, it fails", null=True)),
                (
                    "forked_from",
                    models.UUIDField(
                        blank=True, help_text="the task whose stages before the fork it shares", null=True
                    ),
                ),
                (
                    "root",
                    models.UUIDField(
                        blank=True, help_text="the first task of a line of forks: the key of effects", null=True
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(blank=True, null=True)),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                (
                    "api_key",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="agentapp.apikey",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="workflows",
                        to="agentapp.tenant",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "task",
            },
        ),
        migrations.AddField(
            model_name="stage",
            name="workflow",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="stages",
                to="agentapp.workflow",
            ),
        ),
        migrations.AddField(
            model_name="job",
            name="workflow",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="jobs",
                to="agentapp.workflow",
            ),
        ),
        migrations.CreateModel(
            name="History",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "workflow_id", "seq", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("seq", models.IntegerField()),
                ("at", models.DateTimeField()),
                ("noun", models.CharField(help_text="workflow, job or approval", max_length=10)),
                ("job_id", models.UUIDField(blank=True, null=True)),
                ("approval_id", models.UUIDField(blank=True, null=True)),
                ("from_state", models.CharField(blank=True, max_length=20)),
                ("to_state", models.CharField(max_length=20)),
                (
                    "actor",
                    models.CharField(help_text="key:<prefix>, user:<name>, worker:<name>, dispatcher", max_length=200),
                ),
                ("reason", models.TextField(blank=True)),
                ("data", models.JSONField(blank=True, null=True)),
                (
                    "workflow",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="history",
                        to="agentapp.workflow",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "history",
            },
        ),
        migrations.CreateModel(
            name="Artifact",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("job_id", models.UUIDField(blank=True, null=True)),
                ("name", models.CharField(max_length=200)),
                ("media_type", models.CharField(default="text/plain; charset=utf-8", max_length=100)),
                (
                    "file",
                    models.FileField(max_length=300, storage=agentapp.models.artifact.artifact_storage, upload_to=""),
                ),
                ("size", models.PositiveBigIntegerField(help_text="in bytes")),
                ("sha256", models.CharField(max_length=64)),
                ("created_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="agentapp.tenant",
                    ),
                ),
                (
                    "workflow",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="artifacts",
                        to="agentapp.workflow",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Approval",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("pending", "Pending"),
                            ("approved", "Approved"),
                            ("changes_requested", "Changes Requested"),
                            ("rejected", "Rejected"),
                            ("reopened", "Reopened"),
                            ("expired", "Expired"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="pending",
                        max_length=20,
                    ),
                ),
                ("content", models.JSONField(help_text='{"to", "subject", "body"}')),
                ("content_sha256", models.CharField(max_length=64)),
                ("draft", models.JSONField(help_text="the content as it was requested, before any edit")),
                ("sources", models.JSONField(default=list)),
                ("evaluation", models.JSONField(blank=True, null=True)),
                (
                    "risk",
                    models.CharField(
                        choices=[("low", "low"), ("medium", "medium"), ("high", "high")], default="low", max_length=10
                    ),
                ),
                ("approved_sha256", models.CharField(blank=True, max_length=64)),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("reason", models.TextField(blank=True)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                (
                    "decided_by_key",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="agentapp.apikey",
                    ),
                ),
                (
                    "decided_by_user",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "stage",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="approvals",
                        to="agentapp.stage",
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="agentapp.tenant",
                    ),
                ),
                (
                    "workflow",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="approvals", to="agentapp.workflow"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="ModelCall",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("workflow_id", models.UUIDField(null=True)),
                ("job_id", models.UUIDField(null=True)),
                ("attempt", models.PositiveSmallIntegerField(default=0)),
                ("model", models.CharField(max_length=100)),
                ("prompt_tokens", models.PositiveIntegerField(default=0)),
                ("completion_tokens", models.PositiveIntegerField(default=0)),
                ("cost_usd", models.DecimalField(decimal_places=6, default=0, max_digits=14)),
                ("latency_s", models.FloatField()),
                ("error_class", models.CharField(blank=True, max_length=100)),
                ("started_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="agentapp.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["workflow_id"], name="model_call_of_workflow")],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "tenant",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="memberships", to="agentapp.tenant"
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("user", "tenant"), name="membership_once")],
            },
        ),
        migrations.CreateModel(
            name="Effect",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("key", models.CharField(max_length=200)),
                ("type", models.CharField(help_text="mail, ...", max_length=50)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("prepared", "Prepared"),
                            ("sent", "Sent"),
                            ("confirmed", "Confirmed"),
                            ("unknown", "Unknown"),
                        ],
                        default="prepared",
                        max_length=10,
                    ),
                ),
                ("workflow_id", models.UUIDField()),
                ("job_id", models.UUIDField()),
                ("request_sha256", models.CharField(max_length=64)),
                ("response", models.JSONField(blank=True, null=True)),
                ("sends", models.PositiveSmallIntegerField(default=0, help_text="how often the provider was called")),
                (
                    "sender",
                    models.UUIDField(
                        blank=True, help_text="the lease token of the attempt that began a send", null=True
                    ),
                ),
                (
                    "sender_sends",
                    models.SmallIntegerField(blank=True, help_text="the number of the send that it began", null=True),
                ),
                (
                    "unfinished",
                    models.JSONField(
                        blank=True, help_text="earlier sends of which nobody knows the end: number to sender", null=True
                    ),
                ),
                (
                    "returned_sends",
                    models.SmallIntegerField(blank=True, help_text="the send whose call came back in doubt", null=True),
                ),
                ("returned_at", models.DateTimeField(blank=True, null=True)),
                ("prepared_at", models.DateTimeField()),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("confirmed_at", models.DateTimeField(blank=True, null=True)),
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
            ],
            options={
                "indexes": [models.Index(fields=["workflow_id"], name="effect_of_workflow")],
                "constraints": [
                    models.UniqueConstraint(fields=("tenant", "key"), name="effect_once"),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["prepared", "sent", "confirmed", "unknown"])),
                        name="effect_state_known",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="document",
            constraint=models.UniqueConstraint(fields=("tenant", "source"), name="document_source"),
        ),
        migrations.AddIndex(
            model_name="chunk",
            index=django.contrib.postgres.indexes.GinIndex(fields=["search"], name="chunk_search"),
        ),
        migrations.AddIndex(
            model_name="chunk",
            index=models.Index(fields=["tenant", "embedding_model"], name="chunk_space"),
        ),
        migrations.AddConstraint(
            model_name="chunk",
            constraint=models.UniqueConstraint(fields=("document", "position"), name="chunk_position"),
        ),
        migrations.AddIndex(
            model_name="bulkreplay",
            index=models.Index(condition=models.Q(("finished_at", None)), fields=["id"], name="bulk_replay_open"),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(fields=["tenant", "-id"], name="workflow_list"),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["labels"], name="workflow_labels", opclasses=("jsonb_path_ops",)
            ),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(condition=models.Q(("finished_at", None)), fields=["-id"], name="workflow_open"),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(condition=models.Q(("state", "pending")), fields=["tenant"], name="workflow_waiting"),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(
                condition=models.Q(("deadline_at__isnull", False), ("finished_at", None)),
                fields=["deadline_at"],
                name="workflow_deadline",
            ),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(
                condition=models.Q(("finished_at__isnull", False)),
                fields=["state", "finished_at"],
                name="workflow_over",
            ),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(
                condition=models.Q(("forked_from__isnull", False)), fields=["forked_from"], name="workflow_forks"
            ),
        ),
        migrations.AddConstraint(
            model_name="stage",
            constraint=models.UniqueConstraint(
                deferrable=django.db.models.constraints.Deferrable["DEFERRED"],
                fields=("workflow", "position"),
                name="stage_position",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(fields=["workflow", "stage"], name="job_of_stage"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state__in", ("retryable", "scheduled"))), fields=["scheduled_at"], name="job_due"
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(condition=models.Q(("state", "running")), fields=["id"], name="job_running"),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("published_at__isnull", False), ("state", "available")),
                fields=["queue", "priority", "published_at"],
                name="job_runway",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("published_at", None), ("state", "available")),
                fields=["queue", "tenant", "priority", "type", "workflow", "id"],
                name="job_backlog",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("clean_up_at__isnull", False)), fields=["clean_up_at"], name="job_clean_up"
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=models.Q(("state", "dead_lettered")), fields=["-finished_at"], name="job_dead"
            ),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(
                condition=models.Q(("state", "pending")), fields=["tenant", "id"], name="approval_inbox"
            ),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(condition=models.Q(("state", "pending")), fields=["expires_at"], name="approval_expiry"),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(
                condition=models.Q(("state", "approved")), fields=["tenant", "-id"], name="approval_approved"
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "state__in",
                        ["pending", "approved", "changes_requested", "rejected", "reopened", "expired", "cancelled"],
                    )
                ),
                name="approval_state_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "pending")), fields=("stage",), name="approval_one_pending"
            ),
        ),
        migrations.RunSQL(FILLFACTOR, migrations.RunSQL.noop),
    ]
