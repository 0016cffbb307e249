"""Runs jobs in this process, without a broker: the same claim, perform and settle as a worker's."""

from __future__ import annotations

from typing import Any

from agentapp import states
from agentapp.dispatch import indexer
from agentapp.models import History, Job, SearchCursor, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.testing.running import be_a_worker as be_a_worker
from agentapp.testing.running import drain as drain
from agentapp.testing.running import make_due as make_due


def run_workflow(principal: Principal, kind: str, input: dict[str, Any] | None = None, **more: Any) -> Workflow:
    """Submit a task and run it until it waits or is over."""
    workflow = workflows.submit(principal, kind=kind, input=input or {}, **more)
    drain(workflow)
    return Workflow.objects.get(pk=workflow.pk)


def index() -> None:
    """Make the search index anew, as the dispatcher does; also within a transaction, of which nothing is committed."""
    SearchCursor.objects.all().delete()
    indexer.go_back()


def path(job: Job) -> str:
    """The states of a job in order, such as "available > running > completed"."""
    rows = History.objects.filter(workflow_id=job.workflow_id, job_id=job.pk).order_by("seq")
    return " > ".join(rows.values_list("to_state", flat=True))


def workflow_path(workflow: Workflow) -> str:
    rows = History.objects.filter(workflow_id=workflow.pk, noun="workflow").order_by("seq")
    return " > ".join(rows.values_list("to_state", flat=True))


def histories_are_legal() -> bool:
    """Every state was reached by a move of agentapp/states.py, and no history has a gap."""
    for workflow in Workflow.objects.all():
        walked = workflow_path(workflow)
        assert states.is_legal(states.WORKFLOW_MOVES, walked.split(" > ")), f"not in WORKFLOW_MOVES: {walked}"
        seqs = list(History.objects.filter(workflow=workflow).order_by("seq").values_list("seq", flat=True))
        assert seqs == list(range(1, len(seqs) + 1)) and seqs[-1] == workflow.seq
    for job in Job.objects.all():
        steps = [step for step in path(job).split(" > ") if step]
        born = History.objects.filter(job_id=job.pk).order_by("seq").values_list("from_state", flat=True).first()
        walk = (["pending"] if born == "pending" else []) + steps
        assert states.is_legal(states.JOB_MOVES, walk), f"not in JOB_MOVES: {' > '.join(walk)}"
    return True
