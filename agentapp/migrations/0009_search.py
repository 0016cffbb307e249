"""An index of the words of tasks. It is empty: the dispatcher fills it, step by step, while everything runs."""

from __future__ import annotations

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
from django.db import migrations, models

# An entry goes with its task, whichever release deletes that.
GOES_WITH_ITS_TASK = """
ALTER TABLE agentapp_searchentry ADD CONSTRAINT searchentry_task
  FOREIGN KEY (workflow_id) REFERENCES agentapp_workflow (id) ON DELETE CASCADE
"""


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0008_schedules")]

    operations = [
        migrations.CreateModel(
            name="SearchCursor",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("seen", models.TextField()),
                ("until", models.TextField(null=True)),
                ("after_xid", models.TextField(null=True)),
                ("after_task", models.UUIDField(null=True)),
                ("older_than", models.UUIDField(null=True)),
                (
                    "passed_over",
                    django.contrib.postgres.fields.ArrayField(base_field=models.UUIDField(), default=list, size=None),
                ),
            ],
            options={"verbose_name": "search cursor"},
        ),
        migrations.CreateModel(
            name="SearchEntry",
            fields=[
                (
                    "workflow",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="search_entry",
                        serialize=False,
                        to="agentapp.workflow",
                    ),
                ),
                ("words", django.contrib.postgres.search.SearchVectorField()),
            ],
            options={
                "verbose_name_plural": "search entries",
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        fields=["words"], gin_pending_list_limit=1024, name="search_words"
                    )
                ],
            },
        ),
        migrations.RunSQL(GOES_WITH_ITS_TASK, migrations.RunSQL.noop),
    ]
