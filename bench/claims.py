"""What a claim and an admission cost while a thousand, or a million, jobs wait; and what each gate adds to a claim.

    python -m bench.claims --rows 1000 10000 100000 1000000 --claims 500 --plot docs/claims.svg

The rows wait in one queue, of many tenants, in two job types. Claims are made one after the other through the move that
workers use; a task of its own is submitted for each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentapp.lifecycle.function_set import in_schema
from agentapp.local.stack import LocalStack
from bench.throughput import environment

FILL = in_schema("""
WITH w AS (
  INSERT INTO agentapp_workflow (id, tenant_id, kind, version, state, priority, risk, input, labels, result_bind,
                                 position, parts_left, stages_total, jobs_total, jobs_done, seq, tokens, cost_usd,
                                 created_at)
  SELECT moves.uuid7(), (%(tenants)s::bigint[])[1 + n %% cardinality(%(tenants)s)], 'bench_six', 1, 'pending',
         n %% 4, 'low', '{}', '{}', '{}', 1, 1, 4, 4, 0, 1, 0, 0, now()
    FROM generate_series(1, %(rows)s) n RETURNING id, tenant_id, priority
), s AS (
  INSERT INTO agentapp_stage (workflow_id, position, name, kind, job_type, round, spec)
  SELECT id, 1, 'bench_draft', 'job', 'bench_draft', 0, '{}' FROM w RETURNING id, workflow_id
)
INSERT INTO agentapp_job (id, workflow_id, stage_id, tenant_id, type, queue, model, tool, state, part, payload,
                          priority, attempt, max_attempts, timeout_s, worker, publishes, available_at)
SELECT moves.uuid7(), w.id, s.id, w.tenant_id,
       CASE WHEN w.priority < 2 THEN 'bench_draft' ELSE 'bench_evaluate' END, 'model', '', '', 'available', 0,
       '{"found": []}', w.priority, 0, 5, 60, '', 0, now() - random() * interval '1 hour'
  FROM w JOIN s ON s.workflow_id = w.id
