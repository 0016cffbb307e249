"""The order in which one queue's lanes are admitted."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from agentapp.policies import priority
from agentapp.policies.backlog import Backlog, Head, Lane, Turns

OVERDUE_EVERY = 5
# What precedes whom: the smallest first.
Rank = tuple[int, float, float, float]


@dataclass(frozen=True, slots=True)
class Choice:
    """The oldest job of the lane with this index; `is_late`: chosen because it is overdue."""

    index: int
    lane: Lane
    head: Head
    is_late: bool


class Queue:
    """The order of one queue while a decision is made: a heap of its lanes, and one of the overdue lanes of each class.

    `is_full` is set when somebody stays behind because the broker holds enough.
    """

    def __init__(self, name: str, room: int, *, ageing_s: float, turns: Turns, backlog: Backlog) -> None:
        self.name = name
        self.room = room
        self.choices = turns.choices.get(name, 0)
        self.is_full = False
        self._ageing_s = ageing_s
        self._weights = backlog.weights
        # Sorted, so that the order in which they are told decides nothing.
        self._lanes = sorted((lane for lane in backlog.lanes if lane.queue == name), key=_place)
        self.taken = [0] * len(self._lanes)
        self._out = [False] * len(self._lanes)
        self._under_way: dict[int, float] = defaultdict(float)
        for item in backlog.busy:
            if item.queue == name:
                self._under_way[item.tenant] += item.running + item.published
        # The choice in which each tenant was served last. Who comes new, or comes back, queues behind the others: it
        # has no claim on what it did not ask for.
        self.served = {lane.tenant: turns.served.get((name, lane.tenant), self.choices) for lane in self._lanes}
        self._order = [(self._rank(index), index) for index in range(len(self._lanes))]
        self._overdue: dict[int, list[tuple[Rank, int]]] = defaultdict(list)
        for rank, index in self._order:
            if self._is_late(index):
                self._overdue[self._lanes[index].priority].append((rank, index))
        for heap in (self._order, *self._overdue.values()):
            heapq.heapify(heap)

    def _head(self, index: int) -> Head:
        return self._lanes[index].heads[self.taken[index]]

    def _rank(self, index: int) -> Rank:
        lane = self._lanes[index]
        weight = self._weights.get(lane.tenant, 1.0)
        return lane.priority, self._under_way[lane.tenant] / weight, self.served[lane.tenant], -self._head(index).age_s

    def _is_late(self, index: int) -> bool:
        return priority.is_overdue(self._lanes[index].priority, self._head(index).age_s, ageing_s=self._ageing_s)

    def choose(self) -> Choice | None:
        """Return who is next, or None where nobody is left."""
        if self.choices % OVERDUE_EVERY == OVERDUE_EVERY - 1:
            for level in priority.in_turn(self.choices // OVERDUE_EVERY):
                if (index := self._first(self._overdue[level], is_late=True)) is not None:
                    return Choice(index, self._lanes[index], self._head(index), is_late=True)
        if (index := self._first(self._order)) is not None:
            return Choice(index, self._lanes[index], self._head(index), is_late=False)
        return None

    def _first(self, heap: list[tuple[Rank, int]], *, is_late: bool = False) -> int | None:
        while heap:
            rank, index = heap[0]
            if self._out[index] or (is_late and not self._is_late(index)):
                heapq.heappop(heap)
            elif rank != (now := self._rank(index)):
                # Its tenant, or the lane itself, has got something since.
                heapq.heapreplace(heap, (now, index))
            else:
                return index
        return None

    def drop(self, index: int) -> None:
        self._out[index] = True

    def left(self) -> Iterator[tuple[Lane, Head]]:
        """Yield the lanes that were neither used up nor passed over, with their oldest job."""
        return ((lane, self._head(index)) for index, lane in enumerate(self._lanes) if not self._out[index])

    def take(self, index: int) -> None:
        """The lane's oldest job is admitted."""
        tenant = self._lanes[index].tenant
        self.room -= 1
        self.choices += 1
        self.taken[index] += 1
        self._under_way[tenant] += 1
        self.served[tenant] = self.choices
        if self.taken[index] == len(self._lanes[index].heads):
            self.is_full = self.is_full or self._lanes[index].has_more
            self.drop(index)


def _place(lane: Lane) -> tuple[int, int, str]:
    return lane.tenant, lane.priority, lane.type
