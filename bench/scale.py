"""What claims, requests, pages and metrics take beside 10,000 and beside 1,000,000 tasks, in alternating rounds.

    python -m bench.scale --workflows 10000 1000000 --rounds 5

Two databases stand side by side and take turns, so that a change of the machine's speed meets both. Each holds so many
tasks of bench.seed with seven jobs each, their attempts, their history and their words for the search; as many wait for
a person or are dead letters in both. CPU is that of this process and of Postgres together, and it decides: what a look
takes by the clock depends on what else runs. By the clock a look is over the bound only where the fastest round of the
one is over it against the slowest of the other, so that waiting for a disk is seen too. Claims are judged by the clock:
their CPU would be that of their tasks too.

At the larger size it also measures what the operations page costs: the samples of a minute in which --per-minute tasks
ran, and the looks of one person.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentapp.local.stack import LocalStack
from bench import turns
from bench.throughput import cpu_seconds, environment

if TYPE_CHECKING:
    from agentapp.models import Tenant

BOUND = 1.3
TIMES = 10
# CPU is counted in steps of 10 ms: what is quick is looked at more often.
AT_LEAST_MS = 500
# Of a core of Postgres, for samples and one person who looks; the page looks again after so many seconds.
CORE_BOUND, LOOK_EVERY_S = 0.1, 10
PAGE, SAMPLES = "operations page", "samples of a minute"
# As many of these wait in both databases, in which only what is over differs.
APPROVALS, DEAD_LETTERS, WAITING_JOBS = 500, 2_000, 1_000
# A platform measures a key of each queue, model, tool and kind of tasks.
KEYS_OF_EACH = 6
# When the dispatcher measures a minute.
AFTER = timedelta(seconds=6)
# A word of every task, and one of a single task.
REQUESTS = {
    "newest tasks": "/tasks", "tasks of a state": "/tasks?state=failed", "a common word": "/tasks?q=sample",
    "a rare word": "/tasks?q=T-{number}", "one task": "/tasks/{task}", "its history": "/tasks/{task}/events",
}  # fmt: skip
PAGES = {
    PAGE: "/admin/", "list of tasks": "/admin/agentapp/workflow/", "page of a task":
    "/admin/agentapp/workflow/{task}/change/", "search in the list": "/admin/agentapp/workflow/?q=sample",
    "approvals": "/admin/agentapp/approval/?state__exact=pending", "dead letters": "/admin/agentapp/deadletter/",
    "search over all": "/admin/search/?q=T-{number}",
}  # fmt: skip
# Of one look at something: ms by the clock, of CPU, and of Postgres's own; the median, and means.
Figures = dict[str, tuple[float, float, float]]
Look = Callable[[], Any]


def fill(workflows: int, lately: int) -> list[Tenant]:
    """Make the rows without the triggers that check and follow each of them, and their words for the search."""
    from django.db import connection

    from agentapp.lifecycle import search_index
    from agentapp.models import SearchCursor
    from bench import claims, seed

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '256MB'")
    made = seed.fill(seed.Sizes(workflows, APPROVALS, DEAD_LETTERS, lately=lately))
    seed.analyze()
    SearchCursor.objects.all().delete()
    while search_index.older(limit=1_000):
        pass
    with connection.cursor() as cursor:
        cursor.execute("RESET session_replication_role; RESET synchronous_commit; RESET work_mem")
    claims.fill(WAITING_JOBS, [tenant.pk for tenant in made])
    seed.analyze()
    return made


def looks(tenant: Tenant, until: datetime) -> dict[str, Look]:
    """Everything that is looked at, by its name. A claim is measured apart, which needs a new task each time."""
    from django.contrib.auth.models import User
    from django.test import Client

    from agentapp import clock
    from agentapp.dispatch.stager import Stager
    from agentapp.models import Workflow
    from agentapp.policies import admission
    from agentapp.policies.permissions import API_SCOPES
    from agentapp.services import api_keys, metrics

    task = Workflow.objects.filter(tenant=tenant, state="completed").order_by("-created_at")[100]
    token = api_keys.create(tenant=tenant, name="scale", scopes=list(API_SCOPES))[1]
    person, stager = Client(), Stager()
    person.force_login(User.objects.create(username="scale", is_staff=True, is_superuser=True))

    def request(path: str, client: Client, headers: dict[str, str]) -> Look:
        asked = path.format(task=task.pk, number=task.labels["ticket"].removeprefix("T-"))

        def one() -> None:
            answer = client.get(asked, headers={"host": "127.0.0.1", **headers})
            answered = b"".join(answer) if answer.streaming else answer.content
            if answer.status_code != 200 or not answered:
                raise SystemExit(f"GET {asked} was answered with {answer.status_code}.")

        return one

    def page() -> None:
        # It looks back from the busy minute.
        with clock.frozen_at(until + AFTER):
            request(PAGES[PAGE], person, {})()

    key = {"Authorization": f"Bearer {token}"}
    return {
        "dispatcher's look": lambda: admission.decide(stager.look(), stager.turns, ageing_s=30),
        **{name: request(path, Client(), key) for name, path in REQUESTS.items()},
        **{name: request(path, person, {}) for name, path in PAGES.items()},
        PAGE: page,
        "metrics": metrics.collect,
        SAMPLES: lambda: sample(until),
    }


def measured_before(until: datetime) -> None:
    """A day of samples of as many keys as a platform may have, up to the busy minute."""
    from agentapp.lifecycle import quarters, totals
    from agentapp.models import Sample

    keys = ["platform", *(f"{scope}:{n}" for scope in ("queue", "model", "tool", "kind") for n in range(KEYS_OF_EACH))]
    Sample.objects.bulk_create(
        (
            Sample(minute=until - timedelta(minutes=ago), key=key, entered=9, completed=9, runs=[0, 1, 2, 6])
            for ago in range(2, 24 * 60) for key in keys
        ),
        batch_size=5_000,
    )  # fmt: skip
    while totals.add_up() or quarters.add_up():
        pass


def sample(until: datetime) -> None:
    """What the dispatcher does once a minute, of the busy one; it is taken back."""
    from django.db import transaction

    from agentapp import clock
    from agentapp.lifecycle import quarters, samples, totals

    with clock.frozen_at(until + AFTER), transaction.atomic():
        if samples.take() != 1:
            raise SystemExit("There was no minute to measure.")
        totals.add_up()
        quarters.add_up()
        transaction.set_rollback(True)


def stand(workflows: int, per_minute: int) -> None:
    """Be one of the databases: answer each line that is read with one round's figures."""
    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    env = environment() | {"BENCH_GATED": "1"}
    with LocalStack(home, commands={}, env=env, say=lambda *_: None) as stack:
        os.environ |= env | {
            "DATABASE_URL": stack.stack["database_url"], "REDIS_URL": stack.stack["redis_url"],
            "AGENTAPP_HOME": str(home),
        }  # fmt: skip
        import django

        django.setup()
        from bench.claims import ClaimBench

        began = time.monotonic()
        # The tasks of the last minutes are from ten minutes ago: the minute in their middle.
        until = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
        made = fill(workflows, lately=3 * per_minute)
        measured_before(until)
        print(f"{workflows:,} tasks: filled in {time.monotonic() - began:.0f} s, {size()}", file=sys.stderr)
        claims, found = ClaimBench(), looks(made[0], until)
        pids = stack.stack["pids"] | {"driver": os.getpid()}
        claims.claims_ms(TIMES)
        for look in found.values():
            look()

        def run() -> Figures:
            return {"claim": (statistics.median(claims.claims_ms(TIMES * 10)), 0.0, 0.0), **one_round(found, pids)}

        turns.answer(run)


