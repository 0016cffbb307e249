"""Admission by `policies.admission` under overload, simulated: who waits how long, and whether every limit holds.

    python -m bench.fairness --tasks 1000000 --tenants 100 --slots 64 --seed 1

No database and no clock. Jobs of four types and four classes come from tenants of very unequal size: at first less than
the slots can do, then twice as much, then less. One type calls a model whose gate is narrower than that.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from agentapp.policies import admission, ordering, priority
from agentapp.policies.backlog import Backlog, Busy, Head, Lane, Limit, Turns

QUEUE, MODEL = "work", "large"
# The dispatcher shows as many jobs of a lane. It looks twice as often, which would only make waits shorter.
HEADS = 64
PASS_S = 0.05
CLASSES = range(len(priority.NAMES))
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


@dataclass
class UnderWay:
    running: int = 0
    published: int = 0


class Rows:
    """The jobs of one lane that wait as rows, by the moment at which they came, and how long others have waited."""

    def __init__(self, simulation: Simulation, tenant: int, level: int, kind: JobType) -> None:
        self.tenant, self.level, self.kind, self.line = tenant, level, kind, (level, kind.model)
        self.under_way = simulation.under_way[tenant, kind]
        self.came_s: deque[float] = deque()
        self.waits_s: list[float] = []
        heads = cast("tuple[Head, ...]", Shown(simulation, self))
        self.lane, self.long_lane = (Lane(QUEUE, tenant, level, kind.name, heads, more) for more in (False, True))


class Shown(Sequence[Head]):
    """The oldest of a lane, as admission sees them at this moment: made when it looks, for it looks at few."""

    def __init__(self, simulation: Simulation, rows: Rows) -> None:
        self.simulation, self.rows = simulation, rows

    def __len__(self) -> int:
        return min(HEADS, len(self.rows.came_s))

    def __getitem__(self, index: Any) -> Any:
        return Head(self.simulation.now_s - self.rows.came_s[index], self.rows.kind.model)


# When a job comes, and the number of its lane.
Coming = Sequence[tuple[float, int]]


def places(tenants: int) -> list[tuple[int, int, JobType]]:
    """The lanes: each tenant's, of each class, of each type."""
    return [(tenant, level, kind) for tenant in range(tenants) for level in CLASSES for kind in TYPES]


def drawn(*, tasks: int, tenants: int, slots: int, seed: int) -> Coming:
    """The tenant of rank n asks for an nth of what the largest does."""
    rng = random.Random(seed)
    load = sum(part * share for part, share in LOADS)
    total_s, begin_s = tasks * MEAN_RUN_S / (slots * load), 0.0
    at_s: list[float] = []
    for part, share in LOADS:
        at_s += [begin_s + rng.random() * part * total_s for _ in range(round(tasks * part * share / load))]
        begin_s += part * total_s
    shares = [CLASS_SHARES[level] * kind.share / (tenant + 1) for tenant, level, kind in places(tenants)]
    return list(zip(sorted(at_s), rng.choices(range(len(shares)), shares, k=len(at_s)), strict=True))


