"""An index of the approvals that jobs have asked for. Approvals may be many: nothing waits while it is made."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("agentapp", "0041_autovacuum")]

    operations = [
        AddIndexConcurrently(
            model_name="approval",
            index=models.Index(
                condition=models.Q(("job__isnull", False)), fields=["job", "id"], name="approval_of_job"
            ),
        ),
    ]
