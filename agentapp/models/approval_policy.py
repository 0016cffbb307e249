"""Who decides about which approvals, and how: rows that people edit; and what each person has said of one."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from agentapp.models.approval import Approval
from agentapp.models.tenant import ApiKey, Tenant


class VoteDecision(models.TextChoices):
    """What a person has said of an approval; edited: without approving what they wrote."""

    APPROVED = "approved"
    EDITED = "edited"
    CHANGES_REQUESTED = "changes_requested"
    REJECTED = "rejected"


class ContentKind(models.TextChoices):
    """What an approval is about."""

    MAIL = "mail"
    TOOL_ARGUMENTS = "tool_arguments"
    BUDGET = "budget"


class ExpiryAction(models.TextChoices):
    """What becomes of an approval that nobody decided in time. None of these approves it."""

    EXPIRE = "expire"
    REJECT = "reject"


class ApprovalPolicy(models.Model):
    """The rules of approvals of one tenant or all, of one workflow kind or several, of one kind of content or all.

    The most specific row that fits holds: one of the tenant before one for all tenants, then one that names the kind
    before a pattern (the longer one first) before one for all kinds, then one that names the kind of content; of two
    that are equal in all this, the older one. An approval keeps a copy of the policy that asked.
    """

    name = models.CharField(max_length=100)
    tenant = models.ForeignKey(
        Tenant, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False
    )
    kind = models.CharField(max_length=100, blank=True, help_text="a workflow kind, or a pattern such as support_*")
    content_kind = models.CharField(max_length=20, blank=True, choices=ContentKind)
    approvers = ArrayField(models.CharField(max_length=150), default=list, blank=True, help_text="names of groups")
    four_eyes = models.BooleanField(default=False)
    quorum = models.SmallIntegerField(default=1, help_text="how many people must approve the same content")
    deadline_s = models.IntegerField(null=True, blank=True)
    on_expiry = models.CharField(max_length=10, choices=ExpiryAction, default=ExpiryAction.EXPIRE)
    remind_after_s = models.IntegerField(null=True, blank=True)
    escalate_after_s = models.IntegerField(null=True, blank=True)
    escalate_to = ArrayField(models.CharField(max_length=150), default=list, blank=True, help_text="names of groups")
    may_change_recipient = models.BooleanField(default=False)
    mails_approvers = models.BooleanField(
        default=False, db_default=False, help_text="those who may decide are told by mail"
    )
    sample_percent = models.SmallIntegerField(default=100, help_text="of mails of low risk: how many a person sees")
    note = models.CharField(max_length=300, blank=True, help_text="why it is so")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "approval policies"
        constraints = (
            models.UniqueConstraint(
                fields=("tenant", "kind", "content_kind"), name="approval_policy_once", nulls_distinct=False
            ),
        )

    def __str__(self) -> str:
        return self.name


class Delegation(models.Model):
    """Until a moment another member of the tenant may decide what this person may: by the person's groups, and as
    themselves. It ends by itself, and with the membership or the account of either."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", help_text="who is away"
    )
    delegate = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", help_text="who decides in their place"
    )
    until = models.DateTimeField()
    created_at = models.DateTimeField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=("tenant", "user"), name="delegation_once"),)

    def __str__(self) -> str:
        return f"{self.delegate} for {self.user}"


class ApprovalVote(models.Model):
    """What one person, or one key, has said of one revision of an approval. An edit makes the next revision.

    `has_edited`: this revision is theirs.
    """

    # Its constraint, which deletes it with its approval, is one of the database: the release before deletes approvals
    # without knowing of votes.
    approval = models.ForeignKey(
        Approval, on_delete=models.CASCADE, related_name="votes", db_index=False, db_constraint=False
    )
    revision = models.IntegerField()
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    for_user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False,
        db_constraint=False, help_text="in whose place the person decided",
    )  # fmt: skip
    api_key = models.ForeignKey(
        ApiKey, on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    decision = models.CharField(max_length=20, choices=VoteDecision)
    content_sha256 = models.CharField(max_length=64)
    has_edited = models.BooleanField(default=False)
    reason = models.TextField(blank=True)
    at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("approval", "revision", "user", "api_key"), name="approval_vote_once", nulls_distinct=False
            ),
        )

    @property
    def authority(self) -> tuple[int | None, int | None]:
        """Whose vote it is: who decides in the place of another is one with them."""
        return self.for_user_id or self.user_id, self.api_key_id

    def __str__(self) -> str:
        return f"{self.decision} by {self.user or self.api_key or 'a rule'}"
