"""What the bodies of bench/recovery.py did, recorded outside of Postgres: no lease and no transaction takes it back."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from typing import Any

import redis

RUNS = "bench:runs"
SENT = "bench:sent"

Key = tuple[str, str]

_client = redis.Redis.from_url(
    os.environ.get("BENCH_RECORDER_URL") or os.environ.get("REDIS_URL") or "redis://127.0.0.1:1/0"
)


@dataclass(frozen=True)
class Run:
    """One run of a body: of which workflow and step, and when in seconds since the epoch; None = it was cut off."""

    key: Key
    began_at: float
    ended_at: float | None


def work(workflow_id: str, step: str, *, pause_s: float) -> None:
    """Be a body: it takes a while, as if it waited for a model."""
    _write(workflow_id, step, "began")
    time.sleep(pause_s)
    _write(workflow_id, step, "ended")


def send(workflow_id: str) -> dict[str, Any]:
    """The outside world: a list that counts every call."""
    return {"recorded": _client.rpush(SENT, workflow_id)}


def was_sent(workflow_id: str) -> dict[str, Any] | None:
    """The outside world can be asked, like a provider that knows idempotency keys."""
    place: Any = _client.lpos(SENT, workflow_id)
    return None if place is None else {"recorded": place + 1}


def _write(workflow_id: str, step: str, what: str) -> None:
    _client.rpush(RUNS, json.dumps([workflow_id, step, what, time.time()]))


class Record:
    """The record as the benchmark reads it."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def forget(self) -> None:
        self._client.delete(RUNS, SENT)

    def begun(self) -> int:
        """About how many bodies have begun; cheap enough to ask often."""
        count: Any = self._client.llen(RUNS)
        return (int(count) + 1) // 2

    def sent(self) -> list[str]:
        entries: Any = self._client.lrange(SENT, 0, -1)
        return [entry.decode() for entry in entries]

    def runs(self) -> list[Run]:
        """Every run of a body, in the order of their beginnings."""
        entries: Any = self._client.lrange(RUNS, 0, -1)
        open_runs: dict[Key, list[float]] = {}
        found: list[Run] = []
        for workflow_id, step, what, moment in map(json.loads, entries):
            key = (workflow_id, step)
            if what == "began":
                open_runs.setdefault(key, []).append(moment)
            else:
                # The latest beginning: an earlier one that is still open was cut off.
                found.append(Run(key, open_runs[key].pop(), moment))
        found += [Run(key, moment, None) for key, moments in open_runs.items() for moment in moments]
        return sorted(found, key=lambda run: run.began_at)
