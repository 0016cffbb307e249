"""Install the set of state moves `moves_0002`. See agentapp/lifecycle/function_set.py."""

from pathlib import Path

from django.db import migrations

MOVES = Path(__file__).resolve().parent / "moves_0002.sql"


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0002_moves_0001")]

    operations = [migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0002 CASCADE")]
