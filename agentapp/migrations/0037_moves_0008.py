"""The set of state moves `moves_0008`. `moves_0006` goes, which nothing calls that may still run. Approvals say which task
asked for changes because sources had changed."""

from pathlib import Path

from django.db import migrations, models

HERE = Path(__file__).resolve().parent
MOVES = HERE / "moves_0008.sql"
# Processes of the release before call `moves_0007`: it stays.
REMOVED = [HERE / "moves_0006.sql"]


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0036_retention_rules")]

    operations = [
        migrations.AddField(
            "restore",
            "timeline",
            models.CharField(
                db_default="", default="", help_text="of the server's log; empty: not known", max_length=8
            ),
        ),
        migrations.AddField(
            "workflow",
            "notices",
            models.JSONField(blank=True, help_text="what people told the client about dead letters", null=True),
        ),
        migrations.AddField(
            model_name="approval",
            name="refreshed_by",
            field=models.UUIDField(
                blank=True, help_text="the task that asked for changes, because sources had changed", null=True
            ),
        ),
        migrations.AddField(
            "effect",
            "earlier_until",
            models.DateTimeField(blank=True, help_text="until when an earlier send may arrive", null=True),
        ),
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0008 CASCADE"),
        *(migrations.RunSQL(f"DROP SCHEMA IF EXISTS {path.stem} CASCADE", path.read_text()) for path in REMOVED),
    ]
