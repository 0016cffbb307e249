"""A person's decision on frozen content."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from agentapp.ids import uuid7
from agentapp.models.job import Job
from agentapp.models.stage import Stage
from agentapp.models.tenant import ApiKey, Tenant
from agentapp.models.workflow import PRIORITIES, RISKS, Workflow
from agentapp.states import ApprovalState

# Who reads by risk begins with the highest.
RISK_RANK = models.Case(
    models.When(risk="high", then=0), models.When(risk="medium", then=1), default=2,
    output_field=models.SmallIntegerField(),
)  # fmt: skip


class Approval(models.Model):
    """What would leave the platform, byte for byte, and what was decided about it.

    `content_sha256` is the hash of the canonical JSON of `content`; `approved_sha256` is what the decision bound.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, related_name="approvals")
    # No database constraint, as in Job.
    stage = models.ForeignKey(
        Stage, on_delete=models.CASCADE, related_name="approvals", db_index=False, db_constraint=False
    )
    # What a body has asked by ctx.ask; none: the plan asks, and `stage` is its decision.
    job = models.ForeignKey(
        Job, on_delete=models.CASCADE, null=True, blank=True, related_name="questions", db_index=False,
        db_constraint=False, help_text="the job that asked and waits; empty: the plan asked",
    )  # fmt: skip
    ask_key = models.CharField(max_length=100, blank=True, db_default="", help_text="which question of its job")
    asked_sha256 = models.CharField(
        max_length=64, blank=True, db_default="", help_text="of the content as its job asked, before any edit"
    )
    asked_replay = models.SmallIntegerField(db_default=0, help_text="how often its job had been replayed")
    summary = models.CharField(max_length=300, blank=True, db_default="", help_text="what its job asks, in a sentence")
    answered_at = models.DateTimeField(
        null=True, blank=True, help_text="when its job was made available to read what was decided"
    )
    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="+", db_index=False)
    state = models.CharField(max_length=20, choices=ApprovalState, default=ApprovalState.PENDING)
    content = models.JSONField(help_text='{"to", "subject", "body"}')
    content_sha256 = models.CharField(max_length=64)
    draft = models.JSONField(help_text="the content as it was requested, before any edit")
    sources = models.JSONField(default=list)
    evaluation = models.JSONField(null=True, blank=True)
    risk = models.CharField(max_length=10, choices=RISKS, default="low")
    priority = models.SmallIntegerField(choices=PRIORITIES, db_default=2, help_text="of its task when it asked")
    approved_sha256 = models.CharField(max_length=64, blank=True)
    decided_by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    decided_by_key = models.ForeignKey(
        ApiKey, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    claimed_by_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    claimed_by_key = models.ForeignKey(
        ApiKey, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    claimed_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True, help_text="when the claim lapses")
    snoozed_until = models.DateTimeField(null=True, blank=True, help_text="lists do not show it before")
    held_until = models.DateTimeField(
        null=True, blank=True, help_text="what it approved is not sent before this moment"
    )
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    # As it was when it asked: a policy that is changed later changes no question that waits.
    policy = models.JSONField(null=True, blank=True, help_text="the policy that asked; null: none")
    revision = models.IntegerField(db_default=0, help_text="how often people have edited it")
    votes_missing = models.SmallIntegerField(db_default=0, help_text="how many people must still approve it")
    remind_at = models.DateTimeField(null=True, blank=True, help_text="null: never, or it was")
    escalate_at = models.DateTimeField(null=True, blank=True, help_text="null: never, or it was")
    escalated_at = models.DateTimeField(null=True, blank=True)
    refreshed_by = models.UUIDField(
        null=True, blank=True, help_text="the task that asked for changes, because sources had changed"
    )
    mail_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="since when those who may decide are to be told by mail; null: not, or they were",
    )

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(state__in=ApprovalState.values), name="approval_state_known"),
            # The release before knows of no votes, and decides alone: its decision fails.
            models.CheckConstraint(
                condition=~models.Q(state="approved") | models.Q(votes_missing=0), name="approval_has_its_votes"
            ),
            # The release before knows of no questions of jobs, and would go on behind the stage, fail the task, or put
            # what it withdraws before the next stage: it cannot end one, but with its task, nor open one again.
            models.CheckConstraint(
                condition=models.Q(job=None)
                | models.Q(state__in=("pending", "cancelled"))
                | models.Q(state="reopened", answered_at=None)
                | ~models.Q(state="reopened") & models.Q(answered_at__isnull=False),
                name="approval_answers_its_job",
            ),
            # One open question per decision, and per job.
            models.UniqueConstraint(
                fields=("stage", "job"),
                condition=models.Q(state="pending"),
                name="approval_one_open",
                nulls_distinct=False,
            ),
        )
        indexes = (
            # The inbox.
            models.Index(fields=("tenant", "id"), condition=models.Q(state="pending"), name="approval_inbox"),
            # The list, in the order in which people work: risk, priority, age.
            models.Index(
                RISK_RANK, "priority", "created_at", condition=models.Q(state="pending"), name="approval_order"
            ),
            # Timekeeper: what nobody decided in time.
            models.Index(fields=("expires_at",), condition=models.Q(state="pending"), name="approval_expiry"),
            # Timekeeper: of what people are reminded, and what more groups may decide.
            models.Index(
                fields=("remind_at",),
                condition=models.Q(state="pending", remind_at__isnull=False),
                name="approval_remind",
            ),
            models.Index(
                fields=("escalate_at",),
                condition=models.Q(state="pending", escalate_at__isnull=False),
                name="approval_escalate",
            ),
            # Who may decide is told by mail.
            models.Index(
                fields=("mail_at",), condition=models.Q(state="pending", mail_at__isnull=False), name="approval_mail"
            ),
            # A body reads what was decided about its questions.
            models.Index(fields=("job", "id"), condition=models.Q(job__isnull=False), name="approval_of_job"),
            # The source "approved_replies" reads what was approved, newest first.
            models.Index(fields=("tenant", "-id"), condition=models.Q(state="approved"), name="approval_approved"),
        )

    def __str__(self) -> str:
        return f"approval {self.id}"
