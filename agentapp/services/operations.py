"""How the platform stands at this moment, for who runs it. [G5]

Each question reads rows that are few by their nature, or stops at a number: the page asks again every few seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet

from agentapp import conf, registry
from agentapp.lifecycle import database
from agentapp.models import Approval, DrillReport, GateChange, Job, Limit, Sample, WebhookEndpoint, Worker, Workflow
from agentapp.models.tenant import DRILL
from agentapp.services import electorates, gates
from agentapp.services.principals import Principal
from agentapp.states import ApprovalState, BreakerState, JobState, KeyMode

# A number that is larger is told as "more than".
MOST_COUNTED = 10_000
MOST_KEYS = 12
MOST_WORKERS = 40
# So many limits are compared; an installation with thousands of tenants may have a gate for each.
_MOST_COMPARED = 500
# A worker that was silent for longer is told of no more.
WORKER_SHOWN = timedelta(minutes=15)
SILENT_HEARTBEATS = 5


@dataclass(frozen=True)
class Queue:
    """What waits for the workers of a class, and what they run. `limit` is None before anything was counted."""

    name: str
    limit: Limit | None
    running: int
    target_s: float
    oldest_s: float
    waiting: int

    @property
    def is_late(self) -> bool:
        return self.oldest_s > self.target_s


@dataclass(frozen=True)
class Stopped:
    """A key that somebody has stopped or whose breaker is open. `waiting` is of the last minute, None: nobody knows."""

    limit: Limit
    waiting: int | None
    error: str


@dataclass(frozen=True)
class Headroom:
    """How much of a limit is used; `share` is 1 where nothing more may run."""

    limit: Limit
    running: int
    share: float


@dataclass(frozen=True)
class Waiting:
    """How many approvals wait, and for how long the oldest of them."""

    count: int
    oldest_s: float


@dataclass(frozen=True)
class Overdue:
    """How many approvals have waited for longer than they should, and since when the oldest waits."""

    count: int
    since: datetime | None


def capped(rows: QuerySet[Any]) -> int:
    """Count rows, but no more than MOST_COUNTED and one."""
    return rows.order_by()[: MOST_COUNTED + 1].count()


def without_drill(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Leave out what belongs to the drill's tenant."""
    return rows.exclude(tenant__slug=DRILL)


def drilled() -> dict[str, int]:
    """How many jobs of a drill that goes on wait for a worker, by queue: the measured depth counts them."""
    going_on = Workflow.objects.filter(tenant__slug=DRILL, finished_at=None).values("pk")
    waiting = Job.objects.filter(workflow__in=going_on, state=JobState.AVAILABLE)
    return dict(waiting.values_list("queue").annotate(Count("pk")).order_by())


def queues(principal: Principal, running: dict[str, int], *, apart: Mapping[str, int]) -> list[Queue]:
    """Every queue that has workers or jobs, the latest against its target first; `running` is that of gates.running,
    `apart` are jobs that wait and are not counted, by queue."""
    known = {limit.name: limit for limit in gates.limits(principal).filter(scope="queue")}
    now = database.now()
    found = []
    for name in {*registry.worker_classes, *known}:
        oldest_at = known[name].oldest_at if name in known else None
        oldest_s = max(0.0, (now - oldest_at).total_seconds()) if oldest_at else 0.0
        target_s = conf.queue_target_s(name)
        waiting = max(0, known[name].waiting - apart.get(name, 0)) if name in known else 0
        found.append(Queue(name, known.get(name), running.get(f"queue:{name}", 0), target_s, oldest_s, waiting))
    return sorted(found, key=lambda queue: (-queue.oldest_s / queue.target_s, queue.name))


def named(principal: Principal, scope: str, names: Sequence[str]) -> dict[str, Limit]:
    """The limits of those keys of a scope that a job has used, by name."""
    return {limit.name: limit for limit in gates.limits(principal).filter(scope=scope, name__in=list(names))}


