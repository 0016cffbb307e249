"""What an effect knows of sends that have not ended. Workers of the previous release leave these columns as they are: the
number of a send tells whether what stands there is about it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0009_moves_0003")]

    operations = [
        migrations.AddField(
            model_name="effect",
            name="unfinished",
            field=models.JSONField(
                blank=True, help_text="earlier sends of which nobody knows the end: number to sender", null=True
            ),
        ),
        migrations.AddField(
            model_name="effect",
            name="returned_sends",
            field=models.SmallIntegerField(blank=True, help_text="the send whose call came back in doubt", null=True),
        ),
        migrations.AddField(
            model_name="effect",
            name="returned_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
