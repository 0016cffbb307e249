"""How much of everything is left while an admission is decided."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from agentapp.policies import pace
from agentapp.policies.backlog import Backlog, Lane, Limit, keys
from agentapp.policies.priority import URGENT

# A breaker that was open lets one through and waits for what becomes of it.
PROBES = 1
NOBODY_KNOWS = float("inf")
NARROW = ("model:", "tool:", "job_type:")


class Rooms:
    """How much of everything is left while a decision is made."""

    def __init__(self, backlog: Backlog) -> None:
        self._limits = {limit.key: limit for limit in backlog.limits}
        running: dict[str, int] = defaultdict(int)
        published: dict[str, int] = defaultdict(int)
        self._tokens_owed: dict[str, int] = defaultdict(int)
        for item in backlog.busy:
            tokens_owed = item.published * self.tokens_each(item.type)
            for key in keys(item.queue, item.tenant, item.type, item.model, item.tool):
                running[key] += item.running
                published[key] += item.published
                self._tokens_owed[key] += tokens_owed
        # Published jobs have not taken their slot, nor their share of a meter, yet.
        self.published = published
        self._slots: dict[str, int] = {}
        self._probes: dict[str, int] = {}
        self._requests: dict[str, int] = {}
        for key, limit in self._limits.items():
            if limit.concurrency is not None:
                self._slots[key] = limit.concurrency - running[key] - published[key]
            if limit.breaker != "closed":
                self._probes[key] = PROBES - published[key]
            if limit.request_s is not None:
                may_pass = pace.room(ahead_s=limit.request_ahead_s, step_s=limit.request_s, burst=limit.request_burst)
                self._requests[key] = may_pass - published[key]

    def limit(self, key: str) -> Limit | None:
        return self._limits.get(key)

    def tokens_each(self, type: str) -> int:
        limit = self._limits.get(f"job_type:{type}")
        return limit.tokens_each if limit else 0

    def hindrance(self, key: str, lane: Lane) -> float | None:
        """Return None where the key lets this job pass, else after how many seconds that may change (inf: nobody can
        tell)."""
        limit = self._limits.get(key)
        if limit is None:
            return None
        if limit.mode == "paused":
            return NOBODY_KNOWS
        if limit.closed_s > 0:
            return limit.closed_s
        if self._probes.get(key, PROBES) <= 0:
            return NOBODY_KNOWS
        if key in self._slots and self._slots[key] - (limit.reserved if lane.level > URGENT else 0) <= 0:
            return NOBODY_KNOWS
        if limit.request_s is not None and self._requests[key] <= 0:
            ahead_s, burst = limit.request_ahead_s, limit.request_burst
            return pace.opens_in_s(ahead_s=ahead_s, step_s=limit.request_s, burst=burst) or NOBODY_KNOWS
        if limit.token_s is not None:
            return self._token_hindrance(limit, limit.token_s, self.tokens_each(lane.type))
        return None

    def _token_hindrance(self, limit: Limit, step_s: float, each: int) -> float | None:
        ahead_s, burst = max(limit.token_ahead_s, 0.0), limit.token_burst
        # The others take as many as their job types do, not as many as this one.
        owed_s = self._tokens_owed[limit.key] * step_s
        if pace.room(ahead_s=ahead_s + owed_s, step_s=step_s, burst=burst, each=each) > 0:
            return None
        return pace.opens_in_s(ahead_s=ahead_s, step_s=step_s, burst=burst, each=each) or NOBODY_KNOWS

    def has_narrow_slot(self, held_to: Iterable[str]) -> bool:
        """Tell whether one of these keys is a model, a tool or a job type whose slots are counted."""
        return any(key in self._slots and key.startswith(NARROW) for key in held_to)

    def take(self, held_to: Iterable[str], type: str) -> None:
        """A job of this type, which is held to these keys, is admitted."""
        tokens = self.tokens_each(type)
        for key in held_to:
            for room in (self._slots, self._probes, self._requests):
                if key in room:
                    room[key] -= 1
            self._tokens_owed[key] += tokens
