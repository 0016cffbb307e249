"""Where the time of a workflow goes inside of Postgres: calls and own milliseconds of each function, per workflow.

    python -m bench.profile --workflows 1000 --layout alike

The agentapp side of `bench.throughput`, with `track_functions` of Postgres on. Own time is what a function spends
outside of the functions that it calls; it is measured by the clock, so it holds waits for locks and for a processor
too. Measuring itself costs: compare functions with each other, and not with the figures of `bench.throughput`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import redis

from agentapp.local.stack import LocalStack
from bench import throughput

FUNCTIONS = """
    SELECT schemaname || '.' || funcname, calls, self_time, total_time FROM pg_stat_user_functions
    WHERE calls > 0 ORDER BY self_time DESC"""
# A session hands over what it has counted at most once a second.
HANDED_OVER_S = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workflows", type=int, default=1000)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--layout", choices=("shipped", "alike"), default="shipped")
    parser.add_argument("--most", type=int, default=25, help="functions to show, the dearest first")
    options = parser.parse_args()

    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    env = throughput.environment()
    lines = {name: line for name, line in throughput.commands("threads", options.layout).items() if "plain" not in name}
    with LocalStack(home, commands=lines, env=env, say=print) as stack:
        os.environ |= throughput.addresses(stack, home) | env
        submit = throughput.submitters()["agentapp"]
        done = redis.Redis.from_url(os.environ["BENCH_RECORDER_URL"], socket_timeout=None)
        pids = stack.stack["pids"] | {"driver": os.getpid()}
        throughput.one_round(submit, done, workflows=200, in_flight=20, pids=pids)
        track()
        result = throughput.one_round(submit, done, workflows=options.workflows, in_flight=options.in_flight, pids=pids)
        time.sleep(HANDED_OVER_S)
        report(result, options)


def track() -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("ALTER SYSTEM SET track_functions = 'all'")
        cursor.execute("SELECT pg_reload_conf(), pg_stat_reset()")


def report(result: throughput.Result, options: argparse.Namespace) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(FUNCTIONS)
        rows = cursor.fetchall()
    each = options.workflows
    own = sum(row[2] for row in rows)
    print(f"\n{each} workflows, {options.in_flight} in flight, workers {options.layout}")
    print("CPU ms of a workflow: " + ", ".join(f"{name} {ms:.1f}" for name, ms in result.cpu_ms.items()))
    print(f"\n{'own ms':>8}{'share':>8}{'calls':>8}{'with what it calls':>20}  function")
    for name, calls, self_ms, total_ms in rows[: options.most]:
        print(f"{self_ms / each:>8.3f}{self_ms / own:>8.1%}{calls / each:>8.2f}{total_ms / each:>20.3f}  {name}")
    print(f"{own / each:>8.3f}{1:>8.0%}{sum(row[1] for row in rows) / each:>8.2f}{'':>20}  all {len(rows)} functions")


if __name__ == "__main__":
    main()
