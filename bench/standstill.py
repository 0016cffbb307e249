"""Something stands still instead of failing: how late are the retries and rescues of others, and the web's answers?

    python -m bench.standstill --rounds 3

While nothing, the leading dispatcher, its line to Postgres, the broker, or one row stands still, five jobs become due
and a worker is killed. Moments are those of the history, by the clock of Postgres. The worst of all rounds is printed.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import psutil
import psycopg

from agentapp.local import procfile
from agentapp.local.child import Program, kill_group
from agentapp.local.stack import CHECKOUT, LocalStack
from agentapp.local.supervisor import Supervisor
from bench.throughput import environment
from tests.gateway import Gateway

DISPATCHERS = ("dispatcher", "dispatcher_b")
JOBS, REQUESTS = 5, 5
LIMIT_S = 120
POLL_S = 0.05
LEADER = """
SELECT a.application_name FROM agentapp_dispatcherlease l JOIN pg_stat_activity a ON a.pid = l.session
 WHERE l.expires_at > now()
"""
CONNECTED = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
STATE = "SELECT id FROM agentapp_job WHERE workflow_id = %s AND state = %s"
MADE_DUE = """
SELECT extract(epoch FROM a.at - (r.data ->> 'retry_at')::timestamptz)::float
  FROM agentapp_history r JOIN agentapp_history a ON a.job_id = r.job_id AND a.from_state = 'retryable'
 WHERE r.workflow_id = %s AND r.to_state = 'retryable'
"""
RESCUED = """
SELECT extract(epoch FROM at - %s)::float FROM agentapp_history
 WHERE workflow_id = %s AND from_state = 'running' AND to_state = 'available'
