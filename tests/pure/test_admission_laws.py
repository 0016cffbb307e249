"""What holds of every decision, whatever waits and whichever limits there are. [E1] [E2] [E4] [E5] INV5"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentapp.policies import admission, ordering, pace, priority
from agentapp.policies.backlog import Backlog, Busy, Decision, Head, Lane, Limit, Turns, keys
from tests.pure import quick
from tests.pure.backlogs import AGEING_S, NEVER_S, admitted, after, under_way

# Most keys are open, most meters rest: else nothing would ever pass.
_said: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "concurrency": st.integers(0, 6), "reserved": st.integers(0, 2), "holds": st.booleans(),
        "request_s": st.just(2.0), "request_burst": st.integers(1, 4), "request_ahead_s": st.integers(-1, 5),
        "token_s": st.just(0.01), "token_burst": st.sampled_from([100, 1000]), "token_ahead_s": st.integers(-1, 5),
        "tokens_each": st.sampled_from([10, 300]), "mode": st.sampled_from(["open", "open", "paused"]),
        "breaker": st.sampled_from(["closed", "open", "half_open"]), "closed_s": st.sampled_from([0, 0, 5]),
    },
)  # fmt: skip
_KEYS = ["global", "job_type:a", "job_type:b", "queue:q", "queue:r", "tenant:1", "tenant:2", "tenant:3", "model:m"]
_names: dict[str, Any] = {
    "queue": st.sampled_from("qqr"), "tenant": st.integers(1, 3), "type": st.sampled_from("ab"),
}  # fmt: skip
# Drawn as a whole, which is much faster: up to four jobs, the oldest first.
_ages = [(1,), (40,), (100,), (100, 40), (100, 100, 1), (40, 40, 1, 1)]
_heads = st.sampled_from(
    [
        tuple(Head(age_s, models[number % 2].strip()) for number, age_s in enumerate(ages))
        for ages, models in product(_ages, ("mm", "  ", " m"))
    ]
)
_lanes = st.builds(Lane, **_names, priority=st.integers(0, 3), heads=_heads, has_more=st.booleans())
_busy = st.builds(
    Busy, **_names, model=st.sampled_from(["", "m"]), running=st.integers(0, 2), published=st.sampled_from([0, 1, 7])
)
backlogs = st.builds(
    Backlog,
    lanes=st.lists(_lanes, max_size=8, unique_by=lambda lane: (lane.queue, lane.tenant, lane.priority, lane.type)),
    busy=st.lists(_busy, max_size=4),
    limits=st.dictionaries(st.sampled_from(_KEYS), _said, max_size=5).map(
        lambda limits: [Limit(key, **said) for key, said in limits.items()]
    ),
    served=st.sampled_from([(), [["q"], ["r"]], [["q", "r"]], [["r"], ["q", "r"]], [["r", "q", "s"], ["s"]]]),
    weights=st.dictionaries(st.integers(1, 3), st.sampled_from([0.5, 3.0]), max_size=2),
)
turns = st.builds(
    Turns,
    got=st.dictionaries(st.sampled_from([("q", 0, 1), ("q", 2, 2), ("r", 2, 1), ("q+r", 2, 1)]), st.floats(0, 9)),
    now=st.dictionaries(st.sampled_from([("q", 0), ("q", 2), ("r", 2), ("q+r", 2)]), st.floats(0, 9)),
    choices=st.dictionaries(st.sampled_from(["q", "q/", "q/a", "q/m", "r/", "q+r", "q+r/m"]), st.integers(0, 9)),
    first=st.integers(0, 3),
)


def beside(backlog: Backlog, lane: Lane) -> tuple[str, ...]:
    """The queue of a lane and those that the same workers serve."""
    every = ordering.together(backlog.served, {lane.queue for lane in backlog.lanes})
    return next(names for names in every if lane.queue in names)


def held_to(lane: Lane, head: Head) -> tuple[str, ...]:
    return keys(lane.queue, lane.tenant, lane.type, head.model, head.tool)


def lets_pass(backlog: Backlog, lane: Lane, *only: str) -> bool:
    """Tell whether these keys, or all, would let the lane's oldest job pass if it were alone before an empty broker."""
    limits = [
        limit if not only or limit.key in only else Limit(limit.key, tokens_each=limit.tokens_each)
        for limit in backlog.limits
    ]
    alone = replace(backlog, lanes=[lane], limits=limits, served=[[lane.queue]])
    return bool(admission.decide(alone, Turns(), ageing_s=NEVER_S).admitted)


class Taken:
    """What a decision took of a key, and what was under way before."""

    def __init__(self, key: str, backlog: Backlog, decision: Decision) -> None:
        self.jobs = [
            (lane, head)
            for lane, count in admitted(decision).items()
            for head in lane.heads[:count]
            if key in held_to(lane, head)
        ]
        each = {limit.key: limit.tokens_each for limit in backlog.limits}
        self.tokens = [each.get(f"job_type:{lane.type}", 0) for lane, _ in self.jobs]
        busy = [item for item in backlog.busy if key in keys(item.queue, item.tenant, item.type, item.model, item.tool)]
        self.published = sum(item.published for item in busy)
        self.before = self.published + sum(item.running for item in busy)
        self.tokens_before = sum(item.published * each.get(f"job_type:{item.type}", 0) for item in busy)


