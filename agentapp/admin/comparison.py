"""Two runs side by side: their stages, what they put out, what they cost. A fork and its origin, or any two tasks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from agentapp import clock
from agentapp.admin import cells, masking, prose_diff
from agentapp.admin.base import principal_of
from agentapp.admin.prose_diff import Piece
from agentapp.errors import NotFound, PermissionDenied
from agentapp.ids import parsed
from agentapp.models import Job, ModelCall, Stage, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal

# What is compared is bounded: jobs that are read, outputs that are compared word by word, and their length.
MOST_JOBS, MOST_DIFFS, MOST_CHARACTERS = 500, 20, 4_000


@dataclass
class Part:
    """What one run did in one stage."""

    states: set[str] = field(default_factory=set)
    jobs: int = 0
    attempts: int = 0
    ran: timedelta = timedelta()
    cost_usd: Decimal = Decimal()
    outputs: list[Any] = field(default_factory=list)

    @property
    def badges(self) -> list[SafeString]:
        return [cells.badge(state) for state in sorted(self.states)]

    @property
    def took(self) -> str:
        return cells.duration(self.ran.total_seconds())

    @property
    def text(self) -> str:
        known = [each for each in self.outputs if each is not None]
        return cells.pretty(known[0] if len(known) == 1 else known) if known else ""


@dataclass(frozen=True)
class Row:
    """A stage in both runs; `pieces` is the difference of what they put out, where there is one."""

    name: str
    before: Part | None
    after: Part | None
    is_same: bool
    pieces: list[Piece]


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """`?before=` and `?after=` name the tasks."""
    principal = principal_of(request)
    asked = {name: request.GET.get(name, "").strip() for name in ("before", "after")}
    tasks = [_task(principal, asked[name]) for name in ("before", "after")]
    context: dict[str, Any] = {"title": "Compare two tasks", "asked": asked}
    if tasks[0] is not None and tasks[1] is not None:
        context |= _both(principal, tasks[0], tasks[1])
    elif any(asked.values()):
        context["problem"] = "Give the ids of two tasks that you may see."
    status = 404 if context.get("problem") else 200
    whole = admin.site.each_context(request) | context
    return TemplateResponse(request, "agentapp/comparison.html", whole, status=status)


page = admin.site.admin_view(compare)


def _task(principal: Principal, text: str) -> Workflow | None:
    task_id = parsed(text)
    try:
        task = workflows.get(principal, task_id) if task_id else None
    except (NotFound, PermissionDenied):
        return None
    return task if task and "tasks:read" in principal.scopes_in(task.tenant_id) else None


def _both(principal: Principal, before: Workflow, after: Workflow) -> dict[str, Any]:
    is_masked = any(masking.hides(principal, task.tenant_id) for task in (before, after))
    rows = _rows(before, after, is_masked=is_masked)
    texts = [] if is_masked else [
        (name, _diff(cells.pretty(getattr(before, name)), cells.pretty(getattr(after, name))))
        for name in ("input", "result") if getattr(before, name) != getattr(after, name)
    ]  # fmt: skip
    return {
        "before": before, "after": after, "facts": _facts(before, after), "rows": rows, "texts": texts,
        "is_masked": is_masked, "is_fork": after.forked_from == before.pk, "more": _is_cut(before) or _is_cut(after),
    }  # fmt: skip


def _facts(before: Workflow, after: Workflow) -> list[tuple[str, Any, Any]]:
    def of(task: Workflow) -> dict[str, Any]:
        took = ((task.finished_at or clock.now()) - task.created_at).total_seconds()
        lasted = cells.duration(took) if task.finished_at else f"open for {cells.duration(took)}"
        return {
            "State": cells.badge(task.state), "Kind": f"{task.kind} v{task.version}", "Tenant": str(task.tenant),
            "Submitted": cells.when(task.created_at), "Time": lasted,
            "Jobs done": f"{task.jobs_done} of {task.jobs_total}", "Tokens": f"{task.tokens:,}",
            "Cost": cells.cost(task.cost_usd, task.unpriced_calls),
        }  # fmt: skip

    one, other = of(before), of(after)
    return [(name, value, other[name]) for name, value in one.items()]


def _is_cut(task: Workflow) -> bool:
    return task.jobs_total > MOST_JOBS


def _rows(before: Workflow, after: Workflow, *, is_masked: bool) -> list[Row]:
    one, other = _parts(before), _parts(after)
    rows: list[Row] = []
    for name in dict.fromkeys([*one, *other]):
        mine, theirs = one.get(name), other.get(name)
        texts = [part.text if part else "" for part in (mine, theirs)]
        is_same = texts[0] == texts[1]
        compared = sum(bool(row.pieces) for row in rows)
        shows = not (is_masked or is_same or mine is None or theirs is None or compared == MOST_DIFFS)
        rows.append(Row(name, mine, theirs, is_same, _diff(*texts) if shows else []))
    return rows


def _parts(task: Workflow) -> dict[str, Part]:
    """What a run did, by stage, in the order of its plan. Three statements."""
    costs = dict(
        ModelCall.objects.filter(workflow_id=task.pk, tenant=task.tenant_id)
        .values_list("job_id").annotate(cost=Sum("cost_usd")).order_by()
    )  # fmt: skip
    names = {stage.pk: stage.title for stage in Stage.objects.filter(workflow=task).order_by("position")}
    found: dict[str, Part] = defaultdict(Part)
    jobs = Job.objects.filter(workflow=task).order_by("stage__position", "part", "id")
    shown = jobs.only("stage_id", "state", "attempt", "started_at", "finished_at", "output")
    for job in shown[:MOST_JOBS]:
        part = found[names.get(job.stage_id, "-")]
        part.states.add(job.state)
        part.jobs += 1
        part.attempts += job.attempt
        part.cost_usd += costs.get(job.pk) or 0
        part.outputs.append(job.output)
        if job.started_at and job.finished_at:
            part.ran += max(job.finished_at - job.started_at, timedelta())
    return found


def _diff(before: str, after: str) -> list[Piece]:
    return prose_diff.compare(before[:MOST_CHARACTERS], after[:MOST_CHARACTERS])
