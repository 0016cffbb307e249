"""A hundred model calls at once in one worker process: how long they take, and on how many database connections.

    python -m bench.model_calls --calls 100 --latency 10

The worker is the shipped one, with a thread for each call; the offline model server thinks for the latency.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psycopg

from agentapp.local import procfile
from agentapp.local.stack import CHECKOUT, LocalStack

# Of bench/agents/asks_model.py, which only the processes of the stack can import: they have set Django up.
KIND = "bench_ask"
WORKER = "worker_model"
TIMEOUT_S = 300
POLL_S = 0.05


@dataclass(frozen=True)
class Measured:
    """`seconds` from the submission to the end; the most connections of the worker and calls in flight at any time."""

    seconds: float
    connections: int
    in_flight: int


@dataclass(frozen=True)
class Stack:
    """Where a running stack is: its API with a key, its model server with --control, its database."""

    api: httpx2.Client
    model: httpx2.Client
    database_url: str


def commands(*, threads: int) -> dict[str, str]:
    """The Procfile's lines that this needs; the worker's connections carry its name."""
    lines = procfile.read(CHECKOUT / "Procfile")
    worker = lines[WORKER].replace("-c 32", f"-c {threads}")
    return {
        "web": lines["web"],
        "dispatcher": lines["dispatcher"],
        "model": f"{lines['model']} --control",
        WORKER: f"export PGAPPNAME={WORKER}; {worker}",
    }


def measure(stack: Stack, *, calls: int, latency_s: float, until_all: bool = False) -> Measured:
    """Submit one task with that many calls, and watch it to its end.

    `until_all`: the model answers as soon as all calls are in flight.

    Raises:
        SystemExit: it did not complete.
    """
    stack.model.delete("/_control/requests")
    stack.model.post("/_control/speed", json={"latency_s": latency_s})
    started = time.monotonic()
    answer = stack.api.post("/tasks", json={"kind": KIND, "input": {"calls": list(range(calls))}})
    task, connections, in_flight = answer.raise_for_status().json(), 0, 0
    with psycopg.connect(stack.database_url, autocommit=True) as session:
        while task["finished_at"] is None:
            if time.monotonic() - started > TIMEOUT_S:
                raise SystemExit(f"The calls did not end within {TIMEOUT_S} s: {task['blocked_by'] or task['state']}.")
            asked = int(stack.model.get("/_control/requests").json()["count"])
            answered = _count(session, "SELECT count(*) FROM agentapp_modelcall WHERE workflow_id = %s", task["id"])
            held = _count(session, "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", WORKER)
            connections, in_flight = max(connections, held), max(in_flight, asked - answered)
            if until_all and in_flight >= calls:
                stack.model.post("/_control/speed", json={"latency_s": 0})
            time.sleep(POLL_S)
            task = stack.api.get(f"/tasks/{task['id']}").raise_for_status().json()
    if task["state"] != "completed":
        raise SystemExit(f"The task is {task['state']}: {task['error']}")
    return Measured(time.monotonic() - started, connections, in_flight)


def _count(session: psycopg.Connection, question: str, about: str) -> int:
    row = session.execute(question, (about,)).fetchone()
    return int(row[0]) if row else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--latency", type=float, default=10.0, help="seconds that the model thinks about each call")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    lines, env = commands(threads=options.calls), {"AGENTAPP_EXTENSIONS": "bench.agents"}
    with LocalStack(home, commands=lines, env=env, say=print) as running:
        about = running.stack
        stack = Stack(
            httpx2.Client(base_url=about["url"], headers={"Authorization": f"Bearer {about['api_key']}"}, timeout=30),
            httpx2.Client(base_url=about["model_url"].removesuffix("/v1"), timeout=30),
            about["database_url"],
        )
        measure(stack, calls=options.calls, latency_s=0.1)  # the worker is up, and its pool is filled
        found = measure(stack, calls=options.calls, latency_s=options.latency)
    print(
        f"{options.calls} calls of {options.latency:g} s in one process: {found.seconds:.1f} s, "
        f"at most {found.connections} database connections, {found.in_flight} calls in flight"
    )


if __name__ == "__main__":
    main()
