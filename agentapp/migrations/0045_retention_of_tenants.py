"""Rules of retention of one tenant, legal holds on customers and labels, and how many tasks retention deleted by day."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0044_request_counts"),
    ]

    operations = [
        migrations.CreateModel(
            name="PrunedTasks",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("kind", models.CharField(max_length=100)),
                ("state", models.CharField(max_length=20)),
                ("tasks", models.IntegerField()),
                ("last_at", models.DateTimeField()),
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
        ),
        migrations.RemoveConstraint(
            model_name="legalhold",
            name="legal_hold_once",
        ),
        migrations.AddField(
            model_name="legalhold",
            name="customer",
            field=models.CharField(
                blank=True, db_default="", default="", help_text="as memories name them", max_length=320
            ),
        ),
        migrations.AddField(
            model_name="legalhold",
            name="label_name",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AddField(
            model_name="legalhold",
            name="label_value",
            field=models.CharField(blank=True, db_default="", default="", max_length=100),
        ),
        migrations.AddField(
            model_name="retentionrule",
            name="tenant",
            field=models.ForeignKey(
                blank=True,
                help_text="empty: all tenants",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="agentapp.tenant",
            ),
        ),
        migrations.AlterField(
            model_name="legalhold",
            name="workflow",
            field=models.ForeignKey(
                blank=True,
                db_constraint=False,
                help_text="empty: not one task",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="agentapp.workflow",
            ),
        ),
        migrations.AlterField(
            model_name="retentionrule",
            name="kind",
            field=models.CharField(
                help_text="a workflow kind; of a tenant's rule with its number before it", max_length=100
            ),
        ),
        migrations.AddConstraint(
            model_name="legalhold",
            constraint=models.UniqueConstraint(
                fields=("tenant", "workflow", "customer", "label_name", "label_value"),
                name="legal_hold_of_each_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="prunedtasks",
            constraint=models.UniqueConstraint(fields=("day", "tenant", "kind", "state"), name="pruned_tasks_once"),
        ),
    ]
