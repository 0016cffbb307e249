"""Admission by `policies.admission` under overload, simulated: who waits how long, and whether every limit holds. [E1]
[E4] [E5]

    python -m bench.fairness --tasks 1000000 --tenants 100 --slots 64 --seed 1

No database and no clock. Jobs of four types and four classes come from tenants of very unequal size: at first less than
the slots can do, then half as much again, then less. One type calls a model whose gate is narrower than that.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

from agentapp.policies import admission, ordering, priority
from agentapp.policies.backlog import Admitted, Backlog, Busy, Head, Lane, Limit, Turns

QUEUE, MODEL = "work", "large"
MODEL_KEY, QUEUE_KEY = f"model:{MODEL}", f"queue:{QUEUE}"
# The dispatcher shows as many jobs of a lane. It looks twice as often, which would only make waits shorter.
HEADS = 64
PASS_S = 0.05
CLASSES = len(priority.NAMES)
CLASS_SHARES = (1, 2, 4, 2)
# Parts of the time, and how much is asked for in each, in shares of what the slots can do.
LOADS = ((0.2, 0.6), (0.2, 2.0), (0.6, 0.6))
GATE_SHARE = 0.3


@dataclass(frozen=True)
class JobType:
    """How long its bodies run, and how many of a hundred jobs are of this type."""

    name: str
    run_s: float
    share: int
    model: str = ""


TYPES = (
    JobType("classify_ticket", 0.04, 45),
    JobType("retrieve_passages", 0.02, 35),
    JobType("generate_draft", 0.2, 5, MODEL),
    JobType("send_reply", 0.06, 15),
)
MEAN_RUN_S = sum(kind.run_s * kind.share for kind in TYPES) / 100
LONGEST_RUN_S = max(kind.run_s for kind in TYPES)


def lane_number(tenant: int, level: int, kind: int) -> int:
    return (tenant * CLASSES + level) * len(TYPES) + kind


def place(number: int) -> tuple[int, int, int]:
    """Return the tenant, the class and the type of a lane."""
    rest, kind = divmod(number, len(TYPES))
    return *divmod(rest, CLASSES), kind


@dataclass(frozen=True)
class Plan:
    """Which jobs come: the moment and the number of the lane of each, by time."""

    tenants: int
    jobs: Sequence[tuple[float, int]]

    @classmethod
    def drawn(cls, *, tasks: int, tenants: int, slots: int, seed: int) -> Plan:
        """The tenant of rank n asks for 1/n of what the largest does."""
        rng = random.Random(seed)
        load = sum(part * share for part, share in LOADS)
        total_s, begin_s = tasks * MEAN_RUN_S / (slots * load), 0.0
        at_s: list[float] = []
        for part, share in LOADS:
            at_s += [begin_s + rng.random() * part * total_s for _ in range(round(tasks * part * share / load))]
            begin_s += part * total_s
        whose = rng.choices(range(tenants), [1 / rank for rank in range(1, tenants + 1)], k=len(at_s))
        levels = rng.choices(range(CLASSES), CLASS_SHARES, k=len(at_s))
        kinds = rng.choices(range(len(TYPES)), [kind.share for kind in TYPES], k=len(at_s))
        return cls(tenants, list(zip(sorted(at_s), map(lane_number, whose, levels, kinds), strict=True)))

    def of(self, tenant: int) -> Plan:
        """What one tenant asks for, without the others."""
        return Plan(self.tenants, [(at_s, number) for at_s, number in self.jobs if place(number)[0] == tenant])


@dataclass
class Simulation:
    """Jobs that wait as rows (`waiting`, by lane), are published (`broker`, by class), or run (`ends`).

    What is found out: `waits` from the arrival until the body begins, by lane; for how long each class was stopped at
    most; how many ran at once behind the gate; by how much the broker held more than its runway.
    """

    plan: Plan
    slots: int
    gate: int
    ageing_s: float
    now_s: float = 0.0
    done: int = 0
    turns: Turns = field(default_factory=Turns)
    holds: set[str] = field(default_factory=set)
    ends: list[tuple[float, int]] = field(default_factory=list)
    per_s: float = 0.0
    gate_use: int = 0
    gate_most: int = 0
    broker_excess: int = 0

    def __post_init__(self) -> None:
        tenants = range(self.plan.tenants)
        lanes = self.plan.tenants * CLASSES * len(TYPES)
        self.places = [(*place(number), TYPES[number % len(TYPES)]) for number in range(lanes)]
        self.lanes = [(self._lane(number, has_more=False), self._lane(number, has_more=True)) for number in range(lanes)]
        self.waiting: list[deque[float]] = [deque() for _ in range(lanes)]
        self.waits: list[list[float]] = [[] for _ in range(lanes)]
        self.broker: list[deque[tuple[float, float, int]]] = [deque() for _ in range(CLASSES)]
        # By tenant and type.
        self.running = [[0] * len(TYPES) for _ in tenants]
        self.published = [[0] * len(TYPES) for _ in tenants]
        # By class: how many wait as rows, since when none was admitted, the longest such time.
        self.rows = [0] * CLASSES
        self.since_s = [0.0] * CLASSES
        self.stopped_s = [0.0] * CLASSES

    def run(self) -> Simulation:
        coming = iter([*self.plan.jobs, (float("inf"), 0)])
        upcoming = next(coming)
        while self.done < len(self.plan.jobs):
            self.now_s += PASS_S
            begun = self._work_until(self.now_s)
            self.per_s += 0.2 * (begun / PASS_S - self.per_s)
            while upcoming[0] <= self.now_s:
                self._arrive(*upcoming)
                upcoming = next(coming)
            self._promote()
            self._admit()
            while len(self.ends) < self.slots and self._begin(self.now_s):
                pass
        return self

    def _arrive(self, at_s: float, number: int) -> None:
        level = number // len(TYPES) % CLASSES
        if not self.rows[level]:
            self.since_s[level] = at_s
        self.rows[level] += 1
        self.waiting[number].append(at_s)

    def _work_until(self, until_s: float) -> int:
        """Let each slot that becomes free begin the next job; return how many were begun."""
        begun = 0
        while self.ends and self.ends[0][0] <= until_s:
            at_s, number = heapq.heappop(self.ends)
            tenant, _, kind, type = self.places[number]
            self.running[tenant][kind] -= 1
            if type.model:
                self.gate_use -= 1
            self.done += 1
            begun += self._begin(at_s)
        return begun

    def _begin(self, at_s: float) -> bool:
        """Begin the oldest message of the most urgent class, as a worker gets it from the broker."""
        for messages in self.broker:
            if messages:
                _, arrived_s, number = messages.popleft()
                tenant, _, kind, type = self.places[number]
                self.published[tenant][kind] -= 1
                self.running[tenant][kind] += 1
                if type.model:
                    self.gate_use += 1
                    self.gate_most = max(self.gate_most, self.gate_use)
                self.waits[number].append(at_s - arrived_s)
                heapq.heappush(self.ends, (at_s + type.run_s, number))
                return True
        return False

    def _promote(self) -> None:
        """As `dispatch.stager.promote`: what was overtaken in the broker for too long becomes one class more urgent."""
        for more, less in zip(self.broker, self.broker[1:], strict=False):
            while less and less[0][0] < self.now_s - self.ageing_s:
                _, arrived_s, number = less.popleft()
                more.append((self.now_s, arrived_s, number))

    def _admit(self) -> None:
        decision = admission.decide(self._backlog(), self.turns, ageing_s=self.ageing_s)
        for item in decision.admitted:
            self._publish(item)
        self.turns = decision.turns
        for key, holds in decision.holds.items():
            (self.holds.add if holds else self.holds.discard)(key)
        if decision.admitted:
            runway = admission.runway(slots=self.slots, per_s=self.per_s)
            self.broker_excess = max(self.broker_excess, sum(map(len, self.broker)) - runway)

    def _publish(self, item: Admitted) -> None:
        lane, level = item.lane, item.lane.priority
        kind = KINDS[lane.type]
        number = lane_number(lane.tenant, level, kind)
        arrivals, messages = self.waiting[number], self.broker[item.priority]
        for _ in range(item.count):
            messages.append((self.now_s, arrivals.popleft(), number))
        self.published[lane.tenant][kind] += item.count
        self.rows[level] -= item.count
        self.stopped_s[level] = max(self.stopped_s[level], self.now_s - self.since_s[level])
        self.since_s[level] = self.now_s

    def _backlog(self) -> Backlog:
        return Backlog(
            lanes=[
                lanes[len(arrivals) > HEADS]
                for lanes, arrivals in zip(self.lanes, self.waiting, strict=True)
                if arrivals
            ],
            busy=[
                Busy(QUEUE, tenant, kind.name, kind.model, running=running, published=published)
                for tenant, rows in enumerate(zip(self.running, self.published, strict=True))
                for kind, running, published in zip(TYPES, *rows, strict=True)
                if running or published
            ],
            limits=[
                Limit(MODEL_KEY, concurrency=self.gate, holds=MODEL_KEY in self.holds),
                Limit(QUEUE_KEY, holds=QUEUE_KEY in self.holds, per_s=self.per_s),
            ],
            slots={QUEUE: self.slots},
        )

    def _lane(self, number: int, *, has_more: bool) -> Lane:
        tenant, level, _, type = self.places[number]
        return Lane(QUEUE, tenant, level, type.name, cast("tuple[Head, ...]", Shown(self, number)), has_more)

    def waits_of(self, tenants: Iterable[int], levels: Iterable[int]) -> list[float]:
        chosen = [
            self.waits[lane_number(tenant, level, kind)]
            for tenant in tenants for level in levels for kind in range(len(TYPES))
        ]  # fmt: skip
        return sorted(chain.from_iterable(chosen))

    @property
    def bound_s(self) -> float:
        return priority.longest_stop_s(ageing_s=self.ageing_s)

    @property
    def grace_s(self) -> float:
        """A pass, and the longest that it takes until each class that is overdue had its turn, in the queue and in each
        line of it."""
        choices = (ordering.TURN_AFTER + 1) ** 2 * len(priority.IN_TURN)
        return PASS_S + choices * LONGEST_RUN_S / self.slots


class Shown(Sequence[Head]):
    """The oldest of a lane, as admission sees them at this moment: made when it looks, for it looks at few."""

    def __init__(self, simulation: Simulation, number: int) -> None:
        self._simulation = simulation
        self._arrivals, self._model = simulation.waiting[number], TYPES[number % len(TYPES)].model

    def __len__(self) -> int:
        return min(HEADS, len(self._arrivals))

    def __getitem__(self, index: Any) -> Any:
        return Head(self._simulation.now_s - self._arrivals[index], self._model)


KINDS = {kind.name: number for number, kind in enumerate(TYPES)}


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def report(found: Simulation, alone: Simulation) -> bool:
    """Print what was found; False when a limit or the bound was broken."""
    everyone, last = range(found.plan.tenants), found.plan.tenants - 1
    rows = {name: found.waits_of(everyone, [level]) for level, name in enumerate(priority.NAMES)}
    rows |= {
        f"{name} tenant": found.waits_of([tenant], range(CLASSES))
        for name, tenant in (("largest", 0), ("median", last // 2), ("smallest", last))
    }
    print(f"{'waits in s':18}{'tasks':>10}{'p50':>10}{'p95':>10}{'max':>10}")
    for name, waits in rows.items():
        print(f"{name:18}{len(waits):>10}{quantile(waits, 0.5):>10.2f}{quantile(waits, 0.95):>10.2f}{waits[-1]:>10.2f}")
    print("\np95 of the smallest tenant's waits in s, beside those of all, and as if it were alone")
    for level, name in enumerate(priority.NAMES):
        all_s, own_s, alone_s = (
            quantile(waits, 0.95)
            for waits in (rows[name], found.waits_of([last], [level]), alone.waits_of([last], [level]))
        )
        print(f"{name:18}{own_s:>10.2f}{all_s:>10.2f}{alone_s:>10.2f}{own_s / alone_s:>10.1f} times")
    stopped_s = found.stopped_s[priority.LOW]
    print(
        f"\nthe low class was stopped for {stopped_s:.1f} s at most; bound {found.bound_s:.1f} s + {found.grace_s:.1f} s"
    )
    print(f"the gate of the model was used by {found.gate_most} at most; limit {found.gate}")
    print(f"the broker held at most {-found.broker_excess} less than its runway")
    return stopped_s <= found.bound_s + found.grace_s and found.gate_most <= found.gate and found.broker_excess <= 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--ageing", type=float, default=30.0, help="seconds after which the next class is overdue")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    plan = Plan.drawn(tasks=options.tasks, tenants=options.tenants, slots=options.slots, seed=options.seed)
    gate = max(1, round(options.slots * GATE_SHARE))
    found, alone = (
        Simulation(part, options.slots, gate, options.ageing).run() for part in (plan, plan.of(options.tenants - 1))
    )
    print(f"{options.tasks} tasks of {options.tenants} tenants on {options.slots} slots: {found.now_s:.0f} s of work")
    holds = report(found, alone)
    print(f"\nsimulated in {time.monotonic() - started:.1f} s")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
