"""Backlogs to decide on, written in few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agentapp.policies import admission, priority
from agentapp.policies.backlog import Backlog, Busy, Decision, Head, Lane, Limit, Turns, keys

QUEUE = "work"
AGEING_S = 30.0
NEVER_S = 1e9
RUNWAY = 16


def lane(
    tenant: int, level: str = "normal", *, ages: Sequence[float] = (1.0,), type: str = "draft", queue: str = QUEUE,
    model: str = "", task: str = "", has_more: bool = False,
) -> Lane:  # fmt: skip
    heads = tuple(Head(age_s, model=model, task=task) for age_s in ages)
    return Lane(queue, tenant, priority.by_name(level), type, heads, has_more)


def many(tenant: int, level: str = "normal", *, age_s: float = 1.0, **rest: Any) -> Lane:
    """A lane with more jobs than any decision admits."""
    return lane(tenant, level, ages=[age_s] * 64, has_more=True, **rest)


def room_for(jobs: int, *, queue: str = QUEUE) -> Busy:
    """What somebody else has published, so that the broker takes only so many more."""
    return Busy(queue, 99, "another", published=RUNWAY - jobs)


def decide(
    *lanes: Lane, turns: Turns | None = None, ageing_s: float = AGEING_S, limits: Sequence[Limit] = (), **rest: Any
) -> Decision:
    """Decide with a runway of 16 messages, unless a limit says how fast the queue moves."""
    told = {limit.key for limit in limits}
    names = dict.fromkeys(key for lane in lanes if (key := f"queue:{lane.queue}") not in told)
    limits = [*limits, *(Limit(key, per_s=RUNWAY / admission.RUNWAY_S) for key in names)]
    return admission.decide(Backlog(lanes=lanes, limits=limits, **rest), turns or Turns(), ageing_s=ageing_s)


def admitted(decision: Decision) -> Counter[Lane]:
    """How many of each lane, whichever their message's priority is."""
    counts: Counter[Lane] = Counter()
    for item in decision.admitted:
        counts[item.lane] += item.count
    return counts


def by_tenant(decision: Decision) -> dict[int, int]:
    counts: Counter[int] = Counter()
    for lane, count in admitted(decision).items():
        counts[lane.tenant] += count
    return dict(counts)


def after(backlog: Backlog, decision: Decision) -> Backlog:
    """The backlog when what was decided is published, and nothing else has happened."""
    counts = admitted(decision)
    published = [
        Busy(lane.queue, lane.tenant, lane.type, head.model, head.tool, published=1)
        for lane, count in counts.items()
        for head in lane.heads[:count]
    ]
    left = [replace(lane, heads=lane.heads[counts[lane] :]) for lane in backlog.lanes]
    return replace(backlog, lanes=[lane for lane in left if lane.heads], busy=[*backlog.busy, *published])


def under_way(backlog: Backlog) -> Counter[str]:
    """What runs or is published, by key."""
    counts: Counter[str] = Counter()
    for item in backlog.busy:
        for key in keys(item.queue, item.tenant, item.type, item.model, item.tool):
            counts[key] += item.running + item.published
    return counts