def one_round(found: dict[str, Look], pids: dict[str, int]) -> Figures:
    figures = {}
    for name, look in found.items():
        before, taken = cpu_seconds(pids), list[float]()
        while len(taken) < TIMES or sum(taken) < AT_LEAST_MS:
            began = time.perf_counter()
            look()
            taken.append((time.perf_counter() - began) * 1000)
        after = cpu_seconds(pids)
        cpu = {key: (after[key] - before[key]) * 1000 / len(taken) for key in pids}
        figures[name] = (statistics.median(taken), sum(cpu.values()), cpu["postgres"])
    return figures


def size() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_pretty(pg_database_size(current_database()))")
        return str(cursor.fetchone()[0])


def report(sizes: list[int], found: list[list[Figures]]) -> int:
    """Print a line for each look and one for the operations page; return 1 if one of them is over its bound."""
    small, large = (f"{size:,}" for size in sizes)
    print(f"\nMedians of {len(found[0])} alternating rounds, ms by the clock and of CPU\n")
    print(f"{'':22}{small:>12}{large:>12}{'ratio':>8}{'CPU':>10}{'CPU':>10}{'ratio':>8}")
    grown = False
    for name in found[0][0]:
        clock, cpu = ([[figures[name][which] for figures in rounds] for rounds in found] for which in (0, 1))
        line = f"{name:22}{_compared(clock, 12)}" + (_compared(cpu, 10) if any(map(any, cpu)) else "")
        why = over(clock, cpu)
        grown |= bool(why)
        print(line + (f"  over {BOUND} {why}" if why else ""))
    return int(grown | is_dear(found[1]))


def _ratio(found: list[list[float]]) -> float:
    small, large = map(statistics.median, found)
    return large / small if small else 1.0


def _compared(found: list[list[float]], width: int) -> str:
    small, large = map(statistics.median, found)
    return f"{small:>{width}.2f}{large:>{width}.2f}{_ratio(found):>8.2f}"


def over(clock: list[list[float]], cpu: list[list[float]]) -> str:
    """Why a look takes too much beside the larger number, of its figures in each round; empty: it does not."""
    found, how = (cpu, "in CPU") if any(map(any, cpu)) else (clock, "by the clock")
    if _ratio(found) > BOUND:
        return how
    return "by the clock in every round" if min(clock[1]) > BOUND * max(clock[0]) else ""


def is_dear(rounds: list[Figures]) -> bool:
    """Print what the operations page costs Postgres, and tell whether that is over CORE_BOUND."""
    minute, look = (statistics.median(figures[name][2] for figures in rounds) / 1000 for name in (SAMPLES, PAGE))
    cores = (minute + look * 60 / LOOK_EVERY_S) / 60
    print(f"\nOperations page, CPU of Postgres: {minute:.3f} s a minute for its samples and {look:.3f} s for a look,")
    print(f"with a look every {LOOK_EVERY_S} s {cores:.4f} of a core; the bound is {CORE_BOUND}.", end="")
    print("  over the bound" if cores > CORE_BOUND else "")
    return cores > CORE_BOUND


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workflows", type=int, nargs=2, default=[10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--per-minute", type=int, default=1_000)
    parser.add_argument("--stand", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stand:
        stand(options.stand, options.per_minute)
        return 0
    least = APPROVALS + DEAD_LETTERS + 3 * options.per_minute
    if min(options.workflows) < least or options.per_minute < 1:
        parser.error(f"With approvals, dead letters and three busy minutes there are {least:,} tasks at least.")
    stands = [["--stand", str(size), "--per-minute", str(options.per_minute)] for size in options.workflows]
    found: list[list[Figures]] = turns.alternating("bench.scale", stands, rounds=options.rounds)
    return report(options.workflows, found)


if __name__ == "__main__":
    sys.exit(main())
