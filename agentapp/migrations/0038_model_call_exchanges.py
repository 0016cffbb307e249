"""What a model was asked, and what it answered."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0037_moves_0008"),
    ]

    operations = [
        migrations.AddField(
            model_name="modelcall",
            name="exchange",
            field=models.JSONField(
                blank=True, help_text="what it was asked and what it answered, for people", null=True
            ),
        ),
    ]
