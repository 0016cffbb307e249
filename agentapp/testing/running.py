"""Run jobs in this process, without a broker: the same claim, perform and settle as a worker's."""

from __future__ import annotations

from agentapp import clock, registry
from agentapp.lifecycle import make_due as move
from agentapp.models import Job, Workflow
from agentapp.runtime import runner
from agentapp.runtime.process import this


def be_a_worker(*queues: str) -> None:
    """Serve these worker classes, or all of them."""
    this.queues = queues or tuple(registry.worker_classes)


def drain(workflow: Workflow | None = None, *, limit: int = 500) -> int:
    """Run what is available, one job a time, until nothing is. Returns the number of messages."""
    be_a_worker()
    for done in range(limit):
        jobs = Job.objects.filter(state="available").order_by("workflow", "stage__position", "part")
        if workflow is not None:
            jobs = jobs.filter(workflow=workflow)
        job = jobs.first()
        if job is None:
            return done
        runner.run(str(job.pk))
    raise AssertionError(f"still work after {limit} jobs")


def make_due(stopped: clock.Clock, seconds: float) -> None:
    """Move the stopped clock on and make due what has become due, as the dispatcher does."""
    stopped.advance(seconds)
    for job in move.due():
        move.make_due(job, actor="dispatcher")
