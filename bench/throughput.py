"""How many six-step workflows a second, at what CPU, beside a plain Celery canvas in the same alternating run.

    python -m bench.throughput --workflows 2000 --in-flight 100 --rounds 3 --pool threads

Both sides: the shipped two worker processes (or two that work on all queues: `--layout alike`), submitted in-process,
events on, one effect at the end. The plain side keeps nothing; every step of agentapp is committed in Postgres, with
history and effect ledger.

    python -m bench.throughput --gates --workflows 2000 --rounds 3 [--commit-delay-ms 3]

Instead of the plain side, the same workflows with no gate, with one global gate, and with all five kinds of gates on
every job, wide enough to let all pass. `--commit-delay-ms` lets each synchronous commit wait, as on a slower disk.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import redis

from agentapp.local.stack import LocalStack

DONE = "bench:done"
GATES = {
    "no gate": (), "one gate": ("global",), "five gates": ("global", "job_type", "tenant", "tool", "model"),
}  # fmt: skip
# The plain side has a Redis database of its own; the recorder is another, for both.
URLS = 'BENCH_BROKER_URL="${REDIS_URL%/*}/1" BENCH_RECORDER_URL="${REDIS_URL%/*}/2"'
WORKER = "{prefix} exec python -m celery -A {app} worker {pool} -E --without-gossip --without-mingle --loglevel WARNING"


@dataclass(frozen=True)
class Result:
    """Of one round of one side: workflows/s, CPU ms per workflow by process, sorted latencies in ms, and kB that
    Postgres wrote in its log for each workflow."""

    per_s: float
    cpu_ms: dict[str, float]
    latency_ms: list[float]
    wal_kb: float = 0.0

    @property
    def cpu_total(self) -> float:
        return sum(self.cpu_ms.values())


def commands(pool: str, layout: str = "shipped") -> dict[str, str]:
    """Two workers for each side: one of them alone for sending, as shipped, or both for all queues."""
    model = "-P threads -c 32" if pool == "threads" else "-P prefork -c 4"
    send = "-P threads -c 4" if pool == "threads" else "-P prefork -c 2"
    workers: tuple[tuple[str, str], ...] = (("model", f"{model} -Q model,retrieval"), ("send", f"{send} -Q send"))
    if layout == "alike":
        workers = tuple((name, f"{model} -Q model,retrieval,send") for name in ("one", "two"))
    lines = {"dispatcher": "exec python manage.py run_dispatcher"}
    for side, app in (("agentapp", "config"), ("plain", "bench.plain_celery")):
        prefix = URLS + (" AGENTAPP_DB_POOL_MAX=10" if pool == "threads" else "")
        for name, options in workers:
            line = WORKER.format(prefix=prefix, app=app, pool=options)
            lines[f"{side}_{name}"] = f"{line} -n {side}_{name}@%h"
    return lines


def cpu_seconds(pids: dict[str, int]) -> dict[str, float]:
    """User and system seconds so far of each process with its children."""
    found = {}
    for name, pid in pids.items():
        total = 0.0
        root = psutil.Process(pid)
        if pid == os.getpid():  # the driver: the stack's processes are its children, and counted by name
            found[name] = root.cpu_times().user + root.cpu_times().system
            continue
        for process in [root, *root.children(recursive=True)]:
            try:
                times = process.cpu_times()
                total += times.user + times.system
            except psutil.NoSuchProcess:
                continue
        # Postgres reaps backends that ended: their time is in the parent's children counters.
        ended = root.cpu_times()
        found[name] = total + ended.children_user + ended.children_system
    return found


def one_round(
    submit: Callable[[str], Any], done: redis.Redis, *, workflows: int, in_flight: int, pids: dict[str, int]
) -> Result:
    """Keep `in_flight` workflows going until `workflows` are done."""
    done.delete(DONE)
    begun: dict[str, float] = {}
    latencies: list[float] = []
    before, started = cpu_seconds(pids), time.monotonic()
    for _ in range(min(in_flight, workflows)):
        begin(submit, begun)
    while len(latencies) < workflows:
        popped: Any = done.blpop([DONE], timeout=60)
        if popped is None:
            raise SystemExit(f"No workflow finished for a minute; {len(latencies)} of {workflows} are done.")
        latencies.append((time.monotonic() - begun.pop(popped[1].decode())) * 1000)
        if len(latencies) + len(begun) < workflows:
            begin(submit, begun)
    seconds = time.monotonic() - started
    after = cpu_seconds(pids)
    cpu_ms = {name: (after[name] - before[name]) * 1000 / workflows for name in pids}
    return Result(workflows / seconds, {name: ms for name, ms in cpu_ms.items() if ms >= 0.05}, sorted(latencies))


def begin(submit: Callable[[str], Any], begun: dict[str, float]) -> None:
    moment = time.monotonic()
    name = str(uuid.uuid4())
    begun[submit(name) or name] = moment


def submitters(*, gated: bool = False) -> dict[str, Callable[[str], Any]]:
    """One function per side that submits a workflow and returns its id, or None when it took ours."""
    import django

    django.setup()
    from agentapp.policies.permissions import API_SCOPES
    from agentapp.services import api_keys, principals, tenants, workflows
    from bench import plain_celery

    tenant = tenants.create(slug=f"bench-{uuid.uuid4().hex[:8]}", name="Benchmark")
    principal = principals.of_key(api_keys.create(tenant=tenant, name="bench", scopes=list(API_SCOPES))[0])

    def agentapp(name: str) -> str:
        return str(workflows.submit(principal, kind="bench_six", input={"question": "what does it cost?"}).pk)

    def plain(name: str) -> None:
        plain_celery.submit(name, "what does it cost?")

    return dict.fromkeys(GATES, agentapp) if gated else {"agentapp": agentapp, "plain": plain}


def set_gates(side: str) -> None:
    """Let exactly the gates of a side hold; ten thousand jobs may run at once, so they cost and stop nobody."""
    from agentapp.lifecycle import gates
    from agentapp.models import Gate

    for gate in Gate.objects.all():
        gates.remove(gate, actor="bench")
    for scope in GATES[side]:
        gates.keep(Gate(scope=scope, pattern="*", concurrency=10_000), actor="bench")


def set_commit_delay(delay_ms: float) -> None:
    """Postgres waits so long before it flushes a commit, when others are open."""
    from django.db import connection

    with connection.cursor() as cursor:
        for name, value in (("commit_delay", int(delay_ms * 1000)), ("commit_siblings", 0)):
            cursor.execute(f"ALTER SYSTEM SET {name} = {value}")
        cursor.execute("SELECT pg_reload_conf()")


def wal_kb() -> float:
    """What Postgres has written in its log so far, in kB."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")
        return float(cursor.fetchone()[0]) / 1000


