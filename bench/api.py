"""What POST /tasks costs and how long it takes over real HTTP, beside a bare Django view of the same statement.

    python -m bench.api --requests 600 --clients 1 8 64 --rounds 3

Both sides are one uvicorn process each, on one Postgres, in alternating rounds. The bare view reads JSON, stores the
task by the same SQL statement and answers; it knows no keys, checks nothing and publishes nothing. CPU is that of the
web process, user and system; `postgres` is that of all its processes. Wall times include the clients, which share the
processors.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentapp.local import ports
from agentapp.local.stack import LocalStack
from bench.throughput import cpu_seconds, flush_ms

TASK = {
    "kind": "support_reply",
    "input": {"subject": "A question", "body": "What does it cost?", "customer_email": "reader@sample.test"},
}
SIDES = ("agentapp", "bare")
COMMANDS = {
    "web": "AGENTAPP_DB_POOL_MAX=10 exec python -m uvicorn config.asgi:application --host 127.0.0.1 --port $PORT "
    "--no-access-log --log-level warning",
    "bare": "AGENTAPP_DB_POOL_MAX=10 exec python -m uvicorn bench.bare.asgi:application --host 127.0.0.1 --port {port} "
    "--no-access-log --log-level warning",
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    """Of one round of one side: requests/s, CPU ms per request of web and Postgres, sorted times in ms, errors."""

    per_s: float
    web_ms: float
    postgres_ms: float
    times_ms: list[float]
    errors: int


def one_client(address: str, key: str, count: int) -> tuple[list[float], int]:
    """Submit `count` tasks over one connection; return the milliseconds of each, and how many were not accepted."""
    connection = http.client.HTTPConnection(address)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = json.dumps(TASK)
    times, errors = [], 0
    for _ in range(count):
        started = time.monotonic()
        connection.request("POST", "/tasks", body, headers)
        answer = connection.getresponse()
        answer.read()
        errors += answer.status != 202
        times.append((time.monotonic() - started) * 1000)
    return times, errors


def measured(address: str, key: str, pids: dict[str, int], *, clients: int, requests: int) -> Result:
    before, started = cpu_seconds(pids), time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(lambda _: one_client(address, key, requests // clients), range(clients)))
    seconds, after = time.monotonic() - started, cpu_seconds(pids)
    times = sorted(ms for some, _ in found for ms in some)
    cost = {name: (after[name] - before[name]) * 1000 / len(times) for name in pids}
    return Result(len(times) / seconds, cost["web"], cost["postgres"], times, sum(errors for _, errors in found))


def until_listening(port: int) -> None:
    for _ in range(300):
        with socket.socket() as tried:
            if tried.connect_ex((ports.HOST, port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("The bare view does not answer; see the logs of the stack.")


def told(clients: int, side: str, results: list[Result]) -> str:
    def median(of: Any) -> float:
        return float(statistics.median(of(result) for result in results))

    return (
        f"{clients:3} clients  {side:9} {median(lambda r: r.per_s):6.0f} requests/s  "
        f"web {median(lambda r: r.web_ms):5.2f} ms CPU  postgres {median(lambda r: r.postgres_ms):5.2f}  "
        f"p50 {median(lambda r: r.times_ms[len(r.times_ms) // 2]):6.1f} ms  "
        f"p99 {median(lambda r: r.times_ms[int(len(r.times_ms) * 0.99)]):6.1f} ms  "
        f"{sum(r.errors for r in results)} errors"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    (bare,) = ports.free(1)
    commands = {name: line.replace("{port}", str(bare)) for name, line in COMMANDS.items()}
    with LocalStack(home, commands=commands, say=print) as stack:
        about = stack.stack
        addresses = {"agentapp": urlsplit(about["url"]).netloc, "bare": f"127.0.0.1:{bare}"}
        processes = {
            side: {"web": about["pids"]["web" if side == "agentapp" else "bare"], "postgres": about["pids"]["postgres"]}
            for side in SIDES
        }
        until_listening(bare)
        for address in addresses.values():
            one_client(address, about["api_key"], 50)
        for clients in options.clients:
            results: dict[str, list[Result]] = {side: [] for side in SIDES}
            for _ in range(options.rounds):
                for side in SIDES:
                    results[side].append(
                        measured(
                            addresses[side], about["api_key"], processes[side], clients=clients,
                            requests=options.requests,
                        )
                    )  # fmt: skip
            for side in SIDES:
                print(told(clients, side, results[side]))
            ratio = statistics.median(ours.web_ms / bare.web_ms for ours, bare in zip(*results.values(), strict=True))
            print(f"{clients:3} clients  web CPU agentapp : bare = {ratio:.2f}")
    print(f"the disk flushes in {flush_ms():.2f} ms")


if __name__ == "__main__":
    main()
