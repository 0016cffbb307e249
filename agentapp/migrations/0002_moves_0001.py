"""Install the set of state moves `moves_0001`. See agentapp/lifecycle/function_set.py."""

from pathlib import Path

from django.db import migrations

MOVES = Path(__file__).resolve().parent / "moves_0001.sql"


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0001_tables")]

    operations = [migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0001 CASCADE")]
