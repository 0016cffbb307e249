"""Policies of approvals and votes, which moves read, and the set of state moves `moves_0006`. `moves_0004` goes, which
nothing calls that may still run."""

from pathlib import Path

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

HERE = Path(__file__).resolve().parent
MOVES = HERE / "moves_0006.sql"
# Processes of the release before call `moves_0005`: it stays.
REMOVED = [HERE / "moves_0004.sql"]
# A vote goes with its approval, whichever release deletes that.
GOES_WITH_ITS_APPROVAL = """
ALTER TABLE agentapp_approvalvote ADD CONSTRAINT approval_vote_approval
  FOREIGN KEY (approval_id) REFERENCES agentapp_approval (id) ON DELETE CASCADE
"""


class Migration(migrations.Migration):
    dependencies = [
        ("agentapp", "0019_tool_servers"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="approval",
            name="priority",
            field=models.SmallIntegerField(
                choices=[(0, "urgent"), (1, "high"), (2, "normal"), (3, "low")],
                db_default=2,
                help_text="of its task when it asked",
            ),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(
                models.Case(
                    models.When(risk="high", then=0),
                    models.When(risk="medium", then=1),
                    default=2,
                    output_field=models.SmallIntegerField(),
                ),
                models.F("priority"),
                models.F("created_at"),
                condition=models.Q(state="pending"),
                name="approval_order",
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="claimed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="approval",
            name="claimed_by_key",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=models.deletion.SET_NULL,
                related_name="+",
                to="agentapp.apikey",
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="claimed_by_user",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="claimed_until",
            field=models.DateTimeField(blank=True, help_text="when the claim lapses", null=True),
        ),
        migrations.AddField(
            model_name="approval",
            name="snoozed_until",
            field=models.DateTimeField(blank=True, help_text="lists do not show it before", null=True),
        ),
        migrations.AddField(
            model_name="approval",
            name="held_until",
            field=models.DateTimeField(
                blank=True, help_text="what it approved is not sent before this moment", null=True
            ),
        ),
        migrations.CreateModel(
            name="ApprovalPolicy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
                (
                    "kind",
                    models.CharField(
                        blank=True, help_text="a workflow kind, or a pattern such as support_*", max_length=100
                    ),
                ),
                (
                    "content_kind",
                    models.CharField(
                        blank=True,
                        choices=[("mail", "Mail"), ("tool_arguments", "Tool Arguments"), ("budget", "Budget")],
                        max_length=20,
                    ),
                ),
                (
                    "approvers",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=150),
                        blank=True,
                        default=list,
                        help_text="names of groups",
                        size=None,
                    ),
                ),
                ("four_eyes", models.BooleanField(default=False)),
                (
                    "quorum",
                    models.SmallIntegerField(default=1, help_text="how many people must approve the same content"),
                ),
                ("deadline_s", models.IntegerField(blank=True, null=True)),
                (
                    "on_expiry",
                    models.CharField(
                        choices=[("expire", "Expire"), ("reject", "Reject")], default="expire", max_length=10
                    ),
                ),
                ("remind_after_s", models.IntegerField(blank=True, null=True)),
                ("escalate_after_s", models.IntegerField(blank=True, null=True)),
                (
                    "escalate_to",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=150),
                        blank=True,
                        default=list,
                        help_text="names of groups",
                        size=None,
                    ),
                ),
                ("may_change_recipient", models.BooleanField(default=False)),
                (
                    "sample_percent",
                    models.SmallIntegerField(default=100, help_text="of mails of low risk: how many a person sees"),
                ),
                ("note", models.CharField(blank=True, help_text="why it is so", max_length=300)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={
                "verbose_name_plural": "approval policies",
            },
        ),
        migrations.CreateModel(
            name="ApprovalVote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("revision", models.IntegerField()),
                (
                    "decision",
                    models.CharField(
                        choices=[
                            ("approved", "Approved"),
                            ("edited", "Edited"),
                            ("changes_requested", "Changes Requested"),
                            ("rejected", "Rejected"),
                        ],
                        max_length=20,
                    ),
                ),
                ("content_sha256", models.CharField(max_length=64)),
                ("has_edited", models.BooleanField(default=False)),
                ("reason", models.TextField(blank=True)),
                ("at", models.DateTimeField()),
            ],
        ),
        migrations.AddField(
            model_name="approval",
            name="escalate_at",
            field=models.DateTimeField(blank=True, help_text="null: never, or it was", null=True),
        ),
        migrations.AddField(
            model_name="approval",
            name="escalated_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="approval",
            name="policy",
            field=models.JSONField(blank=True, help_text="the policy that asked; null: none", null=True),
        ),
        migrations.AddField(
            model_name="approval",
            name="remind_at",
            field=models.DateTimeField(blank=True, help_text="null: never, or it was", null=True),
        ),
        migrations.AddField(
            model_name="approval",
            name="revision",
            field=models.IntegerField(db_default=0, help_text="how often people have edited it"),
        ),
        migrations.AddField(
            model_name="approval",
            name="votes_missing",
            field=models.SmallIntegerField(db_default=0, help_text="how many people must still approve it"),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "approved"), _negated=True), ("votes_missing", 0), _connector="OR"
                ),
                name="approval_has_its_votes",
            ),
        ),
        migrations.AddField(
            model_name="approvalpolicy",
            name="tenant",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="agentapp.tenant",
            ),
        ),
        migrations.AddField(
            model_name="approvalvote",
            name="api_key",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="agentapp.apikey",
            ),
        ),
        migrations.AddField(
            model_name="approvalvote",
            name="approval",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="votes",
                to="agentapp.approval",
            ),
        ),
        migrations.AddField(
            model_name="approvalvote",
            name="user",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddConstraint(
            model_name="approvalpolicy",
            constraint=models.UniqueConstraint(
                fields=("tenant", "kind", "content_kind"), name="approval_policy_once", nulls_distinct=False
            ),
        ),
        migrations.AddConstraint(
            model_name="approvalvote",
            constraint=models.UniqueConstraint(
                fields=("approval", "revision", "user", "api_key"), name="approval_vote_once", nulls_distinct=False
            ),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(
                condition=models.Q(("remind_at__isnull", False), ("state", "pending")),
                fields=["remind_at"],
                name="approval_remind",
            ),
        ),
        migrations.AddIndex(
            model_name="approval",
            index=models.Index(
                condition=models.Q(("escalate_at__isnull", False), ("state", "pending")),
                fields=["escalate_at"],
                name="approval_escalate",
            ),
        ),
        migrations.AddField(
            model_name="membership",
            name="role",
            field=models.CharField(
                blank=True,
                choices=[
                    ("viewer", "viewer"),
                    ("agent", "agent"),
                    ("operator", "operator"),
                    ("administrator", "administrator"),
                ],
                db_default="",
                default="",
                help_text="Empty: what the person's permissions and groups in Django say, as before there were roles.",
                max_length=20,
            ),
        ),
        migrations.RunSQL(GOES_WITH_ITS_APPROVAL, migrations.RunSQL.noop),
        migrations.RunSQL(MOVES.read_text(), "DROP SCHEMA moves_0006 CASCADE"),
        *(migrations.RunSQL(f"DROP SCHEMA IF EXISTS {path.stem} CASCADE", path.read_text()) for path in REMOVED),
    ]
