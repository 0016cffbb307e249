"""available -> available: a job that queues as a row is published, when there is room for it. [E1] [E4] [E5]"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentapp import registry
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Opened
from agentapp.policies.backlog import Backlog, Busy, Decision, Head, Lane, Limit


def backlog(*, heads: int, alive_s: float) -> Backlog:
    """Return what admission is decided on, with at most the `heads` oldest jobs of each lane.

    A worker that was silent for `alive_s` seconds serves nobody. One round trip; its cost grows with the number of
    lanes, not with that of jobs.
    """
    found = database.call("backlog", heads=heads, alive_s=alive_s, asking=registry.asking())
    return Backlog(
        lanes=[_lane(*row) for row in found["lanes"]],
        busy=[Busy(*row) for row in found["busy"]],
        limits=[_limit(row) for row in found["limits"]],
        served=found["served"],
        weights={int(tenant): weight for tenant, weight in found["weights"].items()},
        parked=[Busy(*row) for row in found["parked"]],
    )


def _lane(queue: str, tenant: int, priority: int, type: str, heads: list[list[Any]], shown: int) -> Lane:
    return Lane(queue, tenant, priority, type, tuple(Head(*head) for head in heads[:shown]), len(heads) > shown)


def _limit(row: dict[str, Any]) -> Limit:
    # What Postgres leaves out is as it is by default.
    return Limit(**{name: value for name, value in row.items() if value is not None})


def admit(decision: Decision) -> list[Opened]:
    """Mark what was decided as published, and return what to publish, one canvas each.

    Jobs that were claimed, cancelled or admitted meanwhile are skipped.
    """
    lanes = [
        [item.lane.queue, item.lane.tenant, item.lane.priority, item.lane.type, item.count, item.priority]
        for item in decision.admitted
    ]
    if decision.holds or decision.runways:
        database.call("set_holds", holds=decision.holds, runways=decision.runways)
    if not lanes:
        return []
    return _published(database.call("admit", lanes=database.Jsonb(lanes), asking=registry.asking()))


def promote(*, after_s: float, limit: int) -> list[Opened]:
    """Publish once more, one class more urgent, what was published `after_s` seconds ago and is still overtaken."""
    return _published(database.call("promote", after_s=after_s, limit=limit))


def _published(answer: dict[str, Any]) -> list[Opened]:
    return [Opened.of(item) for item in answer["admitted"]]


def measure(*, per_s: Mapping[str, float], run_s: Mapping[str, float], slots: Mapping[str, int]) -> None:
    """Count what waits for each key, and keep what the workers have measured: how many begin in a second by key, how
    long a body runs by job type, how many slots serve a queue."""
    database.call("measure", per_s=per_s, run_s=run_s, slots=slots)
