"""How fast work begins, how long bodies run, what waits: counted by the workers, summed up here once a second."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from agentapp import conf, registry
from agentapp.dispatch.stager import ALIVE_HEARTBEATS
from agentapp.lifecycle import admit, database, gates
from agentapp.models import ModelChoice, Tenant, Worker
from agentapp.observability import events
from agentapp.tools import registry as tools

EVERY_S = 1.0
# A count over a long backlog may take its time; it must not take more than a twentieth of ours.
REST_TIMES = 20
# Rates follow what happens within about so long.
MEMORY_S = 5.0
# As good as nothing.
NOTHING_PER_S = 1e-4

Counts = dict[str, list[float]]


@dataclass
class Measurer:
    """Keeps what each worker process had counted at the last look."""

    known: dict[int, Counts] = field(default_factory=dict)
    per_s: dict[str, float] = field(default_factory=dict)
    run_s: dict[str, float] = field(default_factory=dict)
    looked_at_s: float = 0.0
    next_at_s: float = 0.0

    def measure(self) -> int:
        """Sum up, if it is time; return 0, because nothing follows from it."""
        now_s = time.monotonic()
        if now_s < self.next_at_s:
            return 0
        if not self.looked_at_s:
            gates.know(_keys())
        workers = list(Worker.objects.filter(seen_at__gt=database.moment() - _alive_for()))
        self._learn({worker.pk: worker.counts for worker in workers}, elapsed_s=now_s - (self.looked_at_s or now_s))
        self.looked_at_s = now_s
        slots: dict[str, int] = defaultdict(int)
        for worker in workers:
            for queue in worker.queues if worker.draining_at is None else ():
                slots[queue] += worker.slots
        admit.measure(per_s=self.per_s, run_s=self.run_s, slots=slots)
        self.next_at_s = now_s + max(EVERY_S, REST_TIMES * (time.monotonic() - now_s))
        return 0

    def _learn(self, found: dict[int, Counts], *, elapsed_s: float) -> None:
        """Take in what was counted since the last look. A process that is seen first tells nothing yet."""
        fresh: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for process, counts in found.items():
            if (before := self.known.get(process)) is None:
                continue
            for key, (n, seconds) in counts.items():
                if key.startswith(events.COUNTED):
                    continue
                known_n, known_s = before.get(key, (0, 0))
                if n > known_n:
                    fresh[key][0] += n - known_n
                    fresh[key][1] += seconds - known_s
        self.known = found
        if elapsed_s <= 0:
            return
        share = min(1.0, elapsed_s / MEMORY_S)
        # Told once more as nothing, then forgotten.
        self.per_s = {key: rate for key, rate in self.per_s.items() if rate or key in fresh}
        for key in {*self.per_s, *(key for key in fresh if not key.startswith("job_type:"))}:
            before_s = self.per_s.get(key, 0.0)
            rate = before_s + (fresh[key][0] / elapsed_s - before_s) * share
            self.per_s[key] = rate if rate > NOTHING_PER_S else 0.0
        for key, (n, seconds) in fresh.items():
            if key.startswith("job_type:") and n:
                type = key.removeprefix("job_type:")
                known_s = self.run_s.get(type, seconds / n)
                self.run_s[type] = known_s + (seconds / n - known_s) * share


def _alive_for() -> timedelta:
    return timedelta(seconds=conf.heartbeat_s() * ALIVE_HEARTBEATS)


def _keys() -> set[str]:
    """Every key that can be named before it is used."""
    chosen = ModelChoice.objects.values_list("limit_name", "fallback_limit_name")
    models = registry.models(chat=conf.model_name(), embedding=conf.embedding_model()).values()
    return {
        "global",
        *(f"queue:{queue}" for queue in registry.worker_classes),
        *(f"job_type:{name}" for name in registry.job_types),
        *(f"model:{model}" for model in models),
        *(f"model:{name}" for names in chosen for name in names if name),
        *(f"tool:{known.tool}" for known in registry.job_types.values() if known.tool),
        *(f"tool:{tool.name}" for tool in tools.registered()),
        *(f"tenant:{tenant}" for tenant in Tenant.objects.values_list("pk", flat=True)),
    }
