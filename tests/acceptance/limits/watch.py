"""A look at the rows, again and again: how much ran at one moment, and for how long a slot was idle beside work."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import Any, Self

from tests.acceptance.deployment import Deployment

# One snapshot: what runs, and which kinds of jobs wait. A kind is what has the same keys.
LOOK = """
SELECT coalesce(jsonb_agg(jsonb_build_array(state, tenant_id, type, model, tool, n)), '[]') FROM (
  SELECT state, tenant_id, type, model, tool, count(*) AS n FROM agentapp_job
   WHERE state IN ('running', 'available', 'scheduled') GROUP BY 1, 2, 3, 4, 5) x
"""
EVERY_S = 0.005


class Watch:
    """`caps` are limits by key; `most` is the highest that was seen of each, `idle_s` the longest time for which a job
    waited although no cap and no slot was in its way."""

    def __init__(self, deployment: Deployment, caps: dict[str, int], *, slots: int) -> None:
        self.caps = caps
        self.most: dict[str, int] = defaultdict(int)
        self.idle_s = 0.0
        self.looks = 0
        self._slots = slots
        self._deployment = deployment
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._idle_since: dict[tuple[Any, ...], float] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        with self._deployment.sql() as session:
            while not self._over.wait(EVERY_S):
                row = session.execute(LOOK).fetchone()
                self._learn(row[0] if row else [], time.monotonic())

    def _learn(self, found: list[list[Any]], now_s: float) -> None:
        self.looks += 1
        running: dict[str, int] = defaultdict(int)
        waiting = set()
        for state, *kind, n in found:
            if state == "running":
                for key in keys(*kind):
                    running[key] += n
            else:
                waiting.add(tuple(kind))
        for key in self.caps:
            self.most[key] = max(self.most[key], running[key])
        could_run = {
            kind for kind in waiting
            if running["global"] < self._slots
            and all(running[key] < self.caps.get(key, self._slots) for key in keys(*kind))
        }  # fmt: skip
        self._idle_since = {kind: self._idle_since.get(kind, now_s) for kind in could_run}
        self.idle_s = max([self.idle_s, *(now_s - since for since in self._idle_since.values())])


def keys(tenant: int, type: str, model: str, tool: str) -> list[str]:
    return ["global", f"tenant:{tenant}", f"job_type:{type}", f"model:{model}", f"tool:{tool}"]
