"""The order in which one queue's lanes are admitted."""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass

from agentapp.policies import priority
from agentapp.policies.backlog import Backlog, Head, Lane, Turns

OVERDUE_EVERY = 5


@dataclass(frozen=True, slots=True)
class Choice:
    """The oldest job of the lane with this index; `is_late`: chosen because it is overdue."""

    index: int
    lane: Lane
    head: Head
    is_late: bool


class Queue:
    """The order of one queue while a decision is made: two heaps over the same lanes.

    `is_full` is set when somebody stays behind because the broker holds enough.
    """

    def __init__(self, name: str, room: int, *, ageing_s: float, turns: Turns, backlog: Backlog) -> None:
        self.name = name
        self.room = room
        self.choices = turns.choices.get(name, 0)
        self.is_full = False
        self._ageing_s = ageing_s
        self._weights = backlog.weights
        self._lanes: list[Lane] = [lane for lane in backlog.lanes if lane.queue == name]
        self.taken = [0] * len(self._lanes)
        self._out = [False] * len(self._lanes)
        self._under_way: dict[int, float] = defaultdict(float)
        for item in backlog.busy:
            if item.queue == name:
                self._under_way[item.tenant] += item.running + item.published
        known = {tenant: served for (queue, tenant), served in turns.served.items() if queue == name}
        # Who comes new, or comes back, begins with the others: it has no claim on what it did not ask for.
        least = min((known[lane.tenant] for lane in self._lanes if lane.tenant in known), default=0.0)
        self.served = {lane.tenant: max(least, known.get(lane.tenant, least)) for lane in self._lanes}
        self._order = [(*self._rank(index), index) for index in range(len(self._lanes))]
        heapq.heapify(self._order)
        self._overdue = [
            (-lane.heads[0].age_s, index) for index, lane in enumerate(self._lanes) if self._is_late(index)
        ]
        heapq.heapify(self._overdue)

    def _head(self, index: int) -> Head:
        return self._lanes[index].heads[self.taken[index]]

    def _rank(self, index: int) -> tuple[int, float, float, float]:
        lane = self._lanes[index]
        weight = self._weights.get(lane.tenant, 1.0)
        return lane.priority, self._under_way[lane.tenant] / weight, self.served[lane.tenant], -self._head(index).age_s

    def _is_late(self, index: int) -> bool:
        return priority.is_overdue(self._lanes[index].priority, self._head(index).age_s, ageing_s=self._ageing_s)

    def choose(self) -> Choice | None:
        """Return who is next, or None where nobody is left."""
        if self.choices % OVERDUE_EVERY == OVERDUE_EVERY - 1:
            while self._overdue:
                age, index = self._overdue[0]
                if not self._out[index] and -age == self._head(index).age_s:
                    return Choice(index, self._lanes[index], self._head(index), is_late=True)
                heapq.heappop(self._overdue)
        while self._order:
            *rank, index = self._order[0]
            if self._out[index]:
                heapq.heappop(self._order)
            elif tuple(rank) != (now := self._rank(index)):
                # Its tenant, or the lane itself, has got something since.
                heapq.heapreplace(self._order, (*now, index))
            else:
                return Choice(index, self._lanes[index], self._head(index), is_late=False)
        return None

    def drop(self, index: int) -> None:
        self._out[index] = True

    def take(self, index: int) -> None:
        """The lane's oldest job is admitted."""
        tenant = self._lanes[index].tenant
        self.room -= 1
        self.choices += 1
        self.taken[index] += 1
        self._under_way[tenant] += 1
        self.served[tenant] += 1 / self._weights.get(tenant, 1.0)
        if self.taken[index] == len(self._lanes[index].heads):
            self.is_full = self.is_full or self._lanes[index].has_more
            self.drop(index)
        elif self._is_late(index):
            heapq.heappush(self._overdue, (-self._head(index).age_s, index))
