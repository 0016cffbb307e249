"""Questions about limits: is work paced, does urgent work go first? Each sets a gate of the drill's own. [E2] [E4]"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from agentapp.drill.answers import NotAvailable, Red
from agentapp.drill.ground import Ground
from agentapp.models import Attempt, Gate, Job, Workflow
from agentapp.models.tenant import DRILL
from agentapp.policies.counting import count
from agentapp.policies.permissions import OPERATOR_SCOPES
from agentapp.services import gates
from agentapp.services.principals import Principal
from agentapp.states import AttemptOutcome

OPERATOR = Principal(frozenset(OPERATOR_SCOPES), None)
NOTE = "made by a drill, for as long as it runs"
PER_MIN, BURST, PACED = 120, 2, 8
STEP_S = 60 / PER_MIN
# The meter and the starts are of one clock, which may be set back a little meanwhile.
GRAIN_S = 1e-3
LOW = 5


def rate_limit(ground: Ground) -> str:
    """More jobs at once than a throttle lets through; they must be paced, and none may fail of it."""
    with _gate("job_type", "drill_step", requests_per_min=PER_MIN, request_burst=BURST):
        task = ground.submit("drill_send", parts=list(range(PACED)))
        ground.reach([task], "completed")
    steps = Job.objects.filter(workflow=task, type="drill_step")
    # A worker that was lost is another question's matter, and pacing has not made it lose the job.
    attempts = Attempt.objects.filter(job__in=steps).exclude(outcome=AttemptOutcome.LOST)
    starts = sorted(attempts.values_list("started_at", flat=True))
    if len(starts) != PACED:
        raise Red(f"{count(len(starts), 'attempt')} of {PACED} jobs: being paced was counted as an attempt")
    least_s = (PACED - BURST) * STEP_S
    since_first_s = [(start - starts[0]).total_seconds() for start in starts]
    took_s = since_first_s[-1]
    if any(s < (number - BURST + 1) * STEP_S - GRAIN_S for number, s in enumerate(since_first_s)):
        raise Red(
            f"{PACED} jobs began within {took_s:.2f} s, although {PER_MIN} a minute take {least_s:.2f} s at least"
        )
    return (
        f"{PACED} jobs under {PER_MIN} a minute and a burst of {BURST} began within {took_s:.2f} s (at least "
        f"{least_s:.2f} s), each in its first attempt"
    )


def priority(ground: Ground) -> str:
    """An urgent job comes after low ones that wait; it must go before them."""
    # Closed until all are there: how quick the workers are beside this process must not count.
    with _gate("tenant", DRILL, concurrency=0) as gate:
        low = [ground.submit("drill_send", at="low") for _ in range(LOW)]
        urgent = ground.submit("drill_send")
        gates.save(OPERATOR, gate, {"concurrency": 1})
        ground.reach([*low, urgent], "completed")
    starts = {task: _start(task) for task in (*low, urgent)}
    before = sum(starts[task] < starts[urgent] for task in low)
    # One may run already, and one more be on its way to a worker.
    if before > 2:
        raise Red(f"{before} of {LOW} low jobs, submitted before an urgent one, began before it")
    return f"of {LOW} low jobs that waited for one slot, {before} began before the urgent one that came last"


def _start(task: Workflow) -> Any:
    return Workflow.objects.get(pk=task.pk).started_at


@contextmanager
def _gate(scope: str, pattern: str, **values: Any) -> Iterator[Gate]:
    """Let a gate hold for a while.

    Raises:
        NotAvailable: people have made a gate for the same.
    """
    there = Gate.objects.filter(scope=scope, pattern=pattern, tier="").first()
    if there is not None and there.note != NOTE:
        raise NotAvailable(f"there is a gate for {there} already, which a drill must not change")
    gate = gates.save(OPERATOR, there or Gate(), {"scope": scope, "pattern": pattern, "note": NOTE, **values})
    try:
        yield gate
    finally:
        gates.delete(OPERATOR, gate)
