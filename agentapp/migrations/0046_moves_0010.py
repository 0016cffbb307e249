"""The set of state moves `moves_0010`: a meter is charged when its job begins. `moves_0008` goes, which nothing calls that
may still run."""

from pathlib import Path

from django.db import migrations

HERE = Path(__file__).resolve().parent
MOVES = HERE / "moves_0010.sql"
# Processes of the release before call `moves_0009`: it stays.
REMOVED = [HERE / "moves_0008.sql"]


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0045_retention_of_tenants")]

    operations = [
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0010 CASCADE"),
        *(migrations.RunSQL(f"DROP SCHEMA IF EXISTS {path.stem} CASCADE", path.read_text()) for path in REMOVED),
    ]
