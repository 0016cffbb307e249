"""How long tasks wait with so many slots for each worker class: simulated, and measured beside it on a real stack.

    python -m bench.capacity --per-s 6 --slots retrieval=5 model=6 send=2 --tasks 600 --seed 1 [--measure]

A task is three retrievals of 0.2 s, a draft of 0.8 s and a send of 0.2 s, on average. `--measure` starts a worker
process for each class, posts the very tasks of the simulation at their moments, and compares. What a job waits where a
slot is free is measured first, with tasks that run alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis

from agentapp.local.stack import LocalStack
from bench import queues
from bench.claims import p95
from bench.throughput import DONE, URLS, WORKER, environment, with_db

BOUND = 0.15
ALONE = 20


def commands(slots: dict[str, int]) -> dict[str, str]:
    lines = {"dispatcher": "exec python manage.py run_dispatcher"}
    for name in queues.CLASSES:
        pool = f"-P threads -c {slots[name]} -Q {name}"
        lines[f"worker_{name}"] = WORKER.format(prefix=URLS, app="config", pool=pool) + f" -n {name}@%h"
    return lines


def measured(tasks: Sequence[queues.Task], slots: dict[str, int]) -> tuple[queues.Waits, float]:
    """Post the tasks at their moments; return what was waited, and the wait of a job that has a slot, in seconds."""
    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    env = environment()
    with LocalStack(home, commands=commands(slots), env=env, say=print) as stack:
        url = stack.stack["redis_url"]
        os.environ |= env | {
            "DATABASE_URL": stack.stack["database_url"], "REDIS_URL": url, "AGENTAPP_HOME": str(home),
            "BENCH_RECORDER_URL": with_db(url, 2),
        }  # fmt: skip
        import django

        django.setup()
        from agentapp.policies.permissions import API_SCOPES
        from agentapp.services import api_keys, principals, tenants, workflows

        tenant = tenants.create(slug="bench", name="Benchmark")
        principal = principals.of_key(api_keys.create(tenant=tenant, name="bench", scopes=list(API_SCOPES))[0])
        done: Any = redis.Redis.from_url(os.environ["BENCH_RECORDER_URL"], socket_timeout=None)

        def submit(task: queues.Task) -> Any:
            takes = task.takes_s
            given = {"retrieve_s": takes["retrieval"], "draft_s": takes["model"][0], "send_s": takes["send"][0]}
            return workflows.submit(principal, kind="bench_queue", input=given).pk

        def wait() -> None:
            if done.blpop([DONE], timeout=120) is None:
                raise SystemExit("No task was finished within two minutes.")

        for task in tasks[: ALONE // 4]:
            submit(task)
            wait()
        hop_s = statistics.mean(wait_s for waits in alone(tasks[:ALONE], submit, wait).values() for wait_s in waits)
        began, posted = time.monotonic(), []
        for task in tasks:
            time.sleep(max(0.0, began + task.at_s - time.monotonic()))
            posted.append(submit(task))
        for _ in tasks:
            wait()
        return waited(posted), hop_s


def alone(
    tasks: Sequence[queues.Task], submit: Callable[[queues.Task], Any], wait: Callable[[], None]
) -> dict[str, list[float]]:
    posted = []
    for task in tasks:
        posted.append(submit(task))
        wait()
    return waited(posted).of_class


def waited(posted: Sequence[Any]) -> queues.Waits:
    """What rows say of these tasks. The last of them are recorded a moment before their rows are."""
    from agentapp.models import Job, Workflow

    while Workflow.objects.filter(pk__in=posted, finished_at=None).exists():
        time.sleep(0.05)
    found = queues.Waits()
    jobs: Any = Job.objects.filter(workflow__in=posted).values_list("queue", "available_at", "started_at")
    for queue, available_at, started_at in jobs:
        found.of_class[queue].append((started_at - available_at).total_seconds())
    tasks: Any = Workflow.objects.filter(pk__in=posted).values_list("created_at", "finished_at")
    for created_at, finished_at in tasks:
        found.answers_s.append((finished_at - created_at).total_seconds())
    return found


def figures(found: queues.Waits) -> dict[str, float]:
    lines = {f"{name}: mean wait": statistics.mean(found.of_class[name]) for name in queues.CLASSES}
    return lines | {
        "task: mean": statistics.mean(found.answers_s), "task: median": statistics.median(found.answers_s),
        "task: p95": p95(found.answers_s),
    }  # fmt: skip


def slots_of(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if name not in queues.CLASSES or not number.isdigit() or not int(number):
        raise argparse.ArgumentTypeError(f"{text} is not such as model=6; the classes are {', '.join(queues.CLASSES)}.")
    return name, int(number)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-s", type=float, default=6.0, help="tasks that come in a second")
    parser.add_argument("--slots", type=slots_of, nargs="+", default=[])
    parser.add_argument("--tasks", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--hop-ms", type=float, default=5.0, help="what a job waits where a slot is free; measured by --measure"
    )
    parser.add_argument("--measure", action="store_true", help="run the same tasks on a real stack beside it")
    options = parser.parse_args()
    slots = {"retrieval": 5, "model": 6, "send": 2} | dict(options.slots)
    tasks = queues.drawn(tasks=options.tasks, per_s=options.per_s, seed=options.seed)
    busy = queues.utilization(options.per_s, slots)
    print(f"{options.tasks} tasks, {options.per_s:g} a second, seed {options.seed}")
    print("slots: " + ", ".join(f"{name} {slots[name]} ({busy[name]:.0%} busy)" for name in queues.CLASSES))
    for name in queues.CLASSES:
        if busy[name] >= 1:
            print(f"{name} has too few slots: its queue grows for as long as tasks come, and so do these waits.")
    hop_s, real = options.hop_ms / 1000, None
    if options.measure:
        real, hop_s = measured(tasks, slots)
    return report(figures(queues.simulated(tasks, slots, hop_s=hop_s)), figures(real) if real else None, hop_s)


def report(simulated: dict[str, float], real: dict[str, float] | None, hop_s: float) -> int:
    """Print what is waited in seconds; return 1 if a measured figure of whole tasks is off by more than BOUND."""
    print(f"a job waits {hop_s * 1000:.1f} ms where a slot is free\n")
    print(f"{'seconds':24}{'simulated':>12}" + (f"{'measured':>12}{'ratio':>8}" if real else ""))
    is_off = False
    for name, value in simulated.items():
        line = f"{name:24}{value:>12.3f}"
        if real:
            ratio = real[name] / value
            is_off |= name.startswith("task") and abs(ratio - 1) > BOUND
            line += f"{real[name]:>12.3f}{ratio:>8.2f}"
        print(line)
    if is_off:
        print(f"\nA figure of whole tasks is off by more than {BOUND:.0%}.")
    return int(is_off)


if __name__ == "__main__":
    sys.exit(main())
