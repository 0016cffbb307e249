"""Whether an API key sees payloads. Those that there are do, as before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0031_approval_mail_index")]

    operations = [
        migrations.AddField(
            "apikey",
            "sees_payloads",
            models.BooleanField(
                default=True, db_default=True, help_text="May read prompts, responses, inputs and outputs."
            ),
        )
    ]
