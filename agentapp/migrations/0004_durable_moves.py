"""The moves again, for databases that were made before leases named their process and tasks had deadlines."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "lifecycle" / "sql"
FILES = (
    "01_words.sql", "02_advance.sql", "03_submit.sql", "04_claim.sql", "05_settle.sql", "06_decide.sql", "07_mend.sql",
    "08_desk.sql", "09_worker.sql",
)  # fmt: skip

# Written once a second by each process: keep room on the page, and keep the page.
FILLFACTOR = "ALTER TABLE agentapp_worker SET (fillfactor = 50)"


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0003_durability")]

    operations = [
        *(migrations.RunSQL((SQL / name).read_text(), migrations.RunSQL.noop) for name in FILES),
        migrations.RunSQL(FILLFACTOR, migrations.RunSQL.noop),
    ]
