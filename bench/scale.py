"""What claims, requests, pages and metrics take beside 10,000 and beside 1,000,000 tasks, in alternating rounds.

    python -m bench.scale --workflows 10000 1000000 --rounds 5

Two databases stand side by side and take turns, so that a change of the machine's speed meets both. Each holds so many
tasks of bench.seed with seven jobs each, their attempts, their history and their words for the search; as many wait for
a person or are dead letters in both. CPU is that of this process and of Postgres together.
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
from typing import TYPE_CHECKING, Any

from agentapp.local.stack import LocalStack
from bench import turns
from bench.throughput import cpu_seconds, environment

if TYPE_CHECKING:
    from agentapp.models import Tenant

BOUND = 1.3
TIMES = 10
# As many of these wait in both databases, in which only what is over differs.
APPROVALS, DEAD_LETTERS, WAITING_JOBS = 500, 2_000, 1_000
# A word of every task, and one of a single task.
REQUESTS = {
    "newest tasks": "/tasks", "tasks of a state": "/tasks?state=failed", "a common word": "/tasks?q=sample",
    "a rare word": "/tasks?q=T-{number}", "one task": "/tasks/{task}", "its history": "/tasks/{task}/events",
}  # fmt: skip
PAGES = {
    "operations page": "/admin/", "list of tasks": "/admin/agentapp/workflow/", "page of a task":
    "/admin/agentapp/workflow/{task}/change/", "search in the list": "/admin/agentapp/workflow/?q=sample",
    "approvals": "/admin/agentapp/approval/?state__exact=pending", "dead letters": "/admin/agentapp/deadletter/",
    "search over all": "/admin/search/?q=T-{number}",
}  # fmt: skip
# Of one look at something: ms by the clock and of CPU, each the median or mean of TIMES.
Figures = dict[str, tuple[float, float]]
Look = Callable[[], Any]


def fill(workflows: int) -> list[Tenant]:
    """Make the rows without the triggers that check and follow each of them, and their words for the search."""
    from django.db import connection

    from agentapp.lifecycle import search_index
    from agentapp.models import SearchCursor
    from bench import claims, seed

    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET synchronous_commit = off; SET work_mem = '256MB'")
    made = seed.fill(seed.Sizes(workflows, APPROVALS, DEAD_LETTERS))
    seed.analyze()
    SearchCursor.objects.all().delete()
    while search_index.older(limit=1_000):
        pass
    with connection.cursor() as cursor:
        cursor.execute("RESET session_replication_role; RESET synchronous_commit; RESET work_mem")
    claims.fill(WAITING_JOBS, [tenant.pk for tenant in made])
    seed.analyze()
    return made


def looks(tenant: Tenant) -> dict[str, Look]:
    """Everything that is looked at, by its name. A claim is measured apart, which needs a new task each time."""
    from django.contrib.auth.models import User
    from django.test import Client

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
            answered = b"".join(answer) if answer.streaming else answer.content  # type: ignore[attr-defined]
            if answer.status_code != 200 or not answered:
                raise SystemExit(f"GET {asked} was answered with {answer.status_code}.")

        return one

    key = {"Authorization": f"Bearer {token}"}
    return {
        "dispatcher's look": lambda: admission.decide(stager.look(), stager.turns, ageing_s=30),
        **{name: request(path, Client(), key) for name, path in REQUESTS.items()},
        **{name: request(path, person, {}) for name, path in PAGES.items()},
        "metrics": metrics.collect,
    }


def stand(workflows: int) -> None:
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
        made = fill(workflows)
        print(f"{workflows:,} tasks: filled in {time.monotonic() - began:.0f} s, {size()}", file=sys.stderr)
        claims, found = ClaimBench(), looks(made[0])
        pids = stack.stack["pids"] | {"driver": os.getpid()}
        claims.claims_ms(TIMES)
        for look in found.values():
            look()

        def run() -> Figures:
            return {"claim": (statistics.median(claims.claims_ms(TIMES * 10)), 0.0), **one_round(found, pids)}

        turns.answer(run)


def one_round(found: dict[str, Look], pids: dict[str, int]) -> Figures:
    figures = {}
    for name, look in found.items():
        before, taken = cpu_seconds(pids), []
        for _ in range(TIMES):
            began = time.perf_counter()
            look()
            taken.append((time.perf_counter() - began) * 1000)
        after = cpu_seconds(pids)
        figures[name] = (statistics.median(taken), sum(after[key] - before[key] for key in pids) * 1000 / TIMES)
    return figures


def size() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_pretty(pg_database_size(current_database()))")
        return str(cursor.fetchone()[0])


def report(sizes: list[int], found: list[list[Figures]]) -> int:
    """Print a line for each look, and return 1 if one takes more than BOUND times as long."""
    small, large = (f"{size:,}" for size in sizes)
    print(f"\nMedians of {len(found[0])} alternating rounds, ms by the clock and of CPU\n")
    print(f"{'':22}{small:>12}{large:>12}{'ratio':>8}{'CPU':>10}{'CPU':>10}{'ratio':>8}")
    grown = 0
    for name in found[0][0]:
        line, ratios = f"{name:22}", []
        for which, width in ((0, 12), (1, 10)):
            one, other = (statistics.median(figures[name][which] for figures in rounds) for rounds in found)
            if one:  # of claims there is no CPU
                ratios.append(other / one)
                line += f"{one:>{width}.2f}{other:>{width}.2f}{ratios[-1]:>8.2f}"
        is_over = min(ratios) > BOUND
        grown |= is_over
        print(line + ("  more than the bound" if is_over else ""))
    return grown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workflows", type=int, nargs=2, default=[10_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stand", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stand:
        stand(options.stand)
        return 0
    if min(options.workflows) < APPROVALS + DEAD_LETTERS:
        parser.error(f"There are {APPROVALS + DEAD_LETTERS:,} approvals and dead letters: that many tasks at least.")
    stands = [["--stand", str(size)] for size in options.workflows]
    found: list[list[Figures]] = turns.alternating("bench.scale", stands, rounds=options.rounds)
    return report(options.workflows, found)


if __name__ == "__main__":
    sys.exit(main())
