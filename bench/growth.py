"""What a workflow costs beside many rows, and what a part of a wide fan-out costs, in alternating rounds.

    python -m bench.growth --rows 1000 1000000 --workflows 400 --rounds 6
    python -m bench.growth --parts 100 10000 --rounds 3

Two stacks stand side by side, and take turns, so that a change of the machine's speed meets both. `--rows`: each holds
so many jobs of tasks that are over, with everything that belongs to them. `--parts`: each round runs 10,000 parts, in
tasks of so many each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

from agentapp.local.stack import LocalStack
from bench import turns
from bench.throughput import commands, environment, one_round, with_db

JOBS_EACH = 6
SAMPLES = 100
PARTS = 10_000
# What is copied, in the order of what refers to what, and the columns that name a row of these.
TABLES = {
    "agentapp_workflow": {"id"},
    "agentapp_stage": {"id", "workflow_id"},
    "agentapp_job": {"id", "workflow_id", "stage_id", "lease_token"},
    "agentapp_attempt": {"id", "job_id"},
    "agentapp_history": {"workflow_id", "job_id"},
    "agentapp_effect": {"id", "workflow_id", "job_id", "key"},
}
# A copy's names: of a uuid six digits in the middle change, so that it stays in its place in the order of time.
COPIED = {
    "uuid": "(left({0}::text, 15) || lpad(to_hex(n / 4096), 3, '0') || '-8' || lpad(to_hex(mod(n, 4096)), 3, '0')"
    " || right({0}::text, 13))::uuid",
    "bigint": "{0} + n * 1000000::bigint",
    "character varying": "left({0}, 150) || ':' || n",
}


def fill(rows: int) -> None:
    """Copy the finished tasks until there are about so many jobs."""
    from django.db import connection

    with connection.cursor() as cursor:
        for table, names in TABLES.items():
            cursor.execute(
                "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s"
                " AND is_generated = 'NEVER' ORDER BY ordinal_position",
                [table],
            )
            columns = dict(cursor.fetchall())
            values = [COPIED[kind].format(name) if name in names else name for name, kind in columns.items()]
            quoted = ", ".join(f'"{name}"' for name in columns)
            cursor.execute(
                f"INSERT INTO {table} ({quoted}) SELECT {', '.join(values)} FROM {table},"
                " generate_series(1, %s) AS copies(n)",
                [max(1, round(rows / (SAMPLES * JOBS_EACH))) - 1],
            )
        cursor.execute("VACUUM ANALYZE")


def stand(options: argparse.Namespace) -> None:
    """Be one of the stacks: answer each line that is read with one round's figures."""
    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    env = environment()
    ours = {name: line for name, line in commands("threads").items() if not name.startswith("plain")}
    with LocalStack(home, commands=ours, env=env, say=lambda *_: None) as stack:
        url = stack.stack["redis_url"]
        os.environ |= env | {
            "DATABASE_URL": stack.stack["database_url"], "REDIS_URL": url, "AGENTAPP_HOME": str(home),
            "BENCH_BROKER_URL": with_db(url, 1), "BENCH_RECORDER_URL": with_db(url, 2),
        }  # fmt: skip
        turns.answer(prepared(stack, options))


def prepared(stack: LocalStack, options: argparse.Namespace) -> Callable[[], dict[str, float]]:
    """Fill the tables, warm up, and return what runs one round."""
    import django

    django.setup()
    from agentapp.policies.permissions import API_SCOPES
    from agentapp.services import api_keys, principals, tenants, workflows

    tenant = tenants.create(slug="bench", name="Benchmark")
    principal = principals.of_key(api_keys.create(tenant=tenant, name="bench", scopes=list(API_SCOPES))[0])
    done = redis.Redis.from_url(os.environ["BENCH_RECORDER_URL"], socket_timeout=None)
    pids = stack.stack["pids"] | {"driver": os.getpid()}
    opened: list[float] = []

    def submit(name: str) -> str:
        started = time.monotonic()
        kind, given = "bench_six", {"question": "what does it cost?"}
        if options.parts:
            kind, given = "bench_wide", {"parts": list(range(options.parts[0]))}  # type: ignore[dict-item]
        run = workflows.submit(principal, kind=kind, input=given)
        opened.append(time.monotonic() - started)
        return str(run.pk)

    tasks = PARTS // options.parts[0] if options.parts else options.workflows
    at_once = 10 if options.parts else 100
    one_round(submit, done, workflows=1 if options.parts else SAMPLES, in_flight=min(at_once, 20), pids=pids)
    if options.rows:
        fill(options.rows[0])

    def run() -> dict[str, float]:
        opened.clear()
        result = one_round(submit, done, workflows=tasks, in_flight=min(tasks, at_once), pids=pids)
        each = PARTS / tasks if options.parts else 1
        return {"cpu_ms": result.cpu_total / each, "per_s": result.per_s, "submit_s": statistics.median(opened)}

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[])
    parser.add_argument("--parts", type=int, nargs="*", default=[])
    parser.add_argument("--workflows", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--stand", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stand:
        stand(options)
        return
    name, sizes = ("parts", options.parts) if options.parts else ("rows", options.rows)
    if len(sizes) != 2:
        parser.error("Give two sizes: --rows 1000 1000000, or --parts 100 10000.")
    stands = [["--stand", f"--{name}", str(size), "--workflows", str(options.workflows)] for size in sizes]

    def say(which: int, figures: dict[str, float]) -> None:
        print(f"{sizes[which]} {name}: {figures}", file=sys.stderr)

    found = turns.alternating("bench.growth", stands, rounds=options.rounds, say=say)
    report(name, sizes, found)


def report(name: str, sizes: list[int], found: list[list[dict[str, float]]]) -> None:
    print(f"\nMedians of {len(found[0])} alternating rounds\n")
    print(f"{name:>12}{'CPU ms each':>14}{'tasks/s':>12}{'submit s':>12}")
    for size, rounds in zip(sizes, found, strict=True):
        cpu, per_s, submit_s = (
            statistics.median(one[figure] for one in rounds) for figure in ("cpu_ms", "per_s", "submit_s")
        )
        print(f"{size:>12}{cpu:>14.3f}{per_s:>12.1f}{submit_s:>12.3f}")
    ratios = [large["cpu_ms"] / small["cpu_ms"] for small, large in zip(*found, strict=True)]
    print(f"\nCPU, {sizes[1]} to {sizes[0]}: {statistics.median(ratios):.2f} times.")


if __name__ == "__main__":
    main()
