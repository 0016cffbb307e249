"""What the rows say, in the words of the model, and what must hold for every history."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection

from agentapp import states
from agentapp.models import Approval, Effect, History, Job, Workflow
from tests.lifecycle import model

MOVES = {"workflow": states.WORKFLOW_MOVES, "job": states.JOB_MOVES, "approval": states.APPROVAL_MOVES}

# One statement for all tasks of an example. A job is [its stage, state, attempt, outcomes, whether it has a lease].
READ = """
SELECT jsonb_object_agg(w.id, jsonb_build_object(
  'state', w.state, 'is_over', w.finished_at IS NOT NULL, 'done', w.jobs_done, 'total', w.jobs_total,
  'stages', (SELECT count(*) FROM agentapp_stage s WHERE s.workflow_id = w.id),
  'position', w.position, 'left', w.parts_left,
  'jobs', (SELECT coalesce(jsonb_agg(jsonb_build_array(s.position, j.state, j.attempt, j.lease_token IS NOT NULL)
                           ORDER BY s.position, j.part), '[]')
             FROM agentapp_job j JOIN agentapp_stage s ON s.id = j.stage_id WHERE j.workflow_id = w.id),
  'ids', (SELECT coalesce(jsonb_agg(j.id ORDER BY s.position, j.part), '[]')
            FROM agentapp_job j JOIN agentapp_stage s ON s.id = j.stage_id WHERE j.workflow_id = w.id),
  'approvals', (SELECT coalesce(jsonb_agg(a.state ORDER BY a.created_at), '[]')
                  FROM agentapp_approval a WHERE a.workflow_id = w.id AND a.job_id IS NULL),
  'questions', (SELECT coalesce(jsonb_agg(a.state ORDER BY a.created_at), '[]')
                  FROM agentapp_approval a WHERE a.workflow_id = w.id AND a.job_id IS NOT NULL)))::text
  FROM agentapp_workflow w WHERE w.id = ANY(%s)
"""


@dataclass(frozen=True)
class Rows:
    """`ids` are the jobs in the order of the plan."""

    ids: list[str]
    rest: dict[str, Any]


def read(tasks: list[UUID]) -> dict[UUID, Rows]:
    # A cursor of psycopg's own, because those of Django's plan the statement again each time.
    with psycopg.Cursor(connection.connection) as cursor:
        row = cursor.execute(READ, [tasks], prepare=True).fetchone()
    found = json.loads(row[0]) if row and isinstance(row[0], str) else {}
    return {UUID(task): Rows(rows.pop("ids"), rows) for task, rows in found.items()}


def predicted(task: model.Task) -> dict[str, Any]:
    """The same of a model."""
    return {
        "state": task.state, "is_over": task.is_over, "done": task.done,
        "total": sum(len(each.jobs) for each in task.positions if not each.is_skipped),
        "stages": len(task.positions), "position": task.position, "left": task.left,
        "jobs": [
            [number, job.state, len(job.counted), job.owner is not None]
            for number, position in enumerate(task.positions, start=1) for job in position.jobs
        ],
        "approvals": [approval.state for approval in task.approvals],
        "questions": [question.state for question in task.questions],
    }  # fmt: skip


def check_records(tasks: list[UUID], delivered: dict[str, int]) -> None:
    """Raise AssertionError for a history, an attempt or an effect that cannot be. `delivered`: how often, by key."""
    with connection.cursor() as cursor:
        # What is checked at a commit, such as that no two stages share a position: there will be none.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    _check_histories(tasks)
    _check_attempts(tasks)
    for effect in Effect.objects.filter(workflow_id__in=tasks):
        assert effect.state != "confirmed" or delivered.get(effect.key) == 1, effect
        assert effect.state != "prepared" or effect.key not in delivered, effect


def _check_histories(tasks: list[UUID]) -> None:
    """INV11, INV12: gap-free, each row begins where the one before ended, and all of them are legal moves."""
    last = {(each.pk, "workflow", each.pk): each.state for each in Workflow.objects.filter(pk__in=tasks)}
    last |= {(each.workflow_id, "job", each.pk): each.state for each in Job.objects.filter(workflow__in=tasks)}
    asked = Approval.objects.filter(workflow__in=tasks)
    last |= {(each.workflow_id, "approval", each.pk): each.state for each in asked}
    walks: dict[Any, list[tuple[str, str]]] = defaultdict(list)
    seqs: dict[UUID, list[int]] = defaultdict(list)
    for row in History.objects.filter(workflow__in=tasks).order_by("workflow", "seq"):
        walks[row.workflow_id, row.noun, row.job_id or row.approval_id or row.workflow_id].append(
            (row.from_state, row.to_state)
        )
        seqs[row.workflow_id].append(row.seq)
    for task in Workflow.objects.filter(pk__in=tasks):
        assert seqs[task.pk] == list(range(1, task.seq + 1)), task
    for noun, walk in walks.items():
        path = [to for _, to in walk]
        if walk[0][0] == "pending":
            # A job that was planned with its task begins its history when it is opened.
            path = ["pending", *path]
        assert states.is_legal(MOVES[noun[1]], path), (noun, path)
        assert all(after[0] == before[1] for before, after in pairwise(walk)), (noun, walk)
        assert path[-1] == last.pop(noun), (noun, path)
    assert set(last.values()) <= {"pending"}, "these moved without a word"


def _check_attempts(tasks: list[UUID]) -> None:
    """INV3, INV4: one completed attempt for a completed job, a lease for a running job, never more than the cap."""
    for job in Job.objects.filter(workflow__in=tasks).prefetch_related("attempts"):
        outcomes = [attempt.outcome for attempt in job.attempts.all()]
        assert job.attempt <= job.max_attempts, job
        assert outcomes.count("completed") == (job.state == "completed"), (job, outcomes)
        assert (job.lease_token is not None) == (job.state == "running"), job
