"""Install the set of state moves `moves_0004`, and remove `moves_0001`, which no release that may still run calls."""

from pathlib import Path

from django.db import migrations, models

HERE = Path(__file__).resolve().parent
MOVES = HERE / "moves_0004.sql"
# Processes of the release before call the set of their own: it stays.
REMOVED = HERE / "moves_0001.sql"


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0005_webhooks")]

    operations = [
        migrations.AddField(
            model_name="workflow",
            name="unpriced_calls",
            field=models.IntegerField(db_default=0, default=0, help_text="calls whose price is not known"),
        ),
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0004 CASCADE"),
        migrations.RunSQL("DROP SCHEMA IF EXISTS moves_0001 CASCADE", REMOVED.read_text()),
    ]
