"""The whole stack as `make up` runs it, on servers and a home of its own, and what a test may ask of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg
import redis
from django.db import connections

from agentapp.client.connections import LIMITS
from agentapp.local import procfile
from agentapp.local.child import Program
from agentapp.local.stack import CHECKOUT, LocalStack
from agentapp.policies.permissions import API_SCOPES
from config import addresses
from tests import homes, recorder, template
from tests.acceptance import pooler
from tests.acceptance.waiting import until as until
from tests.agents import leaking
from tests.brokers import servers as brokers
from tests.recorder import Recorder

Json = dict[str, Any]

# The database of the deployment, for the ORM: `Job.objects.using(ALIAS)`.
ALIAS = "deployment"
# A process of a busy machine may have to wait for some seconds, and is not dead.
LEASE_S = 6
ANSWER_S = 120
CONNECTIONS_OF_WEB = 10
WORKERS = ("worker_model", "worker_send", "worker_documents")
FAILPOINTS = "failpoints"
# What a provider asked for in one test must not stop the next one.
# In the order in which claims lock them.
LET_THROUGH = """
WITH locked AS (SELECT key FROM agentapp_limit ORDER BY key FOR NO KEY UPDATE)
UPDATE agentapp_limit l SET closed_until = NULL, slowdown = 1, breaker = 'closed', mode = 'open'
  FROM locked WHERE l.key = locked.key
