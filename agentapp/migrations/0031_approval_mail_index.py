"""An index of approvals of which people are to be told. Approvals may be many: nothing waits while it is made."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("agentapp", "0030_approval_mails")]

    operations = [
        AddIndexConcurrently(
            model_name="approval",
            index=models.Index(
                condition=models.Q(("mail_at__isnull", False), ("state", "pending")),
                fields=["mail_at"],
                name="approval_mail",
            ),
        ),
    ]
