"""kill -9 all workers in the middle of many workflows: when does work go on, and what is lost?

    python -m bench.recovery --workflows 300 --rounds 3
    python -m bench.recovery --all --rounds 5

Beside agentapp a plain Celery canvas of the same steps, killed at the same point in alternating rounds. The stack
starts the workers again by itself. The record of what bodies did is outside of Postgres. A plain canvas that has lost
a step never ends, so each round of it takes the whole --limit. `--all` kills the dispatcher too, of agentapp alone:
then nobody is left who has seen anything.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import redis

from agentapp.local.child import kill_group
from agentapp.local.stack import LocalStack
from bench.bodies import Record
from bench.throughput import commands, environment, with_db

POLL_S = 0.02
BODIES = 6
WARM = 20


@dataclass(frozen=True)
class Side:
    """`submit(pause_s)` returns the workflow's id; `pids()` are the processes that are killed, as they are now."""

    name: str
    submit: Callable[[float], str]
    pids: Callable[[], list[int]]


@dataclass(frozen=True)
class Recovered:
    """What followed a kill; seconds count from it, None = it never happened within the limit.

    `first_s`: a body runs, of a workflow that was in flight. `continued_s`: a body that the kill cut off runs again; it
    queues up behind what waits. `done_s`: the last is sent. `started_s`: all that were killed have been started again.
    """

    in_flight: int
    cut_off: int
    first_s: float | None
    continued_s: float | None
    done_s: float | None
    run_again: int
    lost: int
    sent_twice: int
    started_s: float | None = None

    @property
    def after_start_s(self) -> float | None:
        if self.continued_s is None or self.started_s is None:
            return None
        return self.continued_s - self.started_s


def one_round(side: Side, record: Record, *, workflows: int, pause_s: float, limit_s: float) -> Recovered:
    """Kill all workers when so many workflows are in flight, and watch until all that were submitted are sent."""
    record.forget()
    ids: set[str] = set()
    while len(ids) - len(set(record.sent())) < workflows:
        ids.add(side.submit(pause_s))
    # Not before the workers are busy.
    until(lambda: record.begun() >= workflows / 4, limit_s)
    in_flight, killed_at = len(ids) - len(set(record.sent())), time.time()
    killed = set(side.pids())
    for pid in killed:
        kill_group(pid)
    started_s = time.time() - killed_at if until(lambda: killed.isdisjoint(side.pids()), limit_s) else None
    until(lambda: ids <= set(record.sent()), limit_s)
    found = recovered(record, ids, killed_at=killed_at, in_flight=in_flight)
    return replace(found, started_s=started_s)


def recovered(record: Record, ids: set[str], *, killed_at: float, in_flight: int) -> Recovered:
    """Read from the record what followed the kill at `killed_at`, in seconds since the epoch."""
    runs, sent = record.runs(), Counter(record.sent())
    before = [run for run in runs if run.began_at < killed_at]
    after = [run for run in runs if run.began_at >= killed_at]
    cut_off = {run.key for run in before if run.ended_at is None}
    times = Counter(run.key for run in runs)
    ends = [run.ended_at for run in runs if run.key[1] == "send" and run.ended_at]
    lost = len(ids - set(sent))
    return Recovered(
        in_flight=in_flight,
        cut_off=len(cut_off),
        first_s=min((run.began_at - killed_at for run in after), default=None),
        continued_s=min((run.began_at - killed_at for run in after if run.key in cut_off), default=None),
        done_s=None if lost else max(ends) - killed_at,
        run_again=sum(count - 1 for count in times.values()),
        lost=lost,
        sent_twice=sum(count - 1 for count in sent.values()),
    )


def until(is_so: Callable[[], bool], limit_s: float) -> bool:
    """Wait at most so many seconds; return whether it became so."""
    deadline = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def sides(stack: LocalStack, *, is_all: bool) -> list[Side]:
    """agentapp and the plain canvas, submitted in this process; agentapp alone, with its dispatcher, when all die."""
    import django

    django.setup()
    from agentapp.policies.permissions import API_SCOPES
    from agentapp.services import api_keys, principals, tenants, workflows
    from bench import plain_recovery

    tenant = tenants.create(slug=f"bench-{uuid.uuid4().hex[:8]}", name="Benchmark")
    principal = principals.of_key(api_keys.create(tenant=tenant, name="bench", scopes=list(API_SCOPES))[0])

    def agentapp(pause_s: float) -> str:
        return str(workflows.submit(principal, kind="bench_recover", input={"pause_s": pause_s}).pk)

    def plain(pause_s: float) -> str:
        workflow_id = str(uuid.uuid4())
        plain_recovery.submit(workflow_id, pause_s)
        return workflow_id

    def pids_of(*names: str) -> Callable[[], list[int]]:
        return lambda: [pid for process, pid in stack.stack["pids"].items() if process.startswith(names)]

    if is_all:
        return [Side("agentapp", agentapp, pids_of("agentapp_", "dispatcher"))]
    return [Side(name, submit, pids_of(f"{name}_")) for name, submit in (("agentapp", agentapp), ("plain", plain))]