@dataclass
class Simulation:
    """Jobs that wait as rows, that are published (`broker`, by class), that run (`ends`), and what became of them.

    `stopped_s`: for how long each class was stopped at most, by model. `gate_most`: how many ran at once behind the
    gate. `broker_excess`: by how many messages the broker held more than its runway.
    """

    coming: Coming
    tenants: int
    slots: int
    gate: int
    ageing_s: float
    now_s: float = 0.0
    per_s: float = 0.0
    turns: Turns = field(default_factory=Turns)
    ends: list[tuple[float, int]] = field(default_factory=list)
    gate_use: int = 0
    gate_most: int = 0
    broker_excess: int = 0

    def __post_init__(self) -> None:
        self.under_way = {(tenant, kind): UnderWay() for tenant in range(self.tenants) for kind in TYPES}
        self.rows = [Rows(self, *place) for place in places(self.tenants)]
        self.numbers = {(rows.tenant, rows.level, rows.kind.name): number for number, rows in enumerate(self.rows)}
        self.broker: list[deque[tuple[float, float, int]]] = [deque() for _ in CLASSES]
        # By class and model: how many wait as rows, and since when none was admitted.
        self.waiting = Counter[tuple[int, str]]()
        self.since_s: dict[tuple[int, str], float] = {}
        self.stopped_s: dict[tuple[int, str], float] = defaultdict(float)

    def run(self) -> Simulation:
        coming = iter(self.coming)
        upcoming, begun = next(coming, None), 0
        while upcoming or self.ends or any(self.broker) or any(self.waiting.values()):
            self.now_s += PASS_S
            begun += self._work_until(self.now_s)
            self.per_s += 0.1 * (begun / PASS_S - self.per_s)
            while upcoming and upcoming[0] <= self.now_s:
                self._arrive(*upcoming)
                upcoming = next(coming, None)
            self._promote()
            self._admit()
            begun = 0
            while len(self.ends) < self.slots and self._begin(self.now_s):
                begun += 1
        return self

    def _arrive(self, at_s: float, number: int) -> None:
        rows = self.rows[number]
        if not self.waiting[rows.line]:
            self.since_s[rows.line] = at_s
        self.waiting[rows.line] += 1
        rows.came_s.append(at_s)

    def _work_until(self, until_s: float) -> int:
        """Let each slot that becomes free begin the next job; return how many were begun."""
        begun = 0
        while self.ends and self.ends[0][0] <= until_s:
            at_s, number = heapq.heappop(self.ends)
            rows = self.rows[number]
            rows.under_way.running -= 1
            if rows.kind.model:
                self.gate_use -= 1
            begun += self._begin(at_s)
        return begun

    def _begin(self, at_s: float) -> bool:
        """Begin the oldest message of the most urgent class, as a worker gets it from the broker."""
        for messages in self.broker:
            if messages:
                _, came_s, number = messages.popleft()
                rows = self.rows[number]
                rows.under_way.published -= 1
                rows.under_way.running += 1
                if rows.kind.model:
                    self.gate_use += 1
                    self.gate_most = max(self.gate_most, self.gate_use)
                rows.waits_s.append(at_s - came_s)
                heapq.heappush(self.ends, (at_s + rows.kind.run_s, number))
                return True
        return False

    def _promote(self) -> None:
        """As the dispatcher does: what was overtaken in the broker for too long becomes one class more urgent."""
        for more, less in zip(self.broker, self.broker[1:], strict=False):
            while less and less[0][0] < self.now_s - self.ageing_s:
                _, came_s, number = less.popleft()
                more.append((self.now_s, came_s, number))

    def _admit(self) -> None:
        decision = admission.decide(self._backlog(), self.turns, ageing_s=self.ageing_s)
        self.turns = decision.turns
        for item in decision.admitted:
            self._publish(self.numbers[item.lane.tenant, item.lane.priority, item.lane.type], item.count, item.priority)
        if decision.admitted:
            runway = admission.runway(per_s=self.per_s)
            self.broker_excess = max(self.broker_excess, sum(map(len, self.broker)) - runway)

    def _publish(self, number: int, count: int, level: int) -> None:
        rows = self.rows[number]
        for _ in range(count):
            self.broker[level].append((self.now_s, rows.came_s.popleft(), number))
        rows.under_way.published += count
        self.waiting[rows.line] -= count
        self.stopped_s[rows.line] = max(self.stopped_s[rows.line], self.now_s - self.since_s[rows.line])
        self.since_s[rows.line] = self.now_s

    def _backlog(self) -> Backlog:
        return Backlog(
            lanes=[rows.long_lane if len(rows.came_s) > HEADS else rows.lane for rows in self.rows if rows.came_s],
            busy=[
                Busy(QUEUE, tenant, kind.name, kind.model, running=part.running, published=part.published)
                for (tenant, kind), part in self.under_way.items()
                if part.running or part.published
            ],
            limits=[Limit(f"model:{MODEL}", concurrency=self.gate), Limit(f"queue:{QUEUE}", per_s=self.per_s)],
            served=[[QUEUE]],
        )

    def waits_s(self, *, level: int | None = None, tenant: int | None = None, model: str = "") -> list[float]:
        """The waits of all, or of one class, of one tenant, before one gate: the shortest first."""
        return sorted(
            wait_s
            for rows in self.rows
            if level in (None, rows.level) and tenant in (None, rows.tenant) and model in ("", rows.kind.model)
            for wait_s in rows.waits_s
        )

    def grace_s(self, model: str) -> float:
        """A pass, and what it takes at most until each class had its turn, in the queue and in each line of it."""
        choices = (ordering.TURN_AFTER + 1) ** 2 * len(priority.IN_TURN)
        return PASS_S + choices * max(kind.run_s for kind in TYPES) / (self.gate if model else self.slots)

    def broken(self) -> Iterator[str]:
        """Yield what should have held and did not."""
        if self.gate_most > self.gate:
            yield f"{self.gate_most} ran at once behind a gate of {self.gate}"
        if self.broker_excess > 0:
            yield f"the broker held {self.broker_excess} messages more than its runway"
        bound_s = priority.longest_stop_s(ageing_s=self.ageing_s)
        if any(stopped_s > bound_s + self.grace_s(model) for (_, model), stopped_s in self.stopped_s.items()):
            yield "a class was stopped for longer than the bound"


def quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def report(found: Simulation, alone: Simulation) -> None:
    smallest = found.tenants - 1
    rows = {name: found.waits_s(level=level) for level, name in enumerate(priority.NAMES)}
    rows |= {f"{name}, gated": found.waits_s(level=level, model=MODEL) for level, name in enumerate(priority.NAMES)}
    for name, tenant in (("largest", 0), ("median", smallest // 2), ("smallest", smallest)):
        rows[f"{name} tenant"] = found.waits_s(tenant=tenant)
    print(f"{'waits in s':18}{'tasks':>10}{'p50':>10}{'p95':>10}{'max':>10}")
    for name, waits in rows.items():
        p50, p95, most = (quantile(waits, share) for share in (0.5, 0.95, 1))
        print(f"{name:18}{len(waits):>10}{p50:>10.2f}{p95:>10.2f}{most:>10.2f}")
    print(f"\n{'smallest tenant':18}{'p95':>10}{'alone':>10}{'ratio':>10}{'of all':>10}")
    for level, name in enumerate(priority.NAMES):
        own, single = (quantile(side.waits_s(level=level, tenant=smallest), 0.95) for side in (found, alone))
        ratio = own / single if single else 0.0
        print(f"{name:18}{own:>10.2f}{single:>10.2f}{ratio:>10.1f}{quantile(rows[name], 0.95):>10.2f}")
    print(f"\nthe published bound is {priority.longest_stop_s(ageing_s=found.ageing_s):.1f} s until it is low's turn")
    for model, where in (("", "beside the gate"), (MODEL, "behind the gate")):
        stopped_s, grace_s = found.stopped_s[priority.LOW, model], found.grace_s(model)
        print(f"low was stopped for {stopped_s:.1f} s at most {where}, where its turn comes within {grace_s:.1f} s")
    print(f"behind the model's gate ran {found.gate_most} at most; limit {found.gate}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("tasks", 1_000_000), ("tenants", 100), ("slots", 64), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--ageing", type=float, default=30.0, help="seconds for each class until a job is overdue")
    chosen = parser.parse_args(arguments)
    started = time.monotonic()
    coming = drawn(tasks=chosen.tasks, tenants=chosen.tenants, slots=chosen.slots, seed=chosen.seed)
    all_places = places(chosen.tenants)
    own = [(at_s, number) for at_s, number in coming if all_places[number][0] == chosen.tenants - 1]
    gate = max(1, round(chosen.slots * GATE_SHARE))
    found, alone = (Simulation(part, chosen.tenants, chosen.slots, gate, chosen.ageing).run() for part in (coming, own))
    print(f"{chosen.tasks} tasks of {chosen.tenants} tenants on {chosen.slots} slots in {found.now_s:.0f} s\n")
    report(found, alone)
    for sentence in found.broken():
        print(f"BROKEN: {sentence}")
    print(f"simulated in {time.monotonic() - started:.1f} s")
    return 1 if any(found.broken()) else 0


if __name__ == "__main__":
    sys.exit(main())
