"""The queues of worker classes, simulated: tasks of three retrievals, a draft and a send, whose jobs wait for slots."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# What the bodies of one task take on average, in seconds, by worker class. Each draft is drawn from an exponential
# distribution, as are the others: what models take varies about as much.
MEAN_S = {"retrieval": 0.2, "model": 0.8, "send": 0.2}
# How many of its jobs are of each class.
JOBS = {"retrieval": 3, "model": 1, "send": 1}
CLASSES = tuple(MEAN_S)


@dataclass(frozen=True)
class Task:
    """When it comes, in seconds since the beginning, and what its bodies take, by worker class."""

    at_s: float
    takes_s: Mapping[str, Sequence[float]]


@dataclass
class Waits:
    """In seconds: of each job from the moment at which it could run, and of each task from its coming to its end."""

    of_class: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    answers_s: list[float] = field(default_factory=list)


def drawn(*, tasks: int, per_s: float, seed: int) -> list[Task]:
    """Tasks that come independently of each other, `per_s` of them in a second on average."""
    rng, at_s, found = random.Random(seed), 0.0, []
    for _ in range(tasks):
        at_s += rng.expovariate(per_s)
        takes_s = {name: [rng.expovariate(1 / MEAN_S[name]) for _ in range(JOBS[name])] for name in CLASSES}
        found.append(Task(at_s, takes_s))
    return found


def simulated(tasks: Sequence[Task], slots: Mapping[str, int], *, hop_s: float = 0.0) -> Waits:
    """Let the jobs of each class wait in one line for its slots. `hop_s`: from the moment at which a job could run to
    its beginning, where a slot is free."""
    found, free = Waits(), dict(slots)
    line: dict[str, deque[tuple[float, int, float]]] = {name: deque() for name in CLASSES}
    left = [0] * len(tasks)
    order = itertools.count()
    # What happens when: a task's jobs of a class can run, or one of them has ended.
    events: list[tuple[float, int, str, str, int]] = [
        (task.at_s, next(order), "can run", CLASSES[0], number) for number, task in enumerate(tasks)
    ]
    heapq.heapify(events)
    while events:
        now_s, _, what, name, number = heapq.heappop(events)
        if what == "can run":
            left[number] = len(tasks[number].takes_s[name])
            line[name].extend((now_s, number, takes_s) for takes_s in tasks[number].takes_s[name])
        else:
            free[name] += 1
            left[number] -= 1
            if not left[number]:
                following = CLASSES[CLASSES.index(name) + 1 :]
                if following:
                    heapq.heappush(events, (now_s, next(order), "can run", following[0], number))
                else:
                    found.answers_s.append(now_s - tasks[number].at_s)
        while free[name] and line[name]:
            could_s, which, takes_s = line[name].popleft()
            free[name] -= 1
            begins_s = now_s + hop_s
            found.of_class[name].append(begins_s - could_s)
            heapq.heappush(events, (begins_s + takes_s, next(order), "ended", name, which))
    return found


def utilization(per_s: float, slots: Mapping[str, int]) -> dict[str, float]:
    """What share of its slots each class has busy on average; from 1 on its line grows without end."""
    return {name: per_s * JOBS[name] * MEAN_S[name] / slots[name] for name in CLASSES}
