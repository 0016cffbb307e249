"""The order in which the lanes of the queues that the same workers serve are admitted."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from agentapp.policies import priority
from agentapp.policies.backlog import Backlog, Head, Lane, Turns

# After so many others, it is the turn of who is overdue.
TURN_AFTER = 4
ANY_LINE = ""
# Nobody's share is nothing: it is divided by.
LEAST_WEIGHT = 0.001
# What precedes whom, the smallest first; with the lane's index.
Rank = tuple[int, float, float, str, float, int]


@dataclass(frozen=True, slots=True)
class Choice:
    """The oldest job of the lane with this index. `is_turn`: it was the turn of who is overdue; `is_late`: it is."""

    index: int
    lane: Lane
    head: Head
    is_turn: bool
    is_late: bool


class Queues:
    """The order of the queues that the same workers serve while a decision is made, in heaps: of the lanes of each
    line, and of the overdue lanes of each class.

    Lanes of a line stand before the same narrow gate: that of a model, a tool, or else a job type. Were turns counted
    for all alone, who is overdue would take all of such a gate in the turns that others have elsewhere. `since` is how
    many were chosen since such a turn, by line, and in all.

    `runway` is how many messages the broker may hold, `published` how many it does. `is_full` is set when somebody
    stays behind because it holds enough.
    """

    def __init__(
        self, names: tuple[str, ...], runway: int, published: int, *, ageing_s: float, turns: Turns, backlog: Backlog
    ) -> None:
        self.names = names
        self.name = name = "+".join(names)
        self.runway, self.published = runway, published
        self.choices = turns.choices.get(name, 0)
        self.is_full = False
        self._ageing_s = ageing_s
        self._weights = backlog.weights
        # Sorted, so that the order in which they are told decides nothing.
        self._lanes = sorted((lane for lane in backlog.lanes if lane.queue in names), key=_place)
        self._heads = [lane.heads[0] for lane in self._lanes]
        self._lines = [_line(lane, head) for lane, head in zip(self._lanes, self._heads, strict=True)]
        self._taken = [0] * len(self._lanes)
        self._out = [False] * len(self._lanes)
        self.since = {line: turns.choices.get(f"{name}/{line}", 0) for line in {ANY_LINE, *self._lines}}
        self._under_way: dict[int, float] = defaultdict(float)
        for item in backlog.busy:
            if item.queue in names:
                self._under_way[item.tenant] += item.running + item.published
        # By class, how much each tenant has got for its weight, and how much who was chosen last had. Who comes new, or
        # comes back, begins behind the others, and who was stopped no further ahead than they are: nobody has a claim
        # on what it did not ask for or could not take.
        self.now = {level: turns.now.get((name, level), 0.0) for level in range(len(priority.NAMES))}
        self.got = {
            (lane.level, lane.tenant): self._begins_at(lane, turns.got.get((name, lane.level, lane.tenant)))
            for lane in self._lanes
        }
        self._order: dict[str, list[Rank]] = defaultdict(list)
        self._overdue: dict[int, list[Rank]] = defaultdict(list)
        for index, (lane, line) in enumerate(zip(self._lanes, self._lines, strict=True)):
            self._order[line].append(rank := self._rank(index))
            if self._is_late(index):
                self._overdue[lane.level].append(rank)
        for heap in (*self._order.values(), *self._overdue.values()):
            heapq.heapify(heap)

    def _rank(self, index: int) -> Rank:
        lane = self._lanes[index]
        share = self._under_way[lane.tenant] / self._weight(lane)
        head = self._heads[index]
        return lane.level, share, self.got[lane.level, lane.tenant], head.task, -head.age_s, index

    def _begins_at(self, lane: Lane, got: float | None) -> float:
        now = self.now[lane.level]
        return now + 1 / self._weight(lane) if got is None else max(got, now)

    def _weight(self, lane: Lane) -> float:
        return max(self._weights.get(lane.tenant, 1.0), LEAST_WEIGHT)

    def _is_late(self, index: int) -> bool:
        return priority.is_overdue(self._lanes[index].level, self._heads[index].age_s, ageing_s=self._ageing_s)

    @property
    def has_room(self) -> bool:
        return self.published < self.runway

    def choose(self) -> Choice | None:
        """Return who is next, or None where nobody is left."""
        if self.since[ANY_LINE] >= TURN_AFTER and (index := self._first_overdue()) is not None:
            return self._choice(index, is_turn=True)
        firsts = [first for heap in self._order.values() if (first := self._first(heap)) is not None]
        return self._choice(min(firsts)[-1], is_turn=False) if firsts else None

    def _first_overdue(self) -> int | None:
        """Of each class in turn; but while it is not the turn of that line, who comes first there."""
        for level in priority.IN_TURN[self.choices // (TURN_AFTER + 1) % len(priority.IN_TURN)]:
            if (first := self._first(self._overdue[level], is_late=True)) is not None:
                line = self._lines[first[-1]]
                if self.since[line] < TURN_AFTER:
                    first = self._first(self._order[line]) or first
                return first[-1]
        return None

    def _first(self, heap: list[Rank], *, is_late: bool = False) -> Rank | None:
        while heap:
            index = heap[0][-1]
            if self._out[index] or (is_late and not self._is_late(index)):
                heapq.heappop(heap)
            elif heap[0] != (now := self._rank(index)):
                # Its tenant, or the lane itself, has got something since.
                heapq.heapreplace(heap, now)
            else:
                return now
        return None

    def _choice(self, index: int, *, is_turn: bool) -> Choice:
        return Choice(index, self._lanes[index], self._heads[index], is_turn, is_turn and self._is_late(index))

    def drop(self, choice: Choice) -> None:
        """The chosen job is passed over, and with it its lane."""
        self._out[choice.index] = True

    def left(self) -> Iterator[tuple[Lane, Head]]:
        """Yield the lanes that were neither used up nor passed over, with their oldest job."""
        return ((self._lanes[index], head) for index, head in enumerate(self._heads) if not self._out[index])

    def counts(self) -> dict[str, int]:
        """What the next decision goes on from: all choices, and by line those since the last turn of who is overdue."""
        return {self.name: self.choices} | {f"{self.name}/{line}": since for line, since in self.since.items()}

    def take(self, choice: Choice) -> None:
        """The chosen job is admitted."""
        index, lane, line = choice.index, choice.lane, self._lines[choice.index]
        self.published += 1
        self.choices += 1
        is_turn_of_line = choice.is_turn and self.since[line] >= TURN_AFTER
        self.since[line] = 0 if is_turn_of_line else self.since[line] + 1
        self.since[ANY_LINE] = 0 if choice.is_turn else self.since[ANY_LINE] + 1
        self._under_way[lane.tenant] += 1
        place = lane.level, lane.tenant
        self.now[lane.level] = max(self.now[lane.level], self.got[place])
        self.got[place] += 1 / self._weight(lane)
        self._taken[index] += 1
        if self._taken[index] < len(lane.heads):
            self._heads[index] = lane.heads[self._taken[index]]
        else:
            self.is_full = self.is_full or lane.has_more
            self._out[index] = True


def _line(lane: Lane, head: Head) -> str:
    return head.model or head.tool or lane.type


def _place(lane: Lane) -> tuple[int, int, str, str]:
    return lane.tenant, lane.priority, lane.type, lane.queue


def together(served: Collection[Collection[str]], queues: Iterable[str]) -> list[tuple[str, ...]]:
    """Put the queues together that the same workers serve. `served` are the queues of each kind of worker."""
    found: dict[tuple[bool | str, ...], list[str]] = defaultdict(list)
    for name in sorted({*queues, *chain.from_iterable(served)}):
        # A queue that nobody serves is alone.
        by = tuple(name in names for names in served)
        found[by if any(by) else (name,)].append(name)
    return [tuple(names) for names in found.values()]
