"""Tasks that have been over for long enough are forgotten, with all that belongs to them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.core.files.storage import Storage
from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from agentapp.lifecycle import database, held, holds
from agentapp.models import Artifact, Document, Job, Workflow
from agentapp.models.artifact import artifact_storage
from agentapp.states import WorkflowState

# A transaction deletes what about so many jobs left behind: a few hundredths of a second.
MOST_JOBS = 1_000
# How many batches of tasks are looked through for those that no hold keeps.
LOOKED_THROUGH = 5
# The dispatcher has more urgent duties, and the store of artifacts may be far away.
FILES_S = 0.5

# Nothing refers to a row that is gone. Attempts and history have no constraint that would delete them.
STEPS = (
    "DELETE FROM agentapp_attempt a USING agentapp_job j WHERE j.id = a.job_id AND j.workflow_id = ANY(%s)",
    "DELETE FROM agentapp_job WHERE workflow_id = ANY(%s)",
    "DELETE FROM agentapp_approval WHERE workflow_id = ANY(%s)",
    "DELETE FROM agentapp_stage WHERE workflow_id = ANY(%s)",
    "DELETE FROM agentapp_history WHERE workflow_id = ANY(%s)",
    "DELETE FROM agentapp_modelcall WHERE workflow_id = ANY(%s)",
    "DELETE FROM agentapp_message WHERE workflow_id = ANY(%s)",
    "DELETE FROM agentapp_reply WHERE workflow_id = ANY(%s)",
)

_ALL = Q()
_DELETE = "DELETE FROM agentapp_workflow WHERE id = ANY(%(tasks)s)"
_COUNT = """
WITH gone AS (DELETE FROM agentapp_workflow WHERE id = ANY(%(tasks)s) RETURNING tenant_id, kind, state)
INSERT INTO agentapp_prunedtasks AS p (tenant_id, day, kind, state, tasks, last_at)
SELECT tenant_id, (%(now)s AT TIME ZONE 'UTC')::date, kind, state, count(*), %(now)s FROM gone GROUP BY 1, 3, 4
ON CONFLICT (tenant_id, day, kind, state) DO UPDATE
   SET tasks = p.tasks + excluded.tasks, last_at = greatest(p.last_at, excluded.last_at)"""


@dataclass
class Passed:
    """The last task, and when it ended, up to which holds keep all that is due: the next look goes on behind it. None:
    it begins with the first."""

    last: tuple[UUID, Any] | None = None
    # How many tasks are asked for at once since a look was cut off; at 0 the next one is left out.
    at_once: int | None = None


def tasks(due: QuerySet[Workflow], *, limit: int, by: str = "finished_at", passed: Passed | None = None) -> int:
    """Forget up to `limit` of these tasks, in the order of `by`, and return how many went. They are counted by tenant,
    kind and day.

    A task that another was forked from stays as long as the fork, which reads its artifacts, and so does one whose
    conversation went on, or that a legal hold keeps. The ledger of effects stays: a key that was used once is used
    forever. A call skips a limited number of tasks that holds keep; the next call with the same
    `passed` goes on behind them.

    Raises:
        OSError: the store of artifacts does not answer. Rows and files that are left go at the next call.
    """
    # A whole tenant at once: not by asking of each of its tasks.
    due = due.exclude(tenant_id__in=holds.held_tenants())
    chosen = _chosen(due, limit=limit, by=by, passed=passed or Passed())
    return forget(due.filter(pk__in=chosen).order_by(by), limit=limit, is_counted=True)


def due(state: WorkflowState, *, older_than_days: int, only: Q = _ALL) -> QuerySet[Workflow]:
    """The tasks that entered this final state longer ago than that, `only` those that fit, and that nothing needs."""
    over = Workflow.objects.filter(state=state, finished_at__lt=database.moment() - timedelta(days=older_than_days))
    return _free(over.filter(only))


def forget(tasks: QuerySet[Workflow], *, limit: int, is_counted: bool = False) -> int:
    """Forget up to `limit` of tasks that are over, in order; return how many went. `is_counted`: as PrunedTasks. What a
    hold keeps stays.

    First the steps go, so that nothing can be forked from it any more; then its files, each before its row; then
    itself. A crash in between leaves a task that the next call finds again and finishes. Raises as `tasks` does.
    """
    chosen = _forget_steps(tasks, limit=limit)
    _forget_files(chosen)
    return _forget_tasks(chosen, is_counted=is_counted)


def uploads(*, older_than: timedelta, limit: int) -> int:
    """Delete files that were uploaded so long ago and are no longer, or were never, those of a document; return how
    many went. A document that is deleted deletes its own, where the store answers.

    Raises:
        OSError: the store of artifacts does not answer.
    """
    owners = Document.objects.filter(upload_id=OuterRef("pk"))
    rows = Artifact.objects.filter(~Exists(owners), workflow=None, created_at__lt=database.moment() - older_than)
    return forget_files(rows.exclude(tenant_id__in=holds.held_tenants()).order_by("created_at")[:limit])


def forget_files(artifacts: QuerySet[Artifact]) -> int:
    """Delete these files, each before its row; return how many went. Raises as `uploads` does."""
    gone: list[UUID] = []
    try:
        for artifact in artifacts.only("file"):
            artifact_storage().delete(str(artifact.file.name))
            gone.append(artifact.pk)
    finally:
        with database.atomic():
            Artifact.objects.filter(pk__in=gone).delete()
    return len(gone)


def _free(over: QuerySet[Workflow]) -> QuerySet[Workflow]:
    """Leave out what is still needed: by a fork, a follow-up, or a clean-up that nobody has done yet."""
    forks = Workflow.objects.filter(forked_from=OuterRef("pk"))
    follow_ups = Workflow.objects.filter(continues=OuterRef("pk"))
    clean_ups = Job.objects.filter(workflow=OuterRef("pk"), clean_up_at__isnull=False)
    # A part whose task still waits would be run once more.
    parents = Workflow.objects.filter(pk=OuterRef("parent"), finished_at=None)
    return over.filter(~Exists(forks), ~Exists(follow_ups), ~Exists(clean_ups), ~Exists(parents))


def _chosen(due: QuerySet[Workflow], *, limit: int, by: str, passed: Passed) -> list[UUID]:
    """The first of these tasks that no hold keeps."""
    found: list[UUID] = []
    last = passed.last
    for _ in range(LOOKED_THROUGH):
        size = limit if passed.at_once is None else max(1, passed.at_once)
        page = list(_behind(due, last, by=by).values_list("pk", "finished_at")[:size])
        kept = _kept([task for task, _ in page], passed)
        for row in page:
            if row[0] not in kept:
                found.append(row[0])
            elif not found:
                passed.last = row
        if len(page) < size:
            passed.last = None
            break
        last = page[-1]
        if len(found) >= limit:
            break
    return found[:limit]


def _kept(tasks: list[UUID], passed: Passed) -> Collection[UUID]:
    """Those of the tasks that holds keep. After a look that was cut off the next one asks for fewer of them; one that
    alone takes too long counts as kept, until the tasks behind it had their turn."""
    if passed.at_once == 0:
        passed.at_once = None
        return tasks
    passed.at_once = len(tasks) // 10
    kept = held.tasks(tasks)
    passed.at_once = None
    return kept


def _behind(due: QuerySet[Workflow], last: tuple[UUID, Any] | None, *, by: str) -> QuerySet[Workflow]:
    if last is not None:
        value = {"pk": last[0], "finished_at": last[1]}[by]
        due = due.filter(Q(**{f"{by}__gt": value}) | Q(pk__gt=last[0]), **{f"{by}__gte": value})
    return due.order_by(by, "pk")


def _forget_steps(free: QuerySet[Workflow], *, limit: int) -> list[UUID]:
    """Delete stages, jobs and all that hangs on them, and return the tasks that are bare now, in order."""
    found = free.values_list("pk", "jobs_total")[:limit]
    with database.atomic():
        holds.wait_for_holds()
        candidates = Workflow.objects.filter(pk__in=_as_many_as_fit(found)).select_for_update(skip_locked=True)
        locked = [task.pk for task in candidates.only("pk").order_by("pk")]
        # Asked again behind the lock: a fork holds the lock of its origin until it is written.
        kept = held.tasks(locked)
        bare = [task for task in free.filter(pk__in=locked).values_list("pk", flat=True) if task not in kept]
        with connection.cursor() as cursor:
            for statement in STEPS:
                cursor.execute(statement, [bare])
    return bare


def _as_many_as_fit(found: QuerySet[Workflow, tuple[UUID, int]]) -> list[UUID]:
    """At least one; a task that fanned out widely goes alone."""
    fitting: list[UUID] = []
    jobs = 0
    for task, jobs_total in found:
        jobs += jobs_total
        if fitting and jobs > MOST_JOBS:
            break
        fitting.append(task)
    return fitting


def _forget_files(chosen: Sequence[UUID]) -> None:
    """Delete files and then their rows, outside of any transaction, until the time is used up."""
    until = time.monotonic() + FILES_S
    storage = artifact_storage()
    gone: list[UUID] = []
    try:
        for artifact in Artifact.objects.filter(workflow__in=chosen).only("file").order_by("workflow", "pk"):
            storage.delete(str(artifact.file.name))
            gone.append(artifact.pk)
            if time.monotonic() > until:
                break
    finally:
        with database.atomic():
            Artifact.objects.filter(pk__in=gone).delete()


def _forget_tasks(chosen: Sequence[UUID], *, is_counted: bool) -> int:
    """Delete the tasks that have no artifact left; the others are finished in a later round."""
    left = Artifact.objects.filter(workflow=OuterRef("pk"))
    storage = artifact_storage()
    empty = list(Workflow.objects.filter(~Exists(left), pk__in=chosen).values_list("pk", flat=True))
    for task in empty:
        _forget_folder(storage, str(task))
    with database.atomic(), connection.cursor() as cursor:
        cursor.execute(_COUNT if is_counted else _DELETE, {"tasks": empty, "now": database.now()})
        return len(empty)


def _forget_folder(storage: Storage, folder: str) -> None:
    """Delete what a worker left that died between a file and its row, and the folder, where the store has folders."""
    try:
        _, names = storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in [*names, ""]:
        storage.delete(f"{folder}/{name}".rstrip("/"))
