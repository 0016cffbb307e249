"""What a run has spent so far, as it is stored."""

from __future__ import annotations

from decimal import Decimal

from django.db.models import Count, F, Q, Sum

from agentapp import clock
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Approval, ModelCall, Workflow
from agentapp.policies.budgets import Spent, together


def of_run(job: Claimed, *, turns: int) -> Spent:
    """Return what the task of a job has spent; the time in which people decided does not count."""
    calls = ModelCall.objects.filter(workflow_id=job.workflow_id)
    sums = calls.aggregate(
        tokens=Sum(F("prompt_tokens") + F("completion_tokens")), cost_usd=Sum("cost_usd"),
        unpriced=Count("id", filter=Q(is_priced=False, error_class="")),
    )  # fmt: skip
    began = Workflow.objects.values_list("started_at", flat=True).get(pk=job.workflow_id)
    decided = Approval.objects.filter(workflow_id=job.workflow_id, decided_at__isnull=False)
    waited = together((start, end) for start, end in decided.values_list("created_at", "decided_at") if end)
    took_s = (clock.now() - began - waited).total_seconds() if began else 0
    return Spent(
        turns, sums["tokens"] or 0, sums["cost_usd"] or Decimal(0), Decimal(str(max(0.0, took_s))), sums["unpriced"]
    )
