"""Approvals that wait are reminded of, and escalated to more groups. Each once. [G2]"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from agentapp.lifecycle import database
from agentapp.lifecycle.looks import Look
from agentapp.models import Approval
from agentapp.states import ApprovalState


def _reminders(moment: datetime | Now) -> QuerySet[Approval]:
    return Approval.objects.filter(state=ApprovalState.PENDING, remind_at__lte=moment).order_by("remind_at")


def _escalations(moment: datetime | Now) -> QuerySet[Approval]:
    return Approval.objects.filter(state=ApprovalState.PENDING, escalate_at__lte=moment).order_by("escalate_at")


LOOKS = (Look(_escalations), Look(_reminders))


def due(*, limit: int = 200, but_not: Sequence[UUID | str] = ()) -> list[Approval]:
    """Return the approvals of which somebody should be reminded, or that should be escalated, by now."""
    if not any(look.finds_any() for look in LOOKS):
        return []
    moment = database.moment()
    found = [
        approval
        for rows in (_escalations(moment), _reminders(moment))
        for approval in rows.exclude(pk__in=but_not).only("pk", "workflow_id")[:limit]
    ]
    return list({approval.pk: approval for approval in found}.values())


def remind(approval: Approval, *, actor: str) -> str | None:
    """Remind of an approval or escalate it: return `reminded` or `escalated`; None when neither is due any more."""
    answer = database.call("remind", workflow=approval.workflow_id, approval=approval.pk, actor=actor)
    return str(answer["said"]) if answer["status"] == "ok" else None