@quick
@given(backlogs, turns)
def test_no_limit_is_ever_exceeded(backlog: Backlog, turns: Turns) -> None:
    decision = admission.decide(backlog, turns, ageing_s=AGEING_S)

    for limit in backlog.limits:
        taken = Taken(limit.key, backlog, decision)
        if not taken.jobs:
            continue
        assert limit.mode != "paused" and limit.closed_s == 0
        assert limit.breaker == "closed" or taken.published + len(taken.jobs) == 1
        if limit.concurrency is not None:
            ordinary = [lane for lane, _ in taken.jobs if lane.priority > priority.URGENT]
            assert taken.before + len(taken.jobs) <= limit.concurrency
            assert not ordinary or taken.before + len(ordinary) <= limit.concurrency - limit.reserved
        if limit.request_s is not None:
            ahead_s, burst = limit.request_ahead_s, limit.request_burst
            room = pace.room(ahead_s=ahead_s, step_s=limit.request_s, burst=burst)
            assert taken.published + len(taken.jobs) <= room
        if limit.token_s is not None:
            ahead_s = max(limit.token_ahead_s, 0) + (taken.tokens_before + sum(taken.tokens)) * limit.token_s
            assert ahead_s <= max(limit.token_burst, *taken.tokens, 0) * limit.token_s + pace.GRAIN_S
    published = under_way(replace(backlog, busy=[replace(item, running=0) for item in backlog.busy]))
    for names, count in Counter(beside(backlog, lane) for lane in admitted(decision).elements()).items():
        assert sum(published[f"queue:{name}"] for name in names) + count <= admission.SHORTEST_RUNWAY


@quick
@given(backlogs, turns)
def test_nobody_is_left_behind_who_could_pass(backlog: Backlog, turns: Turns) -> None:
    first = admission.decide(backlog, turns, ageing_s=AGEING_S)

    assert admission.decide(after(backlog, first), first.turns, ageing_s=AGEING_S).admitted == ()


@quick
@given(backlogs, turns)
def test_a_key_is_held_while_it_stops_somebody_and_no_longer(backlog: Backlog, turns: Turns) -> None:
    decision = admission.decide(backlog, turns, ageing_s=AGEING_S)

    then = after(backlog, decision)
    let_go = {key for key, holds in decision.holds.items() if not holds}
    held = {limit.key for limit in backlog.limits if limit.holds} - let_go | (decision.holds.keys() - let_go)
    waiting = [(lane, set(held_to(lane, lane.heads[0]))) for lane in then.lanes]
    stopped_by = [{key for key in keys if not lets_pass(then, lane, key)} for lane, keys in waiting]
    assert {key for key in held if not key.startswith("queue:")} <= set[str]().union(*stopped_by)
    assert all(held & keys for _, keys in waiting)
    # A key that came to stop a job only after another had done so is found by the next decision.
    assert all(held & keys for keys in stopped_by if let_go & keys)


@quick
@given(backlogs, turns)
def test_nobody_less_urgent_is_admitted_before_who_could_pass(backlog: Backlog, turns: Turns) -> None:
    decision = admission.decide(backlog, turns, ageing_s=NEVER_S)

    then = after(backlog, decision)
    for left in then.lanes:
        if any(lane.queue in beside(backlog, left) and lane.priority > left.priority for lane in admitted(decision)):
            assert not lets_pass(then, left)


@quick
@given(backlogs, turns, st.data())
def test_the_order_in_which_lanes_are_told_decides_nothing(backlog: Backlog, turns: Turns, data: st.DataObject) -> None:
    shuffled = replace(backlog, lanes=data.draw(st.permutations(backlog.lanes)))

    assert admission.decide(shuffled, turns, ageing_s=AGEING_S) == admission.decide(backlog, turns, ageing_s=AGEING_S)


@quick
@given(backlogs, turns)
def test_no_tenant_gets_more_for_its_weight_while_another_waits(backlog: Backlog, turns: Turns) -> None:
    same = replace(backlog, limits=[], lanes=[replace(lane, priority=2) for lane in backlog.lanes])
    decision = admission.decide(same, turns, ageing_s=NEVER_S)

    then = after(same, decision)
    for left in then.lanes:
        for lane in admitted(decision):
            if lane.queue in beside(backlog, left):
                assert share(then, lane, without=1) <= share(then, left) + 1e-9


def share(backlog: Backlog, lane: Lane, *, without: int = 0) -> float:
    """What is under way of the lane's tenant in its queue and those beside it, for its weight."""
    names = beside(backlog, lane)
    busy = [item for item in backlog.busy if item.queue in names and item.tenant == lane.tenant]
    count = sum(item.running + item.published for item in busy)
    return (count - without) / backlog.weights.get(lane.tenant, 1.0)
