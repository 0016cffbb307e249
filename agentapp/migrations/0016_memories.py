"""Facts about customers, in versions, and the record of who changed them."""

import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import pgvector.django.vector
from django.db import migrations, models

import agentapp.ids


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0015_replies"),
    ]

    operations = [
        migrations.CreateModel(
            name="Memory",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                (
                    "about",
                    models.CharField(help_text="whom it is about, as in a mail address, in lower case", max_length=320),
                ),
                ("fact_id", models.UUIDField(help_text="the same in all versions of a fact")),
                ("text", models.TextField()),
                (
                    "text_sha256",
                    models.CharField(help_text="of the text without differences of case and spaces", max_length=64),
                ),
                (
                    "is_untrusted",
                    models.BooleanField(help_text="It comes from a text that others wrote: it taints a run."),
                ),
                ("written_by", models.CharField(help_text="key:<prefix>, user:<name> or a job type", max_length=200)),
                ("task_id", models.UUIDField(blank=True, help_text="the task whose text it was read from", null=True)),
                ("valid_from", models.DateTimeField()),
                (
                    "valid_until",
                    models.DateTimeField(blank=True, help_text="since when another version holds", null=True),
                ),
                (
                    "search",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.contrib.postgres.search.SearchVector("text", config="english"),
                        output_field=django.contrib.postgres.search.SearchVectorField(),
                    ),
                ),
                ("embedding", pgvector.django.vector.VectorField(blank=True, null=True)),
                ("embedding_model", models.CharField(blank=True, max_length=100)),
                ("embedding_dimension", models.PositiveSmallIntegerField(default=0)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="agentapp.tenant",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "memories",
                "indexes": [
                    models.Index(fields=["tenant", "id"], name="memory_tenant"),
                    models.Index(fields=["tenant", "about", "id"], name="memory_about"),
                    models.Index(fields=["fact_id"], name="memory_fact"),
                    django.contrib.postgres.indexes.GinIndex(fields=["search"], name="memory_search"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("valid_until__isnull", True)),
                        fields=("tenant", "about", "text_sha256"),
                        name="memory_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="MemoryChange",
            fields=[
                ("id", models.UUIDField(default=agentapp.ids.uuid7, editable=False, primary_key=True, serialize=False)),
                ("fact_id", models.UUIDField()),
                ("at", models.DateTimeField()),
                ("action", models.CharField(help_text="written, superseded or erased", max_length=20)),
                ("actor", models.CharField(max_length=200)),
                ("task_id", models.UUIDField(blank=True, null=True)),
                (
                    "tenant",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="agentapp.tenant",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["tenant", "fact_id", "id"], name="memory_change_fact"),
                    models.Index(fields=["at"], name="memory_change_at"),
                ],
            },
        ),
    ]
