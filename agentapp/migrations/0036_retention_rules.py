"""How long tasks of this kind and state are kept."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0035_sequential_tool_servers"),
    ]

    operations = [
        migrations.CreateModel(
            name="RetentionRule",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("kind", models.CharField(help_text="a workflow kind", max_length=100)),
                (
                    "state",
                    models.CharField(
                        choices=[("completed", "completed"), ("cancelled", "cancelled"), ("failed", "failed")],
                        max_length=20,
                    ),
                ),
                ("days", models.IntegerField(help_text="0: forever")),
                ("note", models.CharField(blank=True, help_text="why it is so", max_length=300)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("kind", "state"), name="retention_rule_once")],
            },
        ),
    ]
