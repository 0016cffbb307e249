"""Four worker processes on one floor, their gates, and the waits of tasks as the rows tell them."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psutil

from agentapp.lifecycle.function_set import SCHEMA
from agentapp.local.stack import CHECKOUT
from agentapp.models import History, Job, Workflow
from tests.acceptance.deployment import Deployment, until
from tests.acceptance.deployment import commands as lines_of_a_deployment
from tests.acceptance.scale import PATIENCE_S

FLOOR = "floor"
PROCESSES, THREADS = 4, 4
SLOTS = PROCESSES * THREADS
WORKERS = tuple(f"worker_{number}" for number in range(PROCESSES))
CLIENTS = 8
# A job that is passed over is overdue soon.
AGEING_S = 2.0
ENVIRONMENT = {"AGENTAPP_AGEING_S": str(AGEING_S)}
CANCEL = f"""
SELECT {SCHEMA}.cancel(id, 'test', 'the test is over')
  FROM agentapp_workflow WHERE finished_at IS NULL ORDER BY id
"""
TOKEN = re.compile(r"aa_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


def commands() -> dict[str, str]:
    """A deployment whose model worker is four."""
    lines = lines_of_a_deployment()
    line = lines.pop("worker_model")
    for name in ("worker_documents", "worker_send", "worker_webhooks", "flower"):
        del lines[name]
    for name in WORKERS:
        lines[name] = re.sub(r"-n \w+@", f"-n {name}@", line).replace("-c 100", f"-c {THREADS}").replace(
            "PGAPPNAME=worker_model", f"PGAPPNAME={name}"
        )  # fmt: skip
    return lines


class Floor:
    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self._keys: dict[str, str] = {}
        self._clients = ThreadPoolExecutor(CLIENTS)

    def clear(self) -> None:
        """Cancel what is not over, and take all gates away."""
        with self.deployment.sql() as session:
            session.execute("UPDATE agentapp_limit SET gate_id = NULL")
            session.execute("DELETE FROM agentapp_gate")
            session.execute(f"SELECT {SCHEMA}.resolve_gates(NULL)")
            session.execute(CANCEL)
        until(lambda: not self.jobs(state="running"), "nothing runs")
        self.deployment.reset()

    def gate(self, scope: str, pattern: str = "*", **values: Any) -> None:
        """Make a gate, as the admin does."""
        row = {
            "scope": scope, "pattern": "global" if scope == "global" else pattern, "tier": "", "reserved": 0,
            "request_burst": 0, "token_burst": 0, "note": "", **values,
        }  # fmt: skip
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        with self.deployment.sql() as session, session.transaction():
            session.execute(
                f"INSERT INTO agentapp_gate ({names}, updated_at) VALUES ({marks}, now())", list(row.values())
            )
            session.execute(f"SELECT {SCHEMA}.resolve_gates(NULL)")

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Let nothing begin before the block ends: what is submitted in it waits together, however long that takes."""
        self.gate("tenant", "*", concurrency=0)
        yield
        # The first ones are published before anybody knows that they must wait: until their claims are refused.
        until(lambda: not self.jobs(state="available", published_at__isnull=False), "all wait in the backlog")
        with self.deployment.sql() as session, session.transaction():
            session.execute("UPDATE agentapp_limit SET gate_id = NULL WHERE key LIKE 'tenant:%'")
            session.execute("DELETE FROM agentapp_gate WHERE scope = 'tenant'")
            session.execute(f"SELECT {SCHEMA}.resolve_gates(NULL)")

    def key_of(self, tenant: str) -> str:
        """The API key of a further tenant."""
        if tenant not in self._keys:
            self._manage("create_tenant", tenant, "--name", tenant)
            shown = self._manage("create_api_key", tenant, "--name", "test", "--scope", "tasks:read", "tasks:write")
            found = TOKEN.search(shown)
            assert found is not None, shown
            self._keys[tenant] = found[0]
        return self._keys[tenant]

    def _manage(self, *arguments: str) -> str:
        env = psutil.Process(self.deployment.pid("dispatcher")).environ()
        answer = subprocess.run(
            [sys.executable, "manage.py", *arguments], env={**os.environ, **env}, cwd=CHECKOUT, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        return answer.stdout + answer.stderr

    def submit(self, kind: str, *, count: int, tenant: str = "", label: str = "", **more: Any) -> str:
        """Submit as many tasks from several clients at once; return the label that they carry."""
        label = label or uuid4().hex
        token = self.key_of(tenant) if tenant else self.deployment.about["api_key"]
        body = {"kind": kind, "input": {}, "labels": {"load": label}, **more}

        def one(_: int) -> None:
            answer = self.deployment.web.post("/tasks", json=body, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 202, answer.text

        list(self._clients.map(one, range(count)))
        return label

    def tasks(self, label: str) -> Any:
        return Workflow.objects.using(FLOOR).filter(labels__contains={"load": label})

    def jobs(self, **wanted: Any) -> list[Job]:
        return list(Job.objects.using(FLOOR).filter(**wanted))

    def all_over(self, *labels: str, deadline_s: float = PATIENCE_S) -> None:
        until(
            lambda: not any(self.tasks(label).filter(finished_at=None).exists() for label in labels),
            "all tasks are over", deadline_s=deadline_s, poll_s=0.1,
        )  # fmt: skip

    def task_ids(self, label: str) -> set[UUID]:
        return set(self.tasks(label).values_list("pk", flat=True))

    def begun_before(self, label: str, *, half_of: str) -> int:
        """How many tasks of a label had begun when half of another label had."""
        return self._before("started_at", label, half_of)

    def ended_before(self, label: str, *, half_of: str) -> int:
        """How many tasks of a label had ended when half of another label had."""
        return self._before("finished_at", label, half_of)

    def _before(self, moment: str, label: str, half_of: str) -> int:
        moments = sorted(self.tasks(half_of).values_list(moment, flat=True))
        return int(self.tasks(label).filter(**{f"{moment}__lt": moments[len(moments) // 2]}).count())

    def course_of_last(self, label: str) -> str:
        """How the last task of a label to begin went, for who reads why it was late."""
        last = self.tasks(label).latest("started_at")
        rows = History.objects.using(self.deployment.alias).filter(workflow_id=last.pk).order_by("seq")
        waits = ", ".join(f"{wait:.2f}" for wait in self.waits_s(label))
        return "\n".join([f"waits: {waits}", *(f"{row.at} {row.noun} {row.to_state} {row.reason}" for row in rows)])

    def waits_s(self, label: str) -> list[float]:
        """How long each task of a label waited to begin, sorted."""
        rows = self.tasks(label).values_list("created_at", "started_at")
        return sorted((started - created).total_seconds() for created, started in rows)

    def times_s(self, label: str) -> list[float]:
        """How long each task of a label took from its submission to its end, sorted."""
        rows = self.tasks(label).values_list("created_at", "finished_at")
        return sorted((finished - created).total_seconds() for created, finished in rows)

    def slots(self) -> int:
        """How many bodies the living workers can run at once, as the dispatcher has counted them."""
        with self.deployment.sql() as session:
            row = session.execute("SELECT slots FROM agentapp_limit WHERE key = 'queue:model'").fetchone()
        return int(row[0]) if row else 0

    def kill(self, name: str) -> None:
        """kill -9 a worker, as soon as there is one of this name: it may be starting again."""
        until(lambda: psutil.pid_exists(self.deployment.pid(name)), f"a living {name}")
        self.deployment.kill(name)

    def messages(self) -> int:
        """How many messages were ever pushed into the broker's lists."""
        stats: Any = self.deployment.broker.info("commandstats")
        return int(stats.get("cmdstat_lpush", {}).get("calls", 0))

    def tenant_id(self) -> int:
        return int(self.jobs()[0].tenant_id)


def p95(values: Iterable[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[18]