def flush_ms() -> float:
    """The median time that this disk takes to make 8 kB durable, in ms."""
    with tempfile.TemporaryDirectory(dir=".") as folder, (Path(folder) / "flush").open("wb") as file:
        times = []
        for _ in range(50):
            started = time.monotonic()
            file.write(b"x" * 8192)
            file.flush()
            os.fdatasync(file.fileno())
            times.append((time.monotonic() - started) * 1000)
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workflows", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pool", choices=("threads", "prefork"), default="threads")
    parser.add_argument(
        "--layout", choices=("shipped", "alike"), default="shipped", help="a worker for sending, or two for all queues"
    )
    parser.add_argument("--lone", type=int, default=100, help="workflows that run alone, for the latency")
    parser.add_argument("--gates", action="store_true", help="what gates cost, instead of the plain side")
    parser.add_argument("--commit-delay-ms", type=float, default=0)
    options = parser.parse_args()

    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    env = environment() | ({"BENCH_GATED": "1"} if options.gates else {})
    with LocalStack(home, commands=commands(options.pool, options.layout), env=env, say=print) as stack:
        os.environ |= env | addresses(stack, home)
        report(run(stack, options), options)


def environment() -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "AGENTAPP_EXTENSIONS": "bench.agents",
        "AGENTAPP_LOG_LEVEL": "WARNING",
    }


