"""Room on the pages of rows that change at every step.

The state moves of that time were installed here too. They lie in databases that they were installed in, for workers of
that release; a new database begins with the set of migration 0008.
"""

from django.db import migrations

# Rows that change at every step keep room on their page for their next version (HOT updates).
FILLFACTOR = """
ALTER TABLE agentapp_workflow SET (fillfactor = 60);
ALTER TABLE agentapp_stage SET (fillfactor = 60);
ALTER TABLE agentapp_job SET (fillfactor = 60);
ALTER TABLE agentapp_attempt SET (fillfactor = 80);
"""


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0001_initial")]

    operations = [migrations.RunSQL(FILLFACTOR, migrations.RunSQL.noop)]
