"""How long POST /tasks takes over real HTTP, until the 202 that says it is committed.

python -m bench.http_accept --requests 2000 --clients 8
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agentapp.local.stack import LocalStack
from bench.throughput import flush_ms

TASK = {
    "kind": "support_reply",
    "input": {"subject": "A question", "body": "What does it cost?", "customer_email": "reader@sample.test"},
}


def one_client(stack: dict[str, Any], count: int) -> list[float]:
    """Submit `count` tasks over one connection and return the milliseconds of each."""
    connection = http.client.HTTPConnection(urlsplit(stack["url"]).netloc)
    headers = {"Authorization": f"Bearer {stack['api_key']}", "Content-Type": "application/json"}
    times = []
    for _ in range(count):
        started = time.monotonic()
        connection.request("POST", "/tasks", json.dumps(TASK), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 202:
            raise SystemExit(f"POST /tasks answered {answer.status}")
        times.append((time.monotonic() - started) * 1000)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="agentapp-bench-"))
    with LocalStack(home, processes={"web"}, say=print) as stack:
        one_client(stack.stack, 50)
        lone = one_client(stack.stack, 200)
        started = time.monotonic()
        with ThreadPoolExecutor(options.clients) as pool:
            each = options.requests // options.clients
            loaded = [
                ms
                for times in pool.map(lambda _: one_client(stack.stack, each), range(options.clients))
                for ms in times
            ]
        seconds = time.monotonic() - started
    print(f"\none client: p50 {statistics.median(lone):.1f} ms, p99 {statistics.quantiles(lone, n=100)[98]:.1f} ms")
    print(
        f"{options.clients} clients: {len(loaded) / seconds:.0f} requests/s, p50 {statistics.median(loaded):.1f} ms, "
        f"p99 {statistics.quantiles(loaded, n=100)[98]:.1f} ms; the disk flushes in {flush_ms():.2f} ms"
    )


if __name__ == "__main__":
    main()
