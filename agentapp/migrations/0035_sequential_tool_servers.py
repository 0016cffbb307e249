"""Whether the calls of a tool server run one after the other. Those that there are do not, as before."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0034_holds")]

    operations = [
        migrations.AddField(
            "toolserver",
            "is_sequential",
            models.BooleanField(
                default=False,
                db_default=False,
                help_text="each call of its tools runs alone, in the order of the model's answer",
            ),
        )
    ]
