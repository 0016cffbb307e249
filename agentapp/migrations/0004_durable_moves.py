"""Room on the pages of worker rows. The moves of that time are in 0008's place now: see 0002."""

from django.db import migrations

# Written once a second by each process: keep room on the page, and keep the page.
FILLFACTOR = "ALTER TABLE agentapp_worker SET (fillfactor = 50)"


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0003_durability")]

    operations = [migrations.RunSQL(FILLFACTOR, migrations.RunSQL.noop)]
