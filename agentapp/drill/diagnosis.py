"""Why a task does not go on, in a sentence that says what to do."""

from __future__ import annotations

from datetime import timedelta

from agentapp import clock, conf
from agentapp.models import Job, Worker, Workflow
from agentapp.states import JobState

# In this order the states of a job explain why a task does not go on.
_TELLING = (
    JobState.DEAD_LETTERED, JobState.RUNNING, JobState.RETRYABLE, JobState.SCHEDULED, JobState.AVAILABLE
)  # fmt: skip


def why(task: Workflow) -> str:
    """Say what a task waits for."""
    jobs = {job.state: job for job in task.jobs.order_by("-id")}
    job = next((jobs[state] for state in _TELLING if state in jobs), None)
    if job is None:
        return f"{task.kind} is {task.state}"
    if job.state == JobState.DEAD_LETTERED:
        error = job.error or {}
        return f"{job.type} is a dead letter, {error.get('class')}: {error.get('message')}"
    if job.state == JobState.RUNNING:
        return _running(job)
    if job.state == JobState.RETRYABLE:
        return f"{job.type} waits for its next attempt until {job.scheduled_at:%H:%M:%S}: does a dispatcher run?"
    if job.state == JobState.SCHEDULED:
        found = ", ".join(f"{item['scope']} {item['name']} ({item['why']})" for item in job.blocked_by or ())
        return f"{job.type} is stopped by a gate: {found}"
    return _available(job)


def _running(job: Job) -> str:
    if job.lease_expires_at and job.lease_expires_at < clock.now():
        return f"the lease of {job.worker} has run out and nobody has ended it: does a dispatcher run?"
    return f"{job.type} runs on {job.worker}, attempt {job.attempt} of {job.max_attempts}"


def _available(job: Job) -> str:
    if not is_served(job.queue):
        return f"no worker serves the queue {job.queue}: start one"
    return (
        f"{job.type} waits in the queue {job.queue}, attempt {job.attempt} of {job.max_attempts}: do its workers use "
        "this broker, and does a dispatcher run?"
    )


def is_served(queue: str) -> bool:
    """Tell whether a worker process of this class has shown a sign of life within two leases."""
    since = clock.now() - timedelta(seconds=2 * conf.lease_s())
    return Worker.objects.filter(queues__contains=[queue], seen_at__gt=since).exists()
