"""The set of state moves `moves_0006`. `moves_0004` goes, which nothing calls that may still run."""

from pathlib import Path

from django.db import migrations, models

HERE = Path(__file__).resolve().parent
MOVES = HERE / "moves_0006.sql"
# Processes of the release before call `moves_0005`: it stays.
REMOVED = [HERE / "moves_0004.sql"]


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0019_tool_servers"),
    ]

    operations = [
        migrations.AddField(
            model_name="approval",
            name="held_until",
            field=models.DateTimeField(
                blank=True, help_text="what it approved is not sent before this moment", null=True
            ),
        ),
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0006 CASCADE"),
        *(migrations.RunSQL(f"DROP SCHEMA IF EXISTS {path.stem} CASCADE", path.read_text()) for path in REMOVED),
    ]