""")
TENANTS = 50
SCOPES = ("global", "job_type", "tenant", "tool", "model")


def timed_ms(action: Callable[[], Any], times: int) -> list[float]:
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        action()
        taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)


def p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[18]


class ClaimBench:
    """Submits tasks and claims their first jobs, one after the other."""

    def __init__(self) -> None:
        from agentapp.policies.permissions import API_SCOPES, WORKER_CLASS_SCOPES
        from agentapp.services import api_keys, principals, tenants

        made = [tenants.create(slug=f"bench-{number}", name="Benchmark") for number in range(TENANTS)]
        self.tenants = [tenant.pk for tenant in made]
        self.principal = principals.of_key(api_keys.create(tenant=made[0], name="bench", scopes=list(API_SCOPES))[0])
        self.queues = tuple(WORKER_CLASS_SCOPES)

    def claims_ms(self, times: int) -> list[float]:
        """Claim one job of each of as many new tasks, and cancel them."""
        from agentapp.lifecycle import cancel
        from agentapp.lifecycle.claim import claim
        from agentapp.lifecycle.opened import Claimed
        from agentapp.models import Job
        from agentapp.services import workflows

        runs = [workflows.submit(self.principal, kind="bench_six", input={"question": "?"}) for _ in range(times)]
        found = Job.objects.filter(workflow__in=runs, type="bench_retrieve", part=0).values_list("pk", flat=True)
        jobs = iter([str(job) for job in found])

        def one() -> None:
            got = claim(next(jobs), worker="bench", queues=self.queues, lease_s=60)
            assert isinstance(got, Claimed), got

        taken = timed_ms(one, times)
        for run in runs:
            cancel.cancel(run.pk, actor="bench", reason="measured")
        return taken

    def admissions_ms(self, times: int) -> list[float]:
        """Look at the backlog and decide; nothing is admitted, so that all looks see the same."""
        from agentapp.dispatch.stager import Stager
        from agentapp.policies import admission

        stager = Stager()
        return timed_ms(lambda: admission.decide(stager.look(), stager.turns, ageing_s=30), times)


def fill(rows: int, tenants: list[int]) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(FILL, {"rows": rows, "tenants": tenants})
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE agentapp_job, agentapp_workflow, agentapp_stage, agentapp_limit")


def what_gates_cost(bench: ClaimBench, times: int) -> None:
    """Print the median of a claim with no gate, with each kind alone, and with all five."""
    from agentapp.lifecycle import gates
    from agentapp.models import Gate

    def with_gates(*rules: dict[str, Any]) -> float:
        made = [gates.keep(Gate(pattern="*", **rule), actor="bench") for rule in rules]
        taken = statistics.median(bench.claims_ms(times))
        for gate in made:
            gates.remove(gate, actor="bench")
        return taken

    wide = [{"scope": scope, "concurrency": 100_000} for scope in SCOPES]
    pace = {"requests_per_min": 1e9, "request_burst": 100_000}
    bare = with_gates()
    print(f"\n{'gates on a claim':24}{'median ms':>10}{'more by':>10}")
    print(f"{'none':24}{bare:>10.3f}")
    for rule in wide:
        ms = with_gates(rule)
        print(f"{rule['scope']:24}{ms:>10.3f}{ms - bare:>10.3f}")
    for name, rules in (
        ("five kinds", wide), ("pace of a tenant", [{"scope": "tenant", **pace}]),
        ("five kinds and a pace", [*wide[:2], wide[2] | pace, *wide[3:]]),
    ):  # fmt: skip
        ms = with_gates(*rules)
        print(f"{name:24}{ms:>10.3f}{ms - bare:>10.3f}")


def plot(points: list[tuple[int, float, float]], path: Path) -> None:
    """Draw p95 of claims and admissions over the number of rows, on two logarithmic axes."""
    from math import log10

    def x(rows: int) -> float:
        return 70 + (log10(rows) - 3) * 150

    def y(ms: float) -> float:
        return 250 - (log10(ms) + 1) * 70

    grid = "".join(
        f'<line x1="70" x2="540" y1="{y(ms):.0f}" y2="{y(ms):.0f}" stroke="#8884"/>'
        f'<text x="62" y="{y(ms) + 4:.0f}" text-anchor="end">{ms:g} ms</text>'
        for ms in (0.1, 1, 10, 100)
    ) + "".join(
        f'<text x="{x(rows):.0f}" y="272" text-anchor="middle">{rows:,}</text>' for rows, _, _ in points
    )  # fmt: skip
    lines = ""
    for name, column, colour in (("claim", 1, "#2f6fde"), ("admission", 2, "#c2641a")):
        way = " ".join(f"{x(point[0]):.0f},{y(point[column]):.1f}" for point in points)
        last = points[-1]
        lines += f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="2"/>'
        lines += f'<text x="{x(last[0]) + 6:.0f}" y="{y(last[column]) + 4:.0f}" fill="{colour}">{name}</text>'
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 300" font-family="sans-serif" font-size="12" '
        f'fill="#777"><title>p95 over the number of jobs that wait</title>{grid}{lines}'
        '<text x="305" y="292" text-anchor="middle">jobs that wait</text></svg>\n'
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--claims", type=int, default=500)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    env = environment() | {"BENCH_GATED": "1"}
    with LocalStack(home, commands={}, env=env, say=print) as stack:
        os.environ |= env | {
            "DATABASE_URL": stack.stack["database_url"], "REDIS_URL": stack.stack["redis_url"],
            "AGENTAPP_HOME": str(home),
        }  # fmt: skip
        import django

        django.setup()
        bench = ClaimBench()
        bench.claims_ms(200)
        points, there = [], 0
        for rows in sorted(options.rows):
            fill(rows - there, bench.tenants)
            there = rows
            claims, looks = bench.claims_ms(options.claims), bench.admissions_ms(20)
            points.append((rows, p95(claims), p95(looks)))
            print(
                f"{rows:>9,} rows: claim p50 {statistics.median(claims):.3f} ms, p95 {points[-1][1]:.3f} ms; "
                f"admission p50 {statistics.median(looks):.1f} ms, p95 {points[-1][2]:.1f} ms"
            )
        print(f"claim p95 at {points[-1][0]:,} rows is {points[-1][1] / points[0][1]:.2f} of that at {points[0][0]:,}")
        what_gates_cost(bench, options.claims)
        if options.plot:
            plot(points, options.plot)


if __name__ == "__main__":
    main()
