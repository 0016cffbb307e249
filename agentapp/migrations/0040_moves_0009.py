"""The set of state moves `moves_0009`. `moves_0007` goes, which nothing calls that may still run."""

from pathlib import Path

from django.db import migrations

HERE = Path(__file__).resolve().parent
MOVES = HERE / "moves_0009.sql"
# Processes of the release before call `moves_0008`: it stays.
REMOVED = [HERE / "moves_0007.sql"]


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0039_audit")]

    operations = [
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0009 CASCADE"),
        *(migrations.RunSQL(f"DROP SCHEMA IF EXISTS {path.stem} CASCADE", path.read_text()) for path in REMOVED),
    ]