def stopped(principal: Principal) -> list[Stopped]:
    """What is stopped, with what waits behind it and the last error that its breaker counted."""
    limits = list(gates.stopped(principal).order_by("scope", "name")[:MOST_KEYS])
    keys = [limit.key for limit in limits]
    waiting: dict[str, int | None] = {limit.key: limit.waiting for limit in limits if limit.scope == "queue"}
    newest = Sample.objects.order_by("-pk").values_list("minute", flat=True)[:1]
    waiting |= dict(Sample.objects.filter(minute__in=newest, key__in=keys).values_list("key", "waiting"))
    changes = GateChange.objects.filter(target__in=keys, action="breaker open").order_by("target", "-id")
    errors = dict(changes.distinct("target").values_list("target", "reason")) if keys else {}
    return [
        Stopped(limit, waiting.get(limit.key), errors.get(limit.key, "") if _is_broken(limit) else "")
        for limit in limits
    ]


def _is_broken(limit: Limit) -> bool:
    return limit.breaker != BreakerState.CLOSED


def headroom(principal: Principal, running: dict[str, int]) -> list[Headroom]:
    """The keys whose limit of what runs at once is used most, and those that are slowed down."""
    limits = gates.limits(principal).exclude(scope="queue")
    limited = limits.filter(Q(concurrency__isnull=False) | Q(slowdown__gt=1) | Q(holds=True), mode=KeyMode.OPEN)
    found = []
    for limit in limited[:_MOST_COMPARED]:
        runs = running.get(limit.key, 0)
        share = 0.0 if limit.concurrency is None else runs / limit.concurrency if limit.concurrency else 1.0
        found.append(Headroom(limit, runs, share))
    return sorted(found, key=lambda each: (-each.share, not each.limit.holds, each.limit.key))[:MOST_KEYS]


def workers(principal: Principal) -> tuple[list[Worker], int]:
    """Worker processes that live or fell silent a short while ago, the silent ones first, and how many there are."""
    principal.require(gates.READ)
    rows = Worker.objects.filter(seen_at__gt=database.moment() - WORKER_SHOWN)
    silent_after = timedelta(seconds=max(1.0, conf.heartbeat_s()) * SILENT_HEARTBEATS)
    found = rows.defer("counts").annotate(is_silent=Q(seen_at__lt=database.moment() - silent_after))
    return list(found.order_by("-is_silent", "name")[:MOST_WORKERS]), rows.count()


def waiting(rows: QuerySet[Approval]) -> Waiting:
    """Of approvals that wait for a person."""
    oldest = rows.order_by("created_at").values_list("created_at", flat=True).first()
    if oldest is None:
        return Waiting(0, 0.0)
    return Waiting(capped(rows), max(0.0, (database.now() - oldest).total_seconds()))


def overdue(rows: QuerySet[Approval]) -> Overdue:
    """Of these approvals, those that have waited for longer than AGENTAPP_APPROVAL_TARGET_S, or were escalated."""
    before = database.now() - timedelta(seconds=conf.approval_target_s())
    late = rows.filter(Q(created_at__lt=before) | Q(escalated_at__isnull=False), state=ApprovalState.PENDING)
    oldest = late.order_by("created_at").values_list("created_at", flat=True).first()
    return Overdue(capped(late) if oldest else 0, oldest)


def undecidable(rows: QuerySet[Approval]) -> int:
    """How many of these approvals nobody can decide; of those that policies ask, the oldest are looked at."""
    read = rows.filter(policy__isnull=False).select_related("workflow").order_by("created_at")
    asked = read.defer("content", "draft", "sources", "evaluation", "workflow__input", "workflow__result")
    return sum(1 for why in electorates.undecidable(list(asked[:_MOST_COMPARED])).values() if why)


def failing(rows: QuerySet[WebhookEndpoint]) -> QuerySet[WebhookEndpoint]:
    return rows.filter(Q(failing_since__isnull=False) | ~Q(disabled_reason=""))


def failing_webhooks(rows: QuerySet[WebhookEndpoint]) -> list[WebhookEndpoint]:
    """Of these addresses, those that nothing arrives at, and those that were disabled for that."""
    return list(failing(rows).select_related("tenant").order_by("failing_since")[:MOST_KEYS])


def last_drill() -> DrillReport | None:
    return DrillReport.objects.order_by("-id").first()