def addresses(stack: LocalStack, home: Path) -> dict[str, str]:
    """What the driver must know of the stack, as environment."""
    url = stack.stack["redis_url"]
    return {
        "DATABASE_URL": stack.stack["database_url"], "REDIS_URL": url, "AGENTAPP_HOME": str(home),
        "BENCH_BROKER_URL": with_db(url, 1), "BENCH_RECORDER_URL": with_db(url, 2),
    }  # fmt: skip


def with_db(url: str, number: int) -> str:
    return url.rsplit("/", 1)[0] + f"/{number}"


def run(stack: LocalStack, options: argparse.Namespace) -> dict[str, dict[str, list[Result]]]:
    sides = submitters(gated=options.gates)
    if options.commit_delay_ms:
        set_commit_delay(options.commit_delay_ms)
    done = redis.Redis.from_url(os.environ["BENCH_RECORDER_URL"], socket_timeout=None)
    pids = stack.stack["pids"] | {"driver": os.getpid()}
    results: dict[str, dict[str, list[Result]]] = {side: {"loaded": [], "lone": []} for side in sides}
    for side, submit in sides.items():
        one_round(submit, done, workflows=200, in_flight=20, pids=pids)
        print(f"{side}: warm", file=sys.stderr)
    for _ in range(options.rounds):
        for side, submit in sides.items():
            if options.gates:
                set_gates(side)
            wal_before = wal_kb()
            loaded = one_round(submit, done, workflows=options.workflows, in_flight=options.in_flight, pids=pids)
            loaded = replace(loaded, wal_kb=(wal_kb() - wal_before) / options.workflows)
            lone = one_round(submit, done, workflows=options.lone, in_flight=1, pids=pids)
            results[side]["loaded"].append(loaded)
            results[side]["lone"].append(lone)
            print(
                f"{side}: {loaded.per_s:.0f}/s, {loaded.cpu_total:.1f} ms CPU {rounded(loaded.cpu_ms)}", file=sys.stderr
            )
    return results


def rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in values.items()}


def report(results: dict[str, dict[str, list[Result]]], options: argparse.Namespace) -> None:
    print(f"\n{options.workflows} workflows, {options.in_flight} in flight, {options.pool}, workers {options.layout}, "
          f"medians of {options.rounds} alternating rounds; the disk flushes in {flush_ms():.2f} ms\n")  # fmt: skip
    print(f"{'':10}{'workflows/s':>14}{'CPU ms each':>14}{'lone p50 ms':>14}{'lone p95 ms':>14}{'WAL kB each':>14}")
    medians = {}
    for side, rounds in results.items():
        per_s = statistics.median(result.per_s for result in rounds["loaded"])
        cpu = statistics.median(result.cpu_total for result in rounds["loaded"])
        lone = [ms for result in rounds["lone"] for ms in result.latency_ms]
        medians[side] = per_s
        p95 = statistics.quantiles(lone, n=20)[18]
        wal = statistics.median(result.wal_kb for result in rounds["loaded"])
        print(f"{side:10}{per_s:>14.1f}{cpu:>14.1f}{statistics.median(lone):>14.1f}{p95:>14.1f}{wal:>14.1f}")
    if options.gates:
        for side in ("one gate", "five gates"):
            print(f"{side}: {medians[side] / medians['no gate']:.3f} of the throughput without")
    else:
        print(f"\nagentapp is {medians['agentapp'] / medians['plain']:.2f} times as fast.")


if __name__ == "__main__":
    main()
