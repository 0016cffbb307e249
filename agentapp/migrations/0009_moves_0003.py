"""The state moves of this release, beside those of the previous one. See agentapp/lifecycle/function_set.py."""

from pathlib import Path

from django.db import migrations

MOVES = Path(__file__).resolve().parent / "moves_0003.sql"


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0008_moves_0002")]

    operations = [migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0003 CASCADE")]
