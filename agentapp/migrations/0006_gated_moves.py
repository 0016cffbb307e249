"""The moves again: they ask gates, publish what there is room for, and tell the dispatcher what waits."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "lifecycle" / "sql"
# The new words first: moves are made of them.
FILES = (
    "10_gates.sql", "11_admit.sql", "12_meters.sql", "01_words.sql", "02_advance.sql", "03_submit.sql", "04_claim.sql",
    "05_settle.sql", "06_decide.sql", "07_mend.sql", "08_desk.sql", "09_worker.sql",
)  # fmt: skip

OLD = "DROP FUNCTION IF EXISTS agentapp_take_v1(agentapp_workflow, uuid, jsonb, jsonb, timestamptz)"
# A few rows that every claim reads, and that pace and measurements write: keep room on the page, and keep the page.
FILLFACTOR = "ALTER TABLE agentapp_limit SET (fillfactor = 30, autovacuum_vacuum_threshold = 500)"


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0005_gates")]

    operations = [
        *(migrations.RunSQL((SQL / name).read_text(), migrations.RunSQL.noop) for name in FILES),
        migrations.RunSQL(OLD, migrations.RunSQL.noop),
        migrations.RunSQL(FILLFACTOR, migrations.RunSQL.noop),
    ]
