import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0028_moves_0007"),
    ]

    operations = [
        migrations.CreateModel(
            name="Total",
            fields=[
                ("key", models.CharField(max_length=120, primary_key=True, serialize=False)),
                ("minute", models.DateTimeField(help_text="the last one that is part of it", null=True)),
                ("entered", models.BigIntegerField(default=0)),
                ("begun", models.BigIntegerField(default=0)),
                ("dead_lettered", models.BigIntegerField(default=0)),
                ("completed", models.BigIntegerField(default=0)),
                ("failed", models.BigIntegerField(default=0)),
                ("cancelled", models.BigIntegerField(default=0)),
                ("retried", models.BigIntegerField(default=0)),
                ("limited", models.BigIntegerField(default=0)),
                ("happened", models.BigIntegerField(default=0, help_text="of an event")),
                ("prompt_tokens", models.BigIntegerField(default=0)),
                ("completion_tokens", models.BigIntegerField(default=0)),
                ("cost_usd", models.DecimalField(decimal_places=6, default=0, max_digits=20)),
                (
                    "waits",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), default=list, size=None
                    ),
                ),
                (
                    "runs",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), default=list, size=None
                    ),
                ),
                ("wait_s", models.FloatField(default=0)),
                ("run_s", models.FloatField(default=0)),
                (
                    "seen",
                    models.JSONField(
                        default=dict, help_text="of the platform: what each worker had counted at the last look"
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="quartersample",
            name="cancelled",
            field=models.IntegerField(db_default=0, default=0, help_text="of a kind: tasks"),
        ),
        migrations.AddField(
            model_name="quartersample",
            name="run_s",
            field=models.FloatField(db_default=0, default=0, help_text="of those in `runs`, all together"),
        ),
        migrations.AddField(
            model_name="quartersample",
            name="wait_s",
            field=models.FloatField(db_default=0, default=0, help_text="of those in `waits`, all together"),
        ),
        migrations.AddField(
            model_name="sample",
            name="cancelled",
            field=models.IntegerField(db_default=0, default=0, help_text="of a kind: tasks"),
        ),
        migrations.AddField(
            model_name="sample",
            name="run_s",
            field=models.FloatField(db_default=0, default=0, help_text="of those in `runs`, all together"),
        ),
        migrations.AddField(
            model_name="sample",
            name="wait_s",
            field=models.FloatField(db_default=0, default=0, help_text="of those in `waits`, all together"),
        ),
        migrations.AlterField(
            model_name="quartersample",
            name="completed",
            field=models.IntegerField(default=0, help_text="attempts; of a model: calls; of a kind: tasks"),
        ),
        migrations.AlterField(
            model_name="quartersample",
            name="failed",
            field=models.IntegerField(default=0, help_text="attempts; of a model: calls; of a kind: tasks"),
        ),
        migrations.AlterField(
            model_name="quartersample",
            name="runs",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.IntegerField(),
                default=list,
                help_text="how long attempts, calls of a model, or tasks took",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="sample",
            name="completed",
            field=models.IntegerField(default=0, help_text="attempts; of a model: calls; of a kind: tasks"),
        ),
        migrations.AlterField(
            model_name="sample",
            name="failed",
            field=models.IntegerField(default=0, help_text="attempts; of a model: calls; of a kind: tasks"),
        ),
        migrations.AlterField(
            model_name="sample",
            name="runs",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.IntegerField(),
                default=list,
                help_text="how long attempts, calls of a model, or tasks took",
                size=None,
            ),
        ),
    ]
