"""Room on the pages of limits. The moves of that time are in 0008's place now: see 0002."""

from django.db import migrations

# A few rows that every claim reads, and that pace and measurements write: keep room on the page, and keep the page.
FILLFACTOR = "ALTER TABLE agentapp_limit SET (fillfactor = 30, autovacuum_vacuum_threshold = 500)"


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0005_gates")]

    operations = [migrations.RunSQL(FILLFACTOR, migrations.RunSQL.noop)]
