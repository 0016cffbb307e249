"""Budgets of a day and tasks of tasks, with the set of state moves `moves_0005`. `moves_0002` and `moves_0003` go, which nothing calls that may
still run."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

HERE = Path(__file__).resolve().parent
MOVES = HERE / "moves_0005.sql"
# Processes of the release before call the set of their own: it stays.
REMOVED = [HERE / "moves_0002.sql", HERE / "moves_0003.sql"]


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0017_kept_answers"),
    ]

    operations = [
        migrations.CreateModel(
            name="Reservation",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("tokens", models.BigIntegerField()),
                ("cost_usd", models.DecimalField(decimal_places=6, max_digits=14)),
                ("expires_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="TenantDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("tokens", models.BigIntegerField(default=0)),
                ("cost_usd", models.DecimalField(decimal_places=6, default=0, max_digits=14)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="gate",
            name="gate_scope_known",
        ),
        migrations.AddField(
            model_name="gate",
            name="cost_usd_per_day",
            field=models.FloatField(blank=True, help_text="US dollars that they may cost in a day", null=True),
        ),
        migrations.AddField(
            model_name="gate",
            name="tokens_per_day",
            field=models.BigIntegerField(blank=True, help_text="tokens that models may use in a day", null=True),
        ),
        migrations.AddField(
            model_name="limit",
            name="cost_usd_per_day",
            field=models.FloatField(null=True),
        ),
        migrations.AddField(
            model_name="limit",
            name="tokens_per_day",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name="gate",
            name="scope",
            field=models.CharField(
                choices=[
                    ("global", "Global"),
                    ("job_type", "Job Type"),
                    ("tenant", "Tenant"),
                    ("tool", "Tool"),
                    ("model", "Model"),
                    ("budget", "Budget"),
                ],
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="gate",
            constraint=models.CheckConstraint(
                condition=models.Q(("scope__in", ["global", "job_type", "tenant", "tool", "model", "budget"])),
                name="gate_scope_known",
            ),
        ),
        migrations.AddField(
            model_name="tenantday",
            name="tenant",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="agentapp.tenant"
            ),
        ),
        migrations.AddField(
            model_name="reservation",
            name="day",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="reservations", to="agentapp.tenantday"
            ),
        ),
        migrations.AddConstraint(
            model_name="tenantday",
            constraint=models.UniqueConstraint(fields=("day", "tenant"), name="tenant_day_once"),
        ),
        migrations.AddIndex(
            model_name="workflow",
            index=models.Index(condition=models.Q(("origin", "child")), fields=["parent"], name="workflow_parts"),
        ),
        migrations.AddIndex(
            model_name="modelcall",
            index=models.Index(
                condition=models.Q(("workflow_id", None)), fields=["started_at"], name="model_call_no_task"
            ),
        ),
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0005 CASCADE"),
        *(migrations.RunSQL(f"DROP SCHEMA IF EXISTS {path.stem} CASCADE", path.read_text()) for path in REMOVED),
    ]
