"""Columns and tables that the moves of this release need. Workers of the previous release go on writing these tables, so
everything new is nullable or has a default in the database."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0006_gated_moves")]

    operations = [
        migrations.AlterField(
            model_name="worker",
            name="counts",
            field=models.JSONField(
                default=dict, help_text="what it has done since it started, by key; see runtime.counters"
            ),
        ),
        migrations.CreateModel(
            name="ModelCapability",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("base_url", models.CharField(max_length=500)),
                ("model", models.CharField(max_length=200)),
                ("learned", models.JSONField(default=dict)),
                ("learned_at", models.DateTimeField()),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("base_url", "model"), name="model_capability_once")],
            },
        ),
        # The dispatcher's lease, and whether a worker's session is one with Postgres itself.
        migrations.CreateModel(
            name="DispatcherLease",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("epoch", models.BigIntegerField(db_default=0)),
                ("holder", models.CharField(db_default="", max_length=200)),
                ("session", models.IntegerField(null=True)),
                ("led_since", models.DateTimeField(null=True)),
                ("renewed_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
                ("report", models.JSONField(help_text="how its duties go; see dispatch.loop", null=True)),
            ],
            options={"verbose_name": "dispatcher lease"},
        ),
        migrations.AddField(
            model_name="worker",
            name="is_direct",
            field=models.BooleanField(help_text="no pooler stands between: its lock tells whether it lives", null=True),
        ),
        # Who began the latest send of an effect. A worker of the previous release leaves both as they are.
        migrations.AddField(
            model_name="effect",
            name="sender",
            field=models.UUIDField(blank=True, help_text="the lease token of the attempt that began a send", null=True),
        ),
        migrations.AddField(
            model_name="effect",
            name="sender_sends",
            field=models.SmallIntegerField(blank=True, help_text="the number of the send that it began", null=True),
        ),
    ]
