"""The set of state moves `moves_0007`. `moves_0005` goes, which nothing calls that may still run."""

from pathlib import Path

from django.db import migrations

HERE = Path(__file__).resolve().parent
MOVES = HERE / "moves_0007.sql"
# Processes of the release before call `moves_0006`: it stays.
REMOVED = [HERE / "moves_0005.sql"]


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0027_samples")]

    operations = [
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0007 CASCADE"),
        *(migrations.RunSQL(f"DROP SCHEMA IF EXISTS {path.stem} CASCADE", path.read_text()) for path in REMOVED),
    ]
