"""What must hold of every run, whatever was killed meanwhile: DESIGN's INV1-INV4, INV11 and INV12, read from the rows.

`violations()` reads the database of a deployment and the file of the recorder, and says in words what is broken.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connections

from agentapp.models import Approval, Attempt, Effect, History, Job, Stage, Workflow
from agentapp.states import APPROVAL_MOVES, JOB_FINAL, JOB_MOVES, WORKFLOW_FINAL, WORKFLOW_MOVES, is_legal
from tests.acceptance.deployment import Deployment

Found = Iterator[str]
Json = dict[str, Any]

# A dead letter that nobody is to blame for: its worker died between the call and the confirmation, and its provider
# cannot be asked.
EXPECTED_DEATHS = frozenset({"EffectUnknown"})
# Executions that a person ordered, or that did not count, are not held against the cap.
UNCOUNTED = frozenset({"handed_back"})
SPARED = "with others; not counted"
# How a planned job leaves its plan.
OPENED = frozenset({"available", "running"})


class Rows:
    """Everything about some tasks, read at one moment."""

    def __init__(self, deployment: Deployment, tasks: Iterable[UUID | str]) -> None:
        # A connection of before a restart of Postgres is of no use.
        connections[deployment.alias].close()
        ids = [UUID(str(task)) for task in tasks]
        self.workflows = list(Workflow.objects.using(deployment.alias).filter(pk__in=ids))
        self.jobs = list(Job.objects.using(deployment.alias).filter(workflow__in=ids))
        self.stages = list(Stage.objects.using(deployment.alias).filter(workflow__in=ids))
        self.approvals = list(Approval.objects.using(deployment.alias).filter(workflow__in=ids))
        self.effects = list(Effect.objects.using(deployment.alias).filter(workflow_id__in=ids))
        self.history = list(
            History.objects.using(deployment.alias).filter(workflow__in=ids).order_by("workflow_id", "seq")
        )
        self.attempts: dict[UUID, list[Attempt]] = defaultdict(list)
        for attempt in Attempt.objects.using(deployment.alias).filter(job__workflow__in=ids).order_by("started_at"):
            self.attempts[attempt.job_id].append(attempt)
        self.missing = {str(task) for task in ids} - {str(workflow.pk) for workflow in self.workflows}


def violations(
    deployment: Deployment, tasks: Iterable[UUID | str], *, deaths: frozenset[str] = EXPECTED_DEATHS, since: int = 0
) -> list[str]:
    """Return everything that is wrong with these tasks, which must have ended; empty = nothing.

    `deaths` are the error classes that a dead letter may have; `since` skips lines of the recorder.
    """
    return violations_in(Rows(deployment, tasks), deployment.recorder.lines("effect", since=since), deaths=deaths)


def violations_in(rows: Rows, calls: list[Json], *, deaths: frozenset[str] = EXPECTED_DEATHS) -> list[str]:
    """The same of rows that were read before, and of the calls that the recorder has seen."""
    found = [f"task {task} was accepted and is not there" for task in rows.missing]
    for check in (nothing_left_behind, histories, attempts, times, fan_ins):
        found += check(rows)
    found += dead_letters(rows, deaths)
    found += effects(rows, calls)
    return found


def nothing_left_behind(rows: Rows) -> Found:
    """INV1: every task is over, or waits for a person who can see why."""
    jobs = defaultdict(list)
    for job in rows.jobs:
        jobs[job.workflow_id].append(job.state)
    for workflow in rows.workflows:
        states = Counter(jobs[workflow.pk])
        if workflow.state == "needs_attention":
            if not states["dead_lettered"]:
                yield f"{workflow} needs attention, and no dead letter says why: {dict(states)}"
        elif workflow.state not in WORKFLOW_FINAL:
            yield f"{workflow} has not ended: {workflow.state}, {dict(states)}"
        elif left := set(states) - JOB_FINAL - {"dead_lettered"}:
            yield f"{workflow} is {workflow.state} and has jobs that are {sorted(left)}"
        elif workflow.state == "completed" and workflow.jobs_done != states["completed"]:
            yield f"{workflow} counts {workflow.jobs_done} jobs done of {states['completed']}"


def dead_letters(rows: Rows, deaths: frozenset[str]) -> Found:
    """Nothing has died of what it should have lived through."""
    for job in rows.jobs:
        if job.state == "dead_lettered" and (job.error or {}).get("class") not in deaths:
            yield f"{job} is a dead letter: {job.error}"


def histories(rows: Rows) -> Found:
    """INV11 and INV12: one row for each change, without gaps, and each walk is legal."""
    numbers = defaultdict(list)
    walks: dict[Any, list[History]] = defaultdict(list)
    for row in rows.history:
        numbers[row.workflow_id].append(row.seq)
        walks[row.job_id or row.approval_id or row.workflow_id].append(row)
    for workflow in rows.workflows:
        if numbers[workflow.pk] != list(range(1, workflow.seq + 1)):
            yield f"the history of {workflow} counts {numbers[workflow.pk]} up to {workflow.seq}"
    for nouns, moves in ((rows.workflows, WORKFLOW_MOVES), (rows.jobs, JOB_MOVES), (rows.approvals, APPROVAL_MOVES)):
        for noun in nouns:
            walk = walks[noun.pk]
            # That a job was planned is no news: its first row then begins at pending.
            birth = "pending" if not walk or walk[0].from_state == "pending" else ""
            path = [state for state in (birth, *(row.to_state for row in walk)) if state]
            if not is_legal(moves, path):
                yield f"{noun} went an illegal way: {path}"
            if [row.from_state for row in walk] != ["", *path][-len(walk) - 1 : -1]:
                yield f"the history of {noun} does not join: {[(row.from_state, row.to_state) for row in walk]}"
            if path[-1] != noun.state:
                yield f"{noun} is {noun.state}, and its history ends with {path[-1]}"


def attempts(rows: Rows) -> Found:
    """INV3 and INV4: one result for each job, executions as counted, none beyond the cap."""
    claims = Counter(row.job_id for row in rows.history if row.noun == "job" and row.to_state == "running")
    replayed = {row.job_id for row in rows.history if row.from_state == "dead_lettered"}
    # Who was lost beside the one that is suspected of it: policies.retry.after_loss.
    spared = Counter(row.job_id for row in rows.history if row.from_state == "running" and SPARED in row.reason)
    for job in rows.jobs:
        its = rows.attempts[job.pk]
        outcomes = [attempt.outcome for attempt in its]
        counted = sum(outcome not in UNCOUNTED for outcome in outcomes) - spared[job.pk]
        runs = int(job.state == "running")
        if claims[job.pk] != len(its) + runs:
            yield f"{job} was claimed {claims[job.pk]} times, is {job.state} and has {len(its)} attempts that ended"
        if job.attempt > job.max_attempts or (counted > job.max_attempts and job.pk not in replayed):
            yield f"{job} was tried {counted} times (counted {job.attempt}) of {job.max_attempts}"
        if job.pk not in replayed and job.attempt != counted + runs:
            yield f"{job} counts {job.attempt} attempts, and has {outcomes}"
        if "" in outcomes:
            yield f"{job} has an attempt without an end: {outcomes}"
        # A person may have entered the output of a dead letter.
        by_hand = job.pk in replayed and "completed" not in outcomes
        if job.state == "completed" and not by_hand and outcomes[-1:] != ["completed"]:
            yield f"{job} is completed, and its last attempt is not: {outcomes}"
        if outcomes.count("completed") > 1 or ("completed" in outcomes and job.state != "completed"):
            yield f"{job} is {job.state} with {outcomes}"


def times(rows: Rows) -> Found:
    """INV4: nothing is made available before its time."""
    due: dict[UUID, datetime] = {}
    for row in rows.history:
        if row.job_id is None:
            continue
        if row.to_state == "retryable":
            retry_at = (row.data or {}).get("retry_at")
            if retry_at is None and (row.data or {}).get("asks"):
                # A person makes it available.
                due.pop(row.job_id, None)
            elif retry_at is None:
                yield f"job {row.job_id} is retryable, and nobody knows when"
            else:
                due[row.job_id] = datetime.fromisoformat(retry_at)
        elif row.job_id in due and row.at < due.pop(row.job_id):
            yield f"job {row.job_id} was {row.to_state} at {row.at}, before it was due"


def fan_ins(rows: Rows) -> Found:
    """Every stage opened once, and closed with its last part."""
    jobs = Counter(job.stage_id for job in rows.jobs)
    openings = Counter(row.job_id for row in rows.history if row.from_state == "pending" and row.to_state in OPENED)
    for job in rows.jobs:
        if openings[job.pk] > 1:
            yield f"{job} was opened {openings[job.pk]} times"
    known = {job.pk for job in rows.jobs}
    for row in rows.history:
        if row.job_id is not None and row.job_id not in known:
            yield f"job {row.job_id} was {row.to_state}, and its row is gone"
    tasks = {workflow.pk: workflow for workflow in rows.workflows}
    for stage in rows.stages:
        task = tasks[stage.workflow_id]
        if stage.kind == "job" and jobs[stage.pk] != 1:
            yield f"stage {stage} of {stage.workflow_id} has {jobs[stage.pk]} jobs instead of one"
        if task.state == "completed" and (stage.position > task.position or task.parts_left):
            yield f"stage {stage} of {stage.workflow_id} was never closed, and its task is completed"


def effects(rows: Rows, calls: list[Json]) -> Found:
    """INV2: each effect happened once, as the outside world counts. Those of tools are counted by their own tests."""
    tasks = {str(workflow.pk) for workflow in rows.workflows}
    happened = Counter(call["key"] for call in calls if call.get("workflow") in tasks)
    known = {effect.key for effect in rows.effects}
    for key, times_called in happened.items():
        if times_called > 1:
            yield f"the effect {key} happened {times_called} times"
        if key not in known:
            yield f"the effect {key} happened and does not stand in the ledger"
    recorded = {call["key"] for call in calls if "key" in call}
    for effect in rows.effects:
        # Effects that the recorder does not stand for, such as mails, are counted by their own tests.
        if effect.state == "confirmed" and effect.type in {"book", "post"} and effect.key not in recorded:
            yield f"the effect {effect.key} is confirmed, and has never happened"
