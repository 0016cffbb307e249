"""The set of state moves `moves_0007`. `moves_0005` goes, which nothing calls that may still run. Delegations
of approvals and roles of Postgres come, which the moves read."""

from pathlib import Path

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

HERE = Path(__file__).resolve().parent
MOVES = HERE / "moves_0007.sql"
# Processes of the release before call `moves_0006`: it stays.
REMOVED = [HERE / "moves_0005.sql"]


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0027_samples")]

    operations = [
        migrations.CreateModel(
            name="Delegation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("until", models.DateTimeField()),
                ("created_at", models.DateTimeField()),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="agentapp.tenant",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        help_text="who is away",
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "delegate",
                    models.ForeignKey(
                        help_text="who decides in their place",
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [models.UniqueConstraint(fields=("tenant", "user"), name="delegation_once")],
            },
        ),
        migrations.AddField(
            model_name="approvalvote",
            name="for_user",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                db_index=False,
                help_text="in whose place the person decided",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="mail_at",
            field=models.DateTimeField(
                blank=True,
                help_text="since when those who may decide are to be told by mail; null: not, or they were",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="approvalpolicy",
            name="mails_approvers",
            field=models.BooleanField(
                db_default=False, default=False, help_text="those who may decide are told by mail"
            ),
        ),
        migrations.AddField(
            model_name="modelchoice",
            name="parallel_tool_calls",
            field=models.BooleanField(
                blank=True,
                help_text="whether the model may call several tools at once; empty: it is not told",
                null=True,
            ),
        ),
        migrations.CreateModel(
            name="Restore",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "at",
                    models.DateTimeField(
                        help_text="tasks from before may have sent what the ledger does not know", null=True
                    ),
                ),
                (
                    "cluster",
                    models.CharField(
                        help_text="system identifier of the server; empty: it may not be read", max_length=40
                    ),
                ),
                (
                    "table_number",
                    models.BigIntegerField(help_text="of this table in Postgres; 0 while a restore is taken in"),
                ),
                ("actor", models.CharField(max_length=200)),
                ("report", models.JSONField(default=dict, help_text="how many rows were changed")),
            ],
        ),
        migrations.AddField(
            model_name="effect",
            name="restored_at",
            field=models.DateTimeField(
                blank=True,
                help_text="it may have been sent, under another id, before a backup was restored then",
                null=True,
            ),
        ),
        migrations.CreateModel(
            name="DatabaseRole",
            fields=[
                (
                    "name",
                    models.CharField(
                        help_text="of the role that a process connects as",
                        max_length=63,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "queues",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50),
                        help_text="the worker classes for whose jobs it may act; null: all, as the dispatcher does",
                        null=True,
                        size=None,
                    ),
                ),
            ],
            options={"ordering": ("name",)},
        ),
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0007 CASCADE"),
        *(migrations.RunSQL(f"DROP SCHEMA IF EXISTS {path.stem} CASCADE", path.read_text()) for path in REMOVED),
    ]
