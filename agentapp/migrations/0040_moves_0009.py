"""The set of state moves `moves_0009`. `moves_0007` goes, which nothing calls that may still run. Approvals can be asked by a
job."""

from pathlib import Path

import django.db.models.deletion
from django.db import migrations, models

HERE = Path(__file__).resolve().parent
MOVES = HERE / "moves_0009.sql"
# Processes of the release before call `moves_0008`: it stays.
REMOVED = [HERE / "moves_0007.sql"]


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0039_audit")]

    operations = [
        migrations.AddField(
            model_name="approval",
            name="job",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                help_text="the job that asked and waits; empty: the plan asked",
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="questions",
                to="agentapp.job",
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="ask_key",
            field=models.CharField(blank=True, db_default="", help_text="which question of its job", max_length=100),
        ),
        migrations.AddField(
            model_name="approval",
            name="asked_sha256",
            field=models.CharField(
                blank=True, db_default="", help_text="of the content as its job asked, before any edit", max_length=64
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="asked_replay",
            field=models.SmallIntegerField(db_default=0, help_text="how often its job had been replayed"),
        ),
        migrations.AddField(
            model_name="approval",
            name="summary",
            field=models.CharField(
                blank=True, db_default="", help_text="what its job asks, in a sentence", max_length=300
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="answered_at",
            field=models.DateTimeField(
                blank=True, help_text="when its job was made available to read what was decided", null=True
            ),
        ),
        migrations.RemoveConstraint(model_name="approval", name="approval_one_pending"),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "pending")),
                fields=("stage", "job"),
                name="approval_one_open",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("job", None),
                    ("state__in", ("pending", "cancelled")),
                    models.Q(("answered_at", None), ("state", "reopened")),
                    models.Q(models.Q(("state", "reopened"), _negated=True), ("answered_at__isnull", False)),
                    _connector="OR",
                ),
                name="approval_answers_its_job",
            ),
        ),
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0009 CASCADE"),
        *(migrations.RunSQL(f"DROP SCHEMA IF EXISTS {path.stem} CASCADE", path.read_text()) for path in REMOVED),
    ]
