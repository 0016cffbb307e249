"""What holds of every decision, whatever waits and whichever limits there are. [E1] [E2] INV5"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentapp.policies import admission, pace, priority
from agentapp.policies.backlog import Backlog, Busy, Decision, Head, Lane, Limit, Turns, keys
from tests.pure.backlogs import AGEING_S, NEVER_S, admitted, after, under_way

moderate = settings(max_examples=100, deadline=None)

_limits = st.builds(
    Limit, key=st.just(""), concurrency=st.none() | st.integers(0, 6), reserved=st.integers(0, 2),
    request_s=st.none() | st.sampled_from([0.5, 2.0]), request_burst=st.integers(1, 4),
    request_ahead_s=st.floats(-1, 3), token_s=st.none() | st.just(0.01), token_burst=st.sampled_from([100, 1000]),
    token_ahead_s=st.floats(-1, 3), tokens_each=st.sampled_from([0, 0, 10, 300]),
    mode=st.sampled_from(["open"] * 5 + ["paused", "draining"]), holds=st.booleans(),
    breaker=st.sampled_from(["closed"] * 5 + ["open", "half_open"]), closed_s=st.sampled_from([0.0] * 5 + [5.0]),
)  # fmt: skip
_KEYS = ["global", "job_type:a", "job_type:b", "queue:q", "queue:r", "tenant:1", "tenant:2", "tenant:3", "model:m"]
_names: dict[str, Any] = {
    "queue": st.sampled_from("qr"), "tenant": st.integers(1, 3), "type": st.sampled_from("ab"),
}  # fmt: skip
_heads = st.lists(
    st.builds(Head, age_s=st.floats(0, 200), model=st.sampled_from(["", "m"]), begun=st.booleans()), min_size=1, max_size=5
).map(lambda heads: tuple(sorted(heads, key=lambda head: -head.age_s)))
_lanes = st.builds(Lane, **_names, priority=st.integers(0, 3), heads=_heads, has_more=st.booleans())
_busy = st.builds(
    Busy, **_names, model=st.sampled_from(["", "m"]), running=st.integers(0, 2), published=st.integers(0, 2)
)
backlogs = st.builds(
    Backlog,
    lanes=st.lists(_lanes, max_size=12, unique_by=lambda lane: (lane.queue, lane.tenant, lane.priority, lane.type)),
    busy=st.lists(_busy, max_size=5),
    limits=st.dictionaries(st.sampled_from(_KEYS), _limits, max_size=6).map(
        lambda found: [replace(limit, key=key) for key, limit in found.items()]
    ),
    weights=st.dictionaries(st.integers(1, 3), st.sampled_from([0.5, 3.0]), max_size=2),
)
turns = st.builds(
    Turns,
    served=st.dictionaries(st.tuples(st.sampled_from("qr"), st.integers(1, 3)), st.integers(0, 9)),
    choices=st.dictionaries(st.sampled_from(["q", "r", "q/", "q/a", "q/m", "r/"]), st.integers(0, 9)),
    first=st.integers(0, 3),
)


def jobs(decision: Decision) -> list[tuple[Lane, Head]]:
    """Every job that was admitted."""
    return [(lane, head) for lane, count in admitted(decision).items() for head in lane.heads[:count]]


def held_to(lane: Lane, head: Head) -> tuple[str, ...]:
    return keys(lane.queue, lane.tenant, lane.type, head.model, head.tool)


def lets_pass(lane: Lane, backlog: Backlog, *only: str) -> bool:
    """Tell whether these keys, or all of them, would let the lane's oldest job pass if it were the only one."""
    limits = [limit for limit in backlog.limits if not only or limit.key in only or limit.key.startswith("job_type:")]
    # A job type tells how many tokens are taken; it stops nobody, if it is not asked.
    limits = [
        limit if not only or limit.key in only else Limit(limit.key, tokens_each=limit.tokens_each) for limit in limits
    ]
    alone = replace(backlog, lanes=[lane], limits=limits, slots={lane.queue: 400})
    return bool(admission.decide(alone, Turns(), ageing_s=NEVER_S).admitted)


@moderate
@given(backlogs, turns)
def test_no_key_is_ever_overrun(backlog: Backlog, turns: Turns) -> None:
    decision = admission.decide(backlog, turns, ageing_s=AGEING_S)

    before, tokens = under_way(backlog), Counter[str]()
    each = {limit.key: limit.tokens_each for limit in backlog.limits}
    published = {replace(item, running=0) for item in backlog.busy}
    assert published is not None
    new, not_urgent = Counter[str](), Counter[str]()
    for lane, head in jobs(decision):
        new.update(held_to(lane, head))
        not_urgent.update(held_to(lane, head) if lane.priority > priority.URGENT else ())
    for limit in backlog.limits:
        key = limit.key
        if limit.concurrency is not None:
            assert before[key] + new[key] <= max(limit.concurrency, before[key])
            assert before[key] + not_urgent[key] <= max(limit.concurrency - limit.reserved, before[key])
