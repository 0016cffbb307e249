"""The state moves as functions in Postgres: one round trip each.

Functions carry a version in their name. A released one is never changed: a new version is a new file and a new
migration, so that workers of the old and the new release run side by side during a deploy.
"""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).resolve().parent.parent / "lifecycle" / "sql"
FILES = (
    "01_words.sql", "02_advance.sql", "03_submit.sql", "04_claim.sql", "05_settle.sql", "06_decide.sql", "07_mend.sql"
)  # fmt: skip

# Rows that change at every step keep room on their page for their next version (HOT updates).
FILLFACTOR = """
ALTER TABLE agentapp_workflow SET (fillfactor = 60);
ALTER TABLE agentapp_stage SET (fillfactor = 60);
ALTER TABLE agentapp_job SET (fillfactor = 60);
ALTER TABLE agentapp_attempt SET (fillfactor = 80);
"""


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0001_initial")]

    operations = [
        *(migrations.RunSQL((SQL / name).read_text(), migrations.RunSQL.noop) for name in FILES),
        migrations.RunSQL(FILLFACTOR, migrations.RunSQL.noop),
    ]
