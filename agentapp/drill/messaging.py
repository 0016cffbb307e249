"""Questions about messages: too many of them, and none at all. [D4]"""

from __future__ import annotations

import time
from functools import partial
from uuid import UUID

from django.db import transaction

from agentapp import registry
from agentapp.dispatch import broker, publisher
from agentapp.drill.answers import Red
from agentapp.drill.ground import Ground
from agentapp.lifecycle.opened import Link, Opened
from agentapp.models import Artifact, Attempt, Effect, Job, Workflow
from agentapp.policies.counting import count
from agentapp.states import AttemptOutcome

DUPLICATED = 10
COPIES = 3
PARTS = 200
FULL_WITHIN_S = 2.0
# The last ones only where the workers were so quick that the queues were empty each time.
FLUSHES, MOST_FLUSHES = 3, 10


def duplicates(ground: Ground) -> str:
    """Each message of a job with an effect is published again and again; the effect must happen once."""
    tasks = [_submit_with_copies(ground) for _ in range(DUPLICATED)]
    ground.reach(tasks, "completed")
    # Published after all copies, it is taken after them.
    ground.reach([ground.submit("drill_send")], "completed")
    attempts, calls = _attempts(tasks), _calls(tasks)
    sends = sum(Effect.objects.filter(workflow_id__in=_ids(tasks)).values_list("sends", flat=True))
    found = (
        f"{DUPLICATED * (COPIES + 1)} messages for {DUPLICATED} jobs: {count(attempts, 'attempt')}, "
        f"{count(calls, 'effect')} counted outside of the ledger, {sends} in it"
    )
    if not attempts == calls == sends == DUPLICATED:
        raise Red(found)
    return found


def _submit_with_copies(ground: Ground) -> Workflow:
    """Submit a task of one job; its message and the copies leave together, after the commit."""
    with transaction.atomic():
        task = ground.submit("drill_send")
        job = task.jobs.get(type="drill_send")
        message = Opened((Link(str(job.pk), job.type, job.queue, job.priority),))
        for _ in range(COPIES):
            transaction.on_commit(partial(publisher.publish, message))
    return task


def broker_flush(ground: Ground) -> str:
    """The broker forgets what it holds; everything that was accepted must still complete."""
    thrown, tasks = 0, list[Workflow]()
    while len(tasks) < FLUSHES or (not thrown and len(tasks) < MOST_FLUSHES):
        tasks.append(ground.submit("drill_send", parts=list(range(PARTS))))
        thrown += _throw_away_soon()
    started = time.monotonic()
    if not thrown:
        raise Red(f"in {len(tasks)} flushes the queues were always empty, so nothing is shown: try again")
    ground.reach(tasks, "completed")
    seconds = time.monotonic() - started
    jobs, attempts, calls = Job.objects.filter(workflow__in=tasks).count(), _attempts(tasks), _calls(tasks)
    found = (
        f"{len(tasks)} flushes threw {count(thrown, 'message')} away; {len(tasks)} tasks completed {seconds:.1f} s "
        "after the last, "
        f"{count(jobs, 'job')} with {count(attempts, 'attempt')}, {count(calls, 'effect')}"
    )
    if attempts != jobs or calls != len(tasks):
        raise Red(found)
    return found


def _throw_away_soon() -> int:
    """Flush as soon as there is something in the queues: the parts of a fan-out are published by the dispatcher."""
    deadline_s = time.monotonic() + FULL_WITHIN_S
    while not (thrown := throw_away()) and time.monotonic() < deadline_s:
        time.sleep(0.002)
    return thrown


def throw_away() -> int:
    """Delete what waits in our queues and what the dispatcher left as a sign, as FLUSHALL would, and nothing of anybody
    else's.

    Returns how many messages there were.
    """
    return broker.purge(registry.worker_classes)


def _attempts(tasks: list[Workflow]) -> int:
    """How often bodies ran, apart from those whose worker was lost: whether that is borne is another question."""
    attempts = Attempt.objects.filter(job__workflow__in=tasks)
    return attempts.exclude(outcome=AttemptOutcome.LOST).count()


def _calls(tasks: list[Workflow]) -> int:
    return Artifact.objects.filter(workflow_id__in=_ids(tasks)).count()


def _ids(tasks: list[Workflow]) -> list[UUID]:
    return [task.pk for task in tasks]
