"""What webhooks look for, in order; and a gate, so that one receiver that does not answer does not hold every slot."""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

# The deliveries to one host, or to the few hosts that share its name here.
GATE = {"scope": "tool", "pattern": "webhook-*", "tier": ""}
SLOTS = 4
NOTE = "Deliveries of webhooks that run at once to one receiving host."


def add_gate(apps: Any, editor: Any) -> None:
    apps.get_model("agentapp", "Gate").objects.get_or_create(**GATE, defaults={"concurrency": SLOTS, "note": NOTE})


class Migration(migrations.Migration):
    dependencies = [("agentapp", "0004_intake")]

    operations = [
        migrations.RemoveIndex(model_name="webhookevent", name="webhook_event_fresh"),
        migrations.AlterField(
            model_name="webhookdelivery",
            name="endpoint",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="agentapp.webhookendpoint",
            ),
        ),
        migrations.AlterField(
            model_name="webhookdelivery",
            name="tenant",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="agentapp.tenant"
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(fields=["endpoint", "-id"], name="webhook_delivery_list"),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(fields=["tenant", "-id"], name="webhook_delivery_tenant"),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(
                condition=models.Q(("spread_at", None)), fields=["tenant", "created_at"], name="webhook_event_fresh"
            ),
        ),
        migrations.AddIndex(
            model_name="webhookevent",
            index=models.Index(fields=["workflow_id"], name="webhook_event_task"),
        ),
        migrations.RunPython(add_gate, migrations.RunPython.noop, elidable=False),
    ]