def measure(stack: LocalStack, options: argparse.Namespace) -> dict[str, list[Recovered]]:
    record = Record(redis.Redis.from_url(os.environ["BENCH_RECORDER_URL"]))
    both = sides(stack, is_all=options.all)  # sets Django up
    from agentapp import conf
    from agentapp.lifecycle import lose

    for side in both:
        ids = {side.submit(0.0) for _ in range(WARM)}
        if not until(lambda ids=ids: ids <= set(record.sent()), options.limit):  # type: ignore[misc]
            raise SystemExit(f"{side.name} did not end {WARM} workflows within {options.limit:g} s before any kill.")
    # Until then a dispatcher that has seen nothing takes nobody for dead. That is the rule for a Postgres that has
    # just been started, and not what is measured here.
    until(lambda: lose.postgres_up_s() > conf.lease_s(), options.limit)
    found: dict[str, list[Recovered]] = {side.name: [] for side in both}
    for _ in range(options.rounds):
        for side in both:
            result = one_round(side, record, workflows=options.workflows, pause_s=options.pause, limit_s=options.limit)
            found[side.name].append(result)
            print(f"{side.name}: {result}", file=sys.stderr)
    return found


def report(found: dict[str, list[Recovered]], options: argparse.Namespace) -> None:
    killed = "all processes" if options.all else "all workers"
    print(f"\nkill -9 of {killed} with {options.workflows} workflows of {BODIES} bodies of {options.pause:g} s; "
          f"medians of {options.rounds} rounds, watched for {options.limit:g} s\n")  # fmt: skip
    rows = (
        ("in flight at the kill", "in_flight"),
        ("bodies cut off", "cut_off"),
        ("s until the first job goes on", "first_s"),
        ("s until a body that was cut off runs again", "continued_s"),
        ("s until they have been started again", "started_s"),
        ("s from there until such a body runs again", "after_start_s"),
        ("s until all are sent", "done_s"),
        ("bodies run again", "run_again"),
        ("workflows lost", "lost"),
        ("sent twice", "sent_twice"),
    )
    print(f"{'':46}" + "".join(f"{name:>12}" for name in found))
    for title, name in rows:
        print(f"{title:46}" + "".join(f"{median(rounds, name):>12}" for rounds in found.values()))
    share = {name: sum(item.lost for item in rounds) / sum(item.in_flight for item in rounds)
             for name, rounds in found.items()}  # fmt: skip
    print("\nOf what was in flight " + ", ".join(f"{name} lost {part:.1%}" for name, part in share.items()) + ".")


def median(rounds: list[Recovered], name: str) -> str:
    """The median of a figure; "never" when in most rounds it did not happen."""
    values = [getattr(item, name) for item in rounds]
    happened = [value for value in values if value is not None]
    if 2 * len(happened) <= len(values):
        return "never"
    middle = statistics.median(happened)
    return f"{middle:.1f}" if name.endswith("_s") else f"{middle:g}"


def lines(pool: str) -> dict[str, str]:
    """The workers of bench/throughput.py, the plain ones with the canvas of this benchmark."""
    return {name: line.replace("bench.plain_celery", "bench.plain_recovery") for name, line in commands(pool).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workflows", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pause", type=float, default=0.5, help="how long each body takes, in seconds")
    parser.add_argument(
        "--limit", type=float, default=90.0, help="how long a round is watched after the kill, in seconds"
    )
    parser.add_argument("--all", action="store_true", help="kill the dispatcher too")
    parser.add_argument("--pool", choices=("threads", "prefork"), default="threads")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="agentapp-bench-", ignore_cleanup_errors=True) as folder:
        run(Path(folder), options)


def run(home: Path, options: argparse.Namespace) -> None:
    with LocalStack(home, commands=lines(options.pool), env=environment(), say=print) as stack:
        url = stack.stack["redis_url"]
        os.environ |= environment() | {
            "DATABASE_URL": stack.stack["database_url"], "REDIS_URL": url, "AGENTAPP_HOME": str(home),
            "BENCH_BROKER_URL": with_db(url, 1), "BENCH_RECORDER_URL": with_db(url, 2),
        }  # fmt: skip
        report(measure(stack, options), options)


if __name__ == "__main__":
    main()
