"""Which of the jobs that wait are published next: by priority with ageing, then by each tenant's fair share, passing
over what is stopped. [E1] [E4] [E5]

Queues that the same workers serve are one order, or the first would fill those workers with work that is begun and not
finished, and the others take turns, one job at a time, so that none takes what a shared gate has left. The order:

1. the more urgent priority first;
2. of one priority, the tenant that has least under way for its weight, then the one that has got least for it;
3. of one tenant, the job of the oldest task: what was begun is finished before more is begun.

One choice in five goes to who is overdue, before all others: to each class in turn, and in it in the same order.
Overdue is who has waited `ageing_s` for each class between it and urgent. So no class is stopped for longer than three
times that, however much more urgent work there is, and urgent work is slowed by a fifth at most. Both hold before the
gate of a model, a tool or a job type as well.

What is stopped is passed over: a lane whose oldest job cannot pass blocks nobody beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from agentapp.policies import priority
from agentapp.policies.backlog import Admitted, Backlog, Decision, Lane, Limit, Turns, keys
from agentapp.policies.ordering import Queues, together
from agentapp.policies.rooms import NOBODY_KNOWS, Rooms

# The broker holds what the workers take within this time. More would stand in front of what comes next.
RUNWAY_S = 0.2
SHORTEST_RUNWAY, LONGEST_RUNWAY = 8, 1_000
# What the workers took since the last look, and half as much again: it grows until a third is left over.
GROWTH = 1.5


def runway(*, per_s: float, ahead_s: float = RUNWAY_S, filled: int = 0, left: int = 0) -> int:
    """Return how many messages of a queue the broker may hold: what its workers take within `ahead_s`.

    `filled` is how many there were after the last decision, if more had to stay behind, and `left` how many of them
    there still are. The measured speed is that of what was published, so where most of it was taken, the workers may be
    able to do more.
    """
    size = max(per_s * ahead_s, GROWTH * (filled - left))
    return round(min(LONGEST_RUNWAY, max(SHORTEST_RUNWAY, size)))


@dataclass
class _Progress:
    """What was decided so far: how many of (queue, lane index, priority), whom what stopped, and when that may end."""

    admitted: dict[tuple[str, int, int], tuple[Lane, int]] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    next_s: float = NOBODY_KNOWS


def decide(backlog: Backlog, turns: Turns, *, ageing_s: float, ahead_s: float = RUNWAY_S) -> Decision:
    """Say which jobs are published now, and what they leave behind. The workers must not run dry within `ahead_s`."""
    rooms, so_far = Rooms(backlog), _Progress()
    queues = [
        _queues(names, backlog, rooms, turns, ageing_s=ageing_s, ahead_s=ahead_s)
        for names in together(backlog.served, {lane.queue for lane in backlog.lanes})
    ]
    first = turns.first % len(queues) if queues else 0
    active = queues[first:] + queues[:first]
    while active:
        active = [queue for queue in active if _goes_on(queue, rooms, so_far)]
    return Decision(
        admitted=_in_broker_order(so_far),
        holds=_holds(backlog, queues, rooms, so_far.stopped),
        runways={
            name: queue.runway
            for queue in queues
            for name in queue.names
            if _is_news(rooms.limit(f"queue:{name}"), queue.runway)
        },
        turns=_turns_after(turns, queues),
        next_s=_next_s(queues, so_far),
    )


def _queues(
    names: tuple[str, ...], backlog: Backlog, rooms: Rooms, turns: Turns, *, ageing_s: float, ahead_s: float
) -> Queues:
    own = [f"queue:{name}" for name in names]
    published = sum(rooms.published[key] for key in own)
    per_s = sum(limit.per_s for key in own if (limit := rooms.limit(key)))
    size = runway(per_s=per_s, ahead_s=ahead_s, filled=turns.filled.get(names, 0), left=published)
    return Queues(names, size, published, ageing_s=ageing_s, turns=turns, backlog=backlog)


def _goes_on(queue: Queues, rooms: Rooms, so_far: _Progress) -> bool:
    """Let a queue choose once: its choice is admitted or passed over. False when it has no more to choose from."""
    choice = queue.choose()
    if choice is None:
        return False
    if not queue.has_room:
        queue.is_full = True
        return False
    lane, head = choice.lane, choice.head
    held_to = keys(lane.queue, lane.tenant, lane.type, head.model, head.tool)
    hindrances = {key: s for key in held_to if (s := rooms.hindrance(key, lane)) is not None}
    if hindrances:
        so_far.stopped |= hindrances.keys()
        so_far.next_s = min(so_far.next_s, max(hindrances.values()))
        queue.drop(choice)
        return True
    rooms.take(held_to, lane.type)
    # Among the broker's lists, too, who is overdue must not be overtaken; nor who has a slot of a narrow gate, which
    # would be idle meanwhile, and closed even to urgent work.
    overtakes = choice.is_late or rooms.has_narrow_slot(held_to)
    place = (queue.name, choice.index, priority.URGENT if overtakes else lane.level)
    _, count = so_far.admitted.get(place, (lane, 0))
    so_far.admitted[place] = (lane, count + 1)
    queue.take(choice)
    return True


def _in_broker_order(so_far: _Progress) -> tuple[Admitted, ...]:
    """The most urgent first: of a lane that is published in two classes, they are its oldest."""
    by_class = sorted(so_far.admitted.items(), key=lambda item: item[0][2])
    return tuple(Admitted(lane, count, level) for (_, _, level), (lane, count) in by_class)


def _holds(backlog: Backlog, queues: Sequence[Queues], rooms: Rooms, stopped: set[str]) -> dict[str, bool]:
    """Keys of which it is news whether somebody waits for them. Who is parked waits too, and so does what the key
    would stop and a full queue did not reach."""
    waited_for = set(stopped)
    waited_for |= {f"queue:{name}" for queue in queues if queue.is_full or not queue.has_room for name in queue.names}
    was = {limit.key for limit in backlog.limits if limit.holds}
    for item in backlog.parked:
        waited_for |= was & set(keys(item.queue, item.tenant, item.type, item.model, item.tool))
    if doubtful := was - waited_for:
        for lane, head in chain.from_iterable(queue.left() for queue in queues):
            held_to = doubtful.intersection(keys(lane.queue, lane.tenant, lane.type, head.model, head.tool))
            waited_for |= {key for key in held_to if rooms.hindrance(key, lane) is not None}
    return {key: key in waited_for for key in waited_for ^ was}


def _is_news(limit: Limit | None, size: int) -> bool:
    known = limit.runway if limit else None
    return known is None or abs(known - size) > known / 4


def _next_s(queues: Sequence[Queues], so_far: _Progress) -> float | None:
    """At once where there is room for more than was shown."""
    if any(queue.is_full and queue.has_room for queue in queues):
        return 0.0
    return None if so_far.next_s == NOBODY_KNOWS else so_far.next_s


def _turns_after(turns: Turns, queues: Sequence[Queues]) -> Turns:
    """Who no longer waits is forgotten: coming back, it begins behind the others."""
    got = {(queue.name, *place): amount for queue in queues for place, amount in queue.got.items()}
    now = {(queue.name, level): amount for queue in queues for level, amount in queue.now.items()}
    choices = {key: number for queue in queues for key, number in queue.counts().items()}
    filled = {queue.names: queue.published for queue in queues if queue.is_full}
    return Turns(got, now, choices, turns.first + 1, filled)
