"""Roles are held in a tenant. A person whose permissions are exactly those of a role gets it in each of their tenants;
all others keep what Django's permissions say, which an empty role stands for. The groups stay: the release before, which
may still run, reads them."""

from collections import defaultdict
from typing import Any

from django.db import migrations, models

AGENT = {"change_approval"}
OPERATOR = AGENT | {
    "change_document", "change_job", "change_memory", "change_schedule", "change_webhookendpoint", "change_workflow",
}  # fmt: skip
ROLES = {"viewer": set(), "agent": AGENT, "operator": OPERATOR}
LABEL = "content_type__app_label"


def give_roles(apps: Any, schema_editor: Any) -> None:
    membership = apps.get_model("agentapp", "Membership")
    permissions = apps.get_model("auth", "Permission").objects
    held: dict[int, set[str]] = defaultdict(set)
    # What is given to a person, and what to a group of theirs.
    for by in ("user", "group__user"):
        for person, label, codename in permissions.exclude(**{by: None}).values_list(by, LABEL, "codename"):
            held[person].add(codename if label == "agentapp" else f"{label}.{codename}")
    people = membership.objects.filter(role="", user__is_superuser=False).values_list("user_id", flat=True).distinct()
    by_role: dict[str, list[int]] = defaultdict(list)
    for person in people:
        for role, codenames in ROLES.items():
            if held[person] == codenames:
                by_role[role].append(person)
    for role, persons in by_role.items():
        membership.objects.filter(role="", user_id__in=persons).update(role=role)


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0024_finer_days"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="sees_payloads",
            field=models.BooleanField(
                db_default=True, default=True, help_text="May read prompts, responses, inputs and outputs."
            ),
        ),
        migrations.RunPython(give_roles, migrations.RunPython.noop),
    ]