"""
ENVIRONMENT = {
    "DATABASE_URL": "", "REDIS_URL": "",  # servers of its own, which may be killed
    "AGENTAPP_EXTENSIONS": "tests.agents",
    "AGENTAPP_LEASE_S": str(LEASE_S), "AGENTAPP_HEARTBEAT_S": "1",
    "AGENTAPP_CHILD_MEMORY_MB": "1024", "AGENTAPP_METRICS_TOKEN": "what-prometheus-sends",
    **leaking.CANARIES,
}  # fmt: skip


def commands() -> dict[str, str]:
    """The Procfile, with a second dispatcher, a model server that takes orders, and 100 threads in the model worker.

    Each process has its name on its database connections.
    """
    lines = procfile.read(CHECKOUT / "Procfile")
    assert "-c 32" in lines["worker_model"]
    lines["worker_model"] = lines["worker_model"].replace("-c 32", "-c 100")
    lines["model"] += " --control"
    lines["dispatcher_b"] = lines["dispatcher"]
    return {name: f"export PGAPPNAME={name}; {line}" for name, line in lines.items()}


@contextmanager
def open_deployment(
    lines: dict[str, str], *, env: dict[str, str] | None = None, alias: str = "deployment"
) -> Iterator[Deployment]:
    """Run these lines of a Procfile on servers and a home of their own, with the outside world beside them.

    On the broker that AGENTAPP_TEST_BROKER names, behind the pooler that AGENTAPP_TEST_POOLER names, unless `env` has a
    broker or a database of the test's own.
    """
    home = homes.make()
    try:
        with Recorder(home / "recorder.jsonl") as outside, brokers.chosen(env or {}) as broker_env:
            (home / FAILPOINTS).mkdir()
            its_env = {
                **ENVIRONMENT, "AGENTAPP_FAILPOINTS": str(home / FAILPOINTS),
                recorder.ADDRESS_VARIABLE: outside.address,
                "AGENTAPP_HTTP_ENDPOINTS": json.dumps({"outside": endpoint_of(outside)}),
                **broker_env, **(env or {}),
            }  # fmt: skip
            with (
                pooler.chosen(home, lines, its_env) as its_lines,
                LocalStack(template.laid(home, its_env), env=its_env, commands=its_lines) as stack,
                Deployment(stack, outside, alias=alias) as deployment,
            ):
                yield deployment
    finally:
        shutil.rmtree(home, ignore_errors=True)


def endpoint_of(outside: Recorder) -> Json:
    """The outside world as an endpoint of agents, which is sent a secret with each request."""
    return {
        "base_url": f"http://{outside.address}", "tenants": ["*"], "networks": ["127.0.0.0/8"],
        "secret": "TOOL_SECRET_CANARY", "methods": ["GET", "POST"],
    }  # fmt: skip


def client_of(url: str) -> httpx2.Client:
    """One that keeps no connection until the server may close it at the moment of the next request."""
    return httpx2.Client(base_url=url, timeout=ANSWER_S, limits=LIMITS)


class Deployment:
    """A running stack, asked over HTTP as its clients ask it, and over its servers' own protocols.

    `alias` names its database for the ORM.
    """

    def __init__(self, stack: LocalStack, outside: Recorder, *, alias: str = ALIAS) -> None:
        self._stack = stack
        self.recorder = outside
        self.alias = alias
        about = stack.stack
        self.web = client_of(about["url"])
        self.flower = client_of(about["flower_url"])
        self.model = client_of(about["model_url"].removesuffix("/v1"))
        self.broker = redis.Redis.from_url(about["redis_url"])
        self.outbox = Path(about["mail_dir"])
        self.home = stack.home
        connections.settings[alias] = {
            **connections.settings["default"], **addresses.database(about["database_url"], pool_max=0, pool_wait_s=0)
        }  # fmt: skip

    @property
    def about(self) -> Json:
        return self._stack.stack

    @contextmanager
    def sql(self) -> Iterator[psycopg.Connection]:
        """Open a session of its own in autocommit, to look with, and to lock with."""
        with psycopg.connect(self.about["database_url"], autocommit=True) as session:
            yield session

    def ask(self, method: str, path: str, body: Json | None = None, *, key: str = "api_key") -> httpx2.Response:
        """Send one request to the API with the submitter's key, or with the approver's."""
        return self.web.request(method, path, json=body, headers={"Authorization": f"Bearer {self.about[key]}"})

    def submit(self, kind: str, **input: Any) -> str:
        """Submit a task and return its id."""
        answer = self.ask("POST", "/tasks", {"kind": kind, "input": input})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def task(self, task_id: str) -> Json:
        return self._found(f"/tasks/{task_id}")

    def jobs(self, task_id: str) -> list[Json]:
        """Return the jobs of a task with their attempts, in the order of its plan."""
        results: list[Json] = self._found(f"/tasks/{task_id}/jobs?limit=100")["results"]
        return results

    def job(self, task_id: str, type: str) -> Json:
        """Return the latest job of a type."""
        return [job for job in self.jobs(task_id) if job["type"] == type][-1]

    def reach(self, task_id: str, state: str) -> Json:
        """Wait until a task is in a state, and return it."""
        try:
            until(lambda: self.task(task_id)["state"] == state, f"task {task_id} is {state}")
        except AssertionError as error:
            task = self.task(task_id)
            raise AssertionError(f"{error}, but {task['state']}: {task['blocked_by']}") from None
        return self.task(task_id)

    def reach_job(self, task_id: str, type: str, state: str) -> Json:
        """Wait until the latest job of a type is in a state, and return it."""
        until(lambda: self.job(task_id, type)["state"] == state, f"{type} of {task_id} is {state}")
        return self.job(task_id, type)

    def make_due(self, job_id: str) -> None:
        """Let the back-off of a job be over."""
        with self.sql() as session:
            session.execute(
                "UPDATE agentapp_job SET scheduled_at = now() WHERE id = %s AND state = 'retryable'", [job_id]
            )

    def approve(self, task_id: str) -> None:
        """Approve what a task waits for, as a second person."""
        (approval,) = self._found(f"/approvals?state=pending&task={task_id}")["results"]
        decision = {"decision": "approve", "content_sha256": approval["content_sha256"]}
        answer = self.ask("POST", f"/approvals/{approval['id']}/decision", decision, key="approver_api_key")
        assert answer.status_code == 200, answer.text

    def pid(self, name: str) -> int:
        return int(self.about["pids"][name])

    def kill(self, *names: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End processes with a signal; returns when they are gone. The stack starts them again."""
        dying = [psutil.Process(self.pid(name)) for name in names]
        for process in dying:
            os.kill(process.pid, how)
        until(lambda: not any(is_running(process) for process in dying), f"{', '.join(names)} are gone")
        # Our own session is gone with Postgres, and is made again at the next look.
        connections[self.alias].close()

    @contextmanager
    def one_more(self, name: str, *, like: str, env: dict[str, str] | None = None) -> Iterator[None]:
        """Run a second worker like one of the deployment, under its own node name; it is kept running too.

        `env` is laid over the environment of that one. Of a dispatcher only the start is waited for.
        """
        line = re.sub(r"-n \w+@", f"-n {name}@", commands()[like]).replace(f"PGAPPNAME={like}", f"PGAPPNAME={name}")
        its_env = psutil.Process(self.pid(like)).environ() | (env or {})
        program = Program(name=name, argv=["/bin/sh", "-c", line], env=its_env, cwd=CHECKOUT)
        self._stack._supervisor.start(program)
        try:
            if like in WORKERS:
                until(lambda: f"{name}@{socket.gethostname()} ready" in self.log(name), f"{name} is ready")
            yield
        finally:
            self._stack._supervisor.stop([name])

    def log(self, name: str) -> str:
        """What a process of the deployment has written since the deployment stands."""
        return (self.home / "logs" / f"{name}.log").read_text(errors="replace")

    def is_up(self) -> bool:
        """Whether Postgres answers."""
        try:
            with self.sql():
                return True
        except psycopg.OperationalError:
            return False

    def is_served(self) -> bool:
        """Whether the web answers, each time of more often than it holds connections."""
        try:
            return all(self.ask("GET", "/tasks?limit=1").status_code == 200 for _ in range(CONNECTIONS_OF_WEB + 2))
        except httpx2.TransportError:
            return False

    def fail(self, fault: str, **rule: Any) -> None:
        """Tell the model server to fail; see agentapp/offline_model/control.py for the rules."""
        answer = self.model.post("/_control/faults", json=[{"fault": fault, **rule}])
        assert answer.status_code == 200, answer.text

    def think_for(self, latency_s: float) -> None:
        """Make the model slow: seconds before each answer."""
        self.model.post("/_control/speed", json={"latency_s": latency_s})

    def asked(self) -> list[Json]:
        """The bodies of the requests that have reached the model server since the test began."""
        return [request["body"] for request in self.model.get("/_control/requests").json()["requests"]]

    def reset(self) -> None:
        """Make the model server fast and well again, and let it forget what it was asked; let all keys through."""
        with self.sql() as session:
            session.execute(LET_THROUGH)
        self.model.delete("/_control/faults")
        self.model.delete("/_control/requests")
        self.think_for(0)

    def __enter__(self) -> Deployment:
        """Give the approver every scope, and let Postgres tell of each connection that is made."""
        with self.sql() as session:
            session.execute("UPDATE agentapp_apikey SET scopes = %s WHERE name = 'local approver'", [list(API_SCOPES)])
            session.execute("ALTER SYSTEM SET log_connections = 'on'")
            session.execute("SELECT pg_reload_conf()")
        return self

    def __exit__(self, *_: object) -> None:
        connections[self.alias].close()
        del connections[self.alias], connections.settings[self.alias]
        for client in (self.web, self.flower, self.model, self.broker):
            client.close()

    def _found(self, path: str) -> Json:
        answer = self.ask("GET", path, key="approver_api_key")
        assert answer.status_code == 200, answer.text
        content: Json = answer.json()
        return content


def is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
