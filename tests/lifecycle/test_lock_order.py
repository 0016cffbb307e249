"""Every move takes its locks in one order: admission, claims, settles, cancellations at once meet no deadlock."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction

from agentapp.dispatch.stager import Stager
from agentapp.errors import IllegalMove, LostLease
from agentapp.lifecycle import cancel, gates
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Gate, Job, Workflow
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.dispatch.barrier import SIZE, Together
from tests.lifecycle import deadlocks
from tests.lifecycle.held_row import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

QUEUES = tuple(WORKER_CLASS_SCOPES)
ROUNDS = 12
# Of sixteen threads: two dispatchers, two people who cancel, and workers.
DISPATCHERS, WORKERS = 2, SIZE - 4


def work(jobs: list[Any]) -> None:
    """Claim and complete these, each of several threads from another end."""
    for job in jobs:
        found = claim(str(job), worker="worker", queues=QUEUES, lease_s=600)
        if isinstance(found, Claimed):
            try:
                complete(found, {}, worker="worker")
            except LostLease:
                continue


def give_up(tasks: list[Any]) -> None:
    for task in tasks:
        try:
            cancel.cancel(task, actor="test", reason="enough")
        except IllegalMove:
            continue


@pytest.mark.usefixtures("broker")
def test_all_moves_at_once_meet_no_deadlock(principal: Principal) -> None:
    for scope, pattern in (("job_type", "probe_first"), ("job_type", "probe_part"), ("tenant", "*")):
        gates.keep(Gate(scope=scope, pattern=pattern, concurrency=3, requests_per_min=60_000), actor="test")
    before = deadlocks.count()
    with Together(is_apart=True) as threads:
        for _ in range(ROUNDS):
            one_round(threads, principal)

    assert Job.objects.filter(state="completed").exists() and Workflow.objects.filter(state="cancelled").exists()
    assert deadlocks.count() == before


def one_round(threads: Together, principal: Principal) -> None:
    tasks = [workflows.submit(principal, kind="probe_fan", input={}).pk for _ in range(SIZE)]
    jobs = list(Job.objects.filter(workflow__in=tasks, state="available").values_list("pk", flat=True))
    orders = [jobs[at:] + jobs[:at] if at % 2 else jobs[at::-1] + jobs[:at:-1] for at in range(WORKERS)]
    cancels = [partial(give_up, tasks[::4]), partial(give_up, tasks[::-4])]
    acts: list[Any] = [*(partial(work, order) for order in orders), *[Stager().admit] * DISPATCHERS, *cancels]
    threads.at_once(acts)


@pytest.mark.usefixtures("broker")
def test_a_deadlock_would_be_counted(principal: Principal) -> None:
    """Two rows, locked in both orders."""
    tasks = [workflows.submit(principal, kind="probe_fan", input={}).pk for _ in range(2)]
    before = deadlocks.count()
    both = threading.Barrier(2)

    def lock(first: Any, second: Any) -> bool:
        try:
            with transaction.atomic():
                Workflow.objects.select_for_update().get(pk=first)
                both.wait()
                Workflow.objects.select_for_update().get(pk=second)
        except OperationalError:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(2) as pool:
        went_well = list(pool.map(lock, tasks, reversed(tasks)))

    assert sorted(went_well) == [False, True]
    # The session that it has ended tells it at the latest when it is gone, which its client does not wait for.
    until(lambda: deadlocks.count() == before + 1)