"""


@dataclass(frozen=True)
class Late:
    """In seconds: how late the last retry was, how long after the kill the rescue came, the slowest 202."""

    retry_s: float
    rescue_s: float
    answer_s: float


class Bench:
    """A running stack of web, two dispatchers and two workers, and a third dispatcher whose line can be cut."""

    def __init__(self, stack: LocalStack, third: Supervisor) -> None:
        self.stack = stack
        about = stack.stack
        self.api = httpx2.Client(
            base_url=about["url"], headers={"Authorization": f"Bearer {about['api_key']}"}, timeout=LIMIT_S
        )
        self.sql = psycopg.connect(about["database_url"], autocommit=True)
        self.gateway = Gateway(about["database_url"])
        self._third = third

    def pid(self, name: str) -> int:
        return int(self.stack.stack["pids"][name])

    def start_third(self) -> None:
        env = psutil.Process(self.pid("dispatcher")).environ() | {
            "DATABASE_URL": self.gateway.url, "PGAPPNAME": "third",
        }  # fmt: skip
        argv = ["/bin/sh", "-c", procfile.read(CHECKOUT / "Procfile")["dispatcher"]]
        self._third.start(Program(name="third", argv=argv, env=env, cwd=CHECKOUT))

    def submit(self, kind: str) -> str:
        return str(self.api.post("/tasks", json={"kind": kind, "input": {}}).raise_for_status().json()["id"])

    def rows(self, text: str, *parameters: Any) -> list[Any]:
        return [row[0] for row in self.sql.execute(text, parameters)]

    def until(self, text: str, *parameters: Any) -> list[Any]:
        """Wait for rows, and return their first column."""
        deadline = time.monotonic() + LIMIT_S
        while not (found := self.rows(text, *parameters)):
            if time.monotonic() > deadline:
                raise SystemExit(f"not within {LIMIT_S} s: {text} {parameters}")
            time.sleep(POLL_S)
        return found


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def nothing(bench: Bench) -> Iterator[None]:
    yield


@contextmanager
def leader_frozen(bench: Bench) -> Iterator[None]:
    (leader,) = bench.until(LEADER)
    with frozen(bench.pid(leader)):
        yield


@contextmanager
def leader_cut_off(bench: Bench) -> Iterator[None]:
    bench.until(CONNECTED, "third")
    for pid in [bench.pid(name) for name in DISPATCHERS]:
        kill_group(pid)
    bench.until(f"SELECT 1 FROM ({LEADER}) l WHERE application_name = 'third'")
    for name in DISPATCHERS:
        bench.until(CONNECTED, name)
    bench.gateway.freeze()
    try:
        yield
    finally:
        bench.gateway.thaw()


@contextmanager
def broker_frozen(bench: Bench) -> Iterator[None]:
    with frozen(bench.pid("valkey")):
        yield


@contextmanager
def row_locked(bench: Bench) -> Iterator[None]:
    task = bench.submit("bench_fail")
    bench.until(STATE, task, "retryable")
    with psycopg.connect(bench.stack.stack["database_url"]) as other:
        other.execute("SELECT 1 FROM agentapp_workflow WHERE id = %s FOR UPDATE", (task,))
        yield


# The line is cut last: a third dispatcher is started for it.
FAULTS = {
    "nothing": nothing, "one row, locked": row_locked, "broker, frozen": broker_frozen,
    "leader, frozen": leader_frozen, "leader, cut off": leader_cut_off,
}  # fmt: skip


def measure(bench: Bench, fault: str) -> Late:
    """Let one thing stand still, and watch the others."""
    staying = bench.submit("bench_stay")
    bench.until(STATE, staying, "running")
    if fault == "leader, cut off":
        bench.start_third()
    with ExitStack() as cleanup:
        if fault == "leader, cut off":
            # It takes longer to begin than a retry to become due.
            cleanup.enter_context(FAULTS[fault](bench))
        failing = [bench.submit("bench_fail") for _ in range(JOBS)]
        for task in failing:
            bench.until(STATE, task, "retryable")
        if fault != "leader, cut off":
            cleanup.enter_context(FAULTS[fault](bench))
        ((killed_at,),) = bench.sql.execute("SELECT clock_timestamp()")
        kill_group(bench.pid("worker_victim"))
        took = [_timed(bench) for _ in range(REQUESTS)]
        rescue_s = bench.until(RESCUED, killed_at, staying)[0]
        retry_s = max(bench.until(MADE_DUE, task)[0] for task in failing)
    return Late(retry_s, rescue_s, max(took))


def _timed(bench: Bench) -> float:
    began = time.monotonic()
    bench.submit("bench_fail")
    return time.monotonic() - began


def commands() -> dict[str, str]:
    """The Procfile's lines that this needs; the worker that is killed has a queue of its own."""
    lines = procfile.read(CHECKOUT / "Procfile")
    model = lines["worker_model"]
    chosen = {
        "web": lines["web"], **dict.fromkeys(DISPATCHERS, lines["dispatcher"]),
        "worker_model": model.replace("-Q model,retrieval", "-Q model"),
        "worker_victim": model.replace("-Q model,retrieval", "-Q retrieval").replace("-n model@", "-n victim@"),
    }  # fmt: skip
    return {name: f"export PGAPPNAME={name}; {line}" for name, line in chosen.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[Late]] = {fault: [] for fault in FAULTS}
    with tempfile.TemporaryDirectory(prefix="agentapp-bench-", ignore_cleanup_errors=True) as folder:
        home, third = Path(folder), Supervisor(logs=Path(folder) / "logs")
        with LocalStack(home, commands=commands(), env=environment(), say=print) as stack:
            bench = Bench(stack, third)
            try:
                for _ in range(options.rounds):
                    for fault, late in found.items():
                        late.append(measure(bench, fault))
                        third.stop(["third"])
                        print(fault, late[-1])
            finally:
                third.close()
                bench.gateway.close()
    print(f"\n{'what stands still':20}{'retry late by, s':>20}{'rescue after, s':>20}{'slowest 202, s':>20}")
    for fault, late in found.items():
        worst = [max(getattr(item, name) for item in late) for name in ("retry_s", "rescue_s", "answer_s")]
        print(f"{fault:20}" + "".join(f"{value:>20.2f}" for value in worst))


if __name__ == "__main__":
    main()
